//! `${NAME}` in a value: what the environment puts there.
//!
//! Expansion happens after YAML is parsed, on one scalar at a time, so no variable can add keys or lines. `$${` is a
//! literal `${`; any other `$` stands for itself.
//!
//! Always true: an expanded text is never part of an error.

/// Where variables come from. A function, so that tests need no process environment.
pub type Env<'a> = &'a dyn Fn(&str) -> Option<String>;

/// Why a text cannot be expanded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ExpandError {
    Unset(String),
    /// `${` without an end, or around something that is not a variable's name.
    Malformed,
}

/// Replaces every `${NAME}` and `${NAME:-default}`. As in a shell, the default also stands in for an empty variable.
///
/// # Errors
/// [`ExpandError`] at the first variable that has neither a value nor a default.
pub fn expand(text: &str, env: Env<'_>) -> Result<String, ExpandError> {
    let mut expanded = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find("${") {
        let (before, reference) = rest.split_at(start);
        if let Some(literal) = before.strip_suffix('$') {
            expanded.push_str(literal);
            expanded.push_str("${");
            rest = &reference[2..];
            continue;
        }
        expanded.push_str(before);
        let (inside, after) = reference[2..].split_once('}').ok_or(ExpandError::Malformed)?;
        let (name, default) = match inside.split_once(":-") {
            Some((name, default)) => (name, Some(default)),
            None => (inside, None),
        };
        if !is_variable_name(name) {
            return Err(ExpandError::Malformed);
        }
        match (env(name), default) {
            (Some(value), Some(default)) if value.is_empty() => expanded.push_str(default),
            (Some(value), _) => expanded.push_str(&value),
            (None, Some(default)) => expanded.push_str(default),
            (None, None) => return Err(ExpandError::Unset(name.to_owned())),
        }
        rest = after;
    }
    expanded.push_str(rest);
    Ok(expanded)
}

/// Letters, digits and underscores, not beginning with a digit.
pub fn is_variable_name(name: &str) -> bool {
    name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        && name.bytes().next().is_some_and(|byte| !byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn env(name: &str) -> Option<String> {
        match name {
            "A" => Some("one".into()),
            "EMPTY" => Some(String::new()),
            "EVIL" => Some("${A}\nkey: value".into()),
            _ => None,
        }
    }

    #[test]
    fn expands_as_a_shell_would() {
        for (text, expected) in [
            ("", ""),
            ("plain $A $ {A} }", "plain $A $ {A} }"),
            ("${A}", "one"),
            ("x${A}y${A}z", "xoneyonez"),
            ("${B:-two}", "two"),
            ("${B:-}", ""),
            ("${A:-two}", "one"),
            ("${EMPTY}", ""),
            ("${EMPTY:-two}", "two"),
            ("$${A}", "${A}"),
            ("$$${A}", "$${A}"),
            // What a variable holds is text, not a template.
            ("${EVIL}", "${A}\nkey: value"),
            ("${B:-a:-b}", "a:-b"),
        ] {
            assert_eq!(expand(text, &env), Ok(expected.to_owned()), "{text}");
        }
    }

    #[test]
    fn names_what_is_missing() {
        assert_eq!(expand("a ${B} ${C}", &env), Err(ExpandError::Unset("B".into())));
        for text in ["${", "${A", "${}", "${1A}", "${A B}", "${A-b}", "${:-x}"] {
            assert_eq!(expand(text, &env), Err(ExpandError::Malformed), "{text}");
        }
    }

    proptest! {
        #[test]
        fn text_without_a_reference_stays(text in "[^$]{0,60}") {
            prop_assert_eq!(expand(&text, &env), Ok(text));
        }

        #[test]
        fn no_text_panics(text in "[${}:A-C-]{0,40}") {
            let _ = expand(&text, &env);
        }
    }
}
