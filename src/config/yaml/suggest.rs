//! "Did you mean": the known name nearest to a mistyped one.

/// `; did you mean "x"?` where some known name is near to `name`, else what is known.
pub fn did_you_mean(name: &str, known: &[&str]) -> String {
    let distance = |known: &str| strsim::damerau_levenshtein(name, known);
    let nearest = known.iter().min_by_key(|known| distance(known));
    let is_near = |known: &str| distance(known) <= 1 + name.chars().count() / 3;
    // `direction` for `detection_direction`.
    let longer = known.iter().find(|known| name.len() > 3 && known.contains(name));
    match nearest.filter(|nearest| is_near(nearest)).or(longer) {
        Some(nearest) => format!("; did you mean {nearest:?}?"),
        None if known.is_empty() => "; nothing can stand here".to_owned(),
        None => format!("; known here: {}", known.join(", ")),
    }
}
