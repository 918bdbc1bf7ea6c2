//! "Did you mean": the known name nearest to a mistyped one.

/// `; did you mean "x"?` where some known name is near to `name`, else what is known.
pub fn did_you_mean(name: &str, known: &[&str]) -> String {
    let distance = |known: &str| strsim::damerau_levenshtein(name, known);
    let is_near = |known: &&&str| distance(known) <= 1 + name.chars().count() / 3;
    // `direction` for `detection_direction`.
    let longer = known.iter().filter(|known| name.len() > 3 && known.contains(name));
    let nearest = known.iter().min_by_key(|known| distance(known)).filter(is_near);
    match longer.min_by_key(|known| distance(known)).or(nearest) {
        Some(nearest) => format!("; did you mean {nearest:?}?"),
        None if known.is_empty() => "; nothing can stand here".to_owned(),
        None => format!("; known here: {}", known.join(", ")),
    }
}
