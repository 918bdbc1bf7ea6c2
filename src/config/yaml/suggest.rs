//! "Did you mean": the known name nearest to a mistyped one.

/// `; did you mean "x"?` where some known name is near to `name`, else what is known.
pub fn did_you_mean(name: &str, known: &[&str]) -> String {
    let distance = |known: &str| strsim::damerau_levenshtein(name, known);
    let nearest = known.iter().min_by_key(|known| distance(known));
    match nearest {
        Some(nearest) if distance(nearest) <= 1 + name.chars().count() / 3 => {
            format!("; did you mean {nearest:?}?")
        }
        Some(_) => format!("; known here: {}", known.join(", ")),
        None => "; nothing can stand here".to_owned(),
    }
}
