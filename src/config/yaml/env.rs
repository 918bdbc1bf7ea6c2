//! `${NAME}` in values.

use super::Problem;
use super::node::{Node, Value};

/// Looks a variable up; a test hands in its own.
pub type Environment<'a> = dyn Fn(&str) -> Option<String> + 'a;

/// Expands every scalar value below `node`; keys and comments are left alone.
pub(super) fn expand(node: &mut Node, environment: &Environment<'_>, problems: &mut Vec<Problem>) {
    match &mut node.value {
        Value::Scalar { text, expanded, .. } if text.contains('$') => {
            match expanded_text(text, environment) {
                Ok((new, from_environment)) => (*text, *expanded) = (new, from_environment),
                Err(message) => {
                    problems.push(Problem { position: node.position, path: String::new(), message });
                }
            }
        }
        Value::Scalar { .. } => {}
        Value::Sequence(nodes) => nodes.iter_mut().for_each(|node| expand(node, environment, problems)),
        Value::Mapping(entries) => {
            entries.iter_mut().for_each(|entry| expand(&mut entry.value, environment, problems));
        }
    }
}

/// The text with its variables replaced, and whether there were any. A `$` that begins neither `$$`
/// nor `${` stays, so that `$VAR` in a name template and `$` in a regular expression mean themselves.
fn expanded_text(text: &str, environment: &Environment<'_>) -> Result<(String, bool), String> {
    let (mut out, mut found, mut rest) = (String::new(), false, text);
    while let Some((before, after)) = rest.split_once('$') {
        out.push_str(before);
        rest = if let Some(after) = after.strip_prefix('$') {
            out.push('$');
            after
        } else if let Some(after) = after.strip_prefix('{') {
            found = true;
            let (reference, after) = after.split_once('}').ok_or_else(unterminated)?;
            out.push_str(&value_of(reference, environment)?);
            after
        } else {
            out.push('$');
            after
        };
    }
    out.push_str(rest);
    Ok((out, found))
}

/// The value of `NAME` or `NAME:-default`; a variable that is empty takes the default, too.
fn value_of(reference: &str, environment: &Environment<'_>) -> Result<String, String> {
    let (name, default) = match reference.split_once(":-") {
        Some((name, default)) => (name, Some(default)),
        None => (reference, None),
    };
    if !is_variable_name(name) {
        return Err(format!(
            "${{{reference}}} is not an environment variable; write ${{NAME}} or ${{NAME:-default}}, \
             or $${{ for a literal ${{"
        ));
    }
    let value = environment(name).filter(|value| !value.is_empty() || default.is_none());
    value.or_else(|| default.map(str::to_owned)).ok_or_else(|| {
        format!("the environment variable {name} is not set; set it, or write ${{{name}:-default}}")
    })
}

fn is_variable_name(name: &str) -> bool {
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
    !name.starts_with(|c: char| c.is_ascii_digit()) && !name.is_empty() && name.chars().all(is_part)
}

fn unterminated() -> String {
    "${ has no closing }; write ${NAME}, or $${ for a literal ${".to_owned()
}
