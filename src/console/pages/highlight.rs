//! Colours for the code on our pages: a small tokeniser for the few languages of our own samples.
//!
//! It knows comments, strings, numbers and keywords, which is what a reader's eye looks for, and nothing of grammar.
//!
//! Always true: the text of the result, without tags and unescaped, is the code that went in. People copy it, and the
//! tests run it.

use std::fmt;

use askama::filters::HtmlSafe;

use super::language::escape;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Syntax {
    Shell,
    Python,
    JavaScript,
    Go,
    Json,
    Yaml,
    /// Headers and events: only what stands before the first colon of a line is set apart.
    Wire,
}

/// Code as HTML. Every occurrence of [`KEY_PLACEHOLDER`] has an element of its own, where a page can show a real key.
#[derive(Clone, Debug)]
pub struct Highlighted(String);

impl HtmlSafe for Highlighted {}

impl fmt::Display for Highlighted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Highlighted {
    pub fn new(syntax: Syntax, code: &str) -> Highlighted {
        let mut html = String::with_capacity(code.len() * 2);
        for (kind, text) in tokens(syntax, code) {
            match kind.class() {
                Some(class) => {
                    html.push_str("<span class=\"");
                    html.push_str(class);
                    html.push_str("\">");
                    push_text(&mut html, text);
                    html.push_str("</span>");
                }
                None => push_text(&mut html, text),
            }
        }
        Highlighted(html)
    }
}

fn push_text(html: &mut String, text: &str) {
    for (position, part) in text.split(KEY_PLACEHOLDER).enumerate() {
        if position > 0 {
            html.push_str("<span class=\"code-key\">");
            html.push_str(KEY_PLACEHOLDER);
            html.push_str("</span>");
        }
        // Writing to a string cannot fail.
        let _ = escape(html, part);
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Plain,
    Comment,
    String,
    Number,
    Keyword,
    /// A field's name: in JSON, YAML and headers.
    Name,
}

impl Kind {
    fn class(self) -> Option<&'static str> {
        match self {
            Kind::Plain => None,
            Kind::Comment => Some("code-comment"),
            Kind::String => Some("code-string"),
            Kind::Number => Some("code-number"),
            Kind::Keyword => Some("code-keyword"),
            Kind::Name => Some("code-name"),
        }
    }
}

fn tokens(syntax: Syntax, code: &str) -> Vec<(Kind, &str)> {
    let mut tokens: Vec<(Kind, &str)> = Vec::new();
    let mut at = 0;
    while at < code.len() {
        let (kind, length) = next(syntax, code, at);
        tokens.push((kind, &code[at..at + length]));
        at += length;
    }
    tokens
}

/// What begins at `at`, and how many bytes of it there are: at least one character.
fn next(syntax: Syntax, code: &str, at: usize) -> (Kind, usize) {
    let rest = &code[at..];
    let starts_line = at == 0 || code[..at].ends_with('\n');
    let after_space = starts_line || code[..at].ends_with([' ', '\t']);
    if syntax == Syntax::Wire {
        let line = line_length(rest);
        let name = rest[..line].find(':').filter(|_| starts_line).map(|colon| (Kind::Name, colon));
        return name.filter(|(_, length)| *length > 0).unwrap_or((Kind::Plain, (line + 1).min(rest.len())));
    }
    // A `#` inside a word is no comment: `https://…/#x`.
    let comment = match syntax {
        Syntax::Python | Syntax::Shell | Syntax::Yaml => rest.starts_with('#') && after_space,
        Syntax::JavaScript | Syntax::Go => rest.starts_with("//"),
        Syntax::Json | Syntax::Wire => false,
    };
    if comment {
        return (Kind::Comment, line_length(rest));
    }
    if let Some(length) = string_length(syntax, rest) {
        let names = syntax == Syntax::Json && rest[length..].trim_start().starts_with(':');
        return (if names { Kind::Name } else { Kind::String }, length);
    }
    let word = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
    if word == 0 {
        let first = rest.chars().next().map_or(1, char::len_utf8);
        // The first character of `--flag` and of `$name` goes with its word, or the word might pass for a keyword.
        let glued = matches!(syntax, Syntax::Shell) && rest.starts_with(['-', '$', '/', '.']);
        let ends = |c: char| !c.is_alphanumeric() && !"-_./:#".contains(c);
        let more = if glued { rest[first..].find(ends).unwrap_or(rest.len() - first) } else { 0 };
        return (Kind::Plain, first + more);
    }
    let text = &rest[..word];
    if syntax == Syntax::Yaml {
        let names = rest[word..].starts_with(':') && rest[word + 1..].starts_with([' ', '\n']);
        return (if names { Kind::Name } else { Kind::Plain }, word);
    }
    if text.starts_with(|c: char| c.is_ascii_digit()) {
        return (Kind::Number, word);
    }
    let keyword = match syntax {
        Syntax::Shell => SHELL.contains(&text) && (after_space || code[..at].ends_with('(')),
        Syntax::Python => PYTHON.contains(&text),
        Syntax::JavaScript => JAVASCRIPT.contains(&text),
        Syntax::Go => GO.contains(&text),
        Syntax::Json => ["true", "false", "null"].contains(&text),
        Syntax::Yaml | Syntax::Wire => false,
    };
    (if keyword { Kind::Keyword } else { Kind::Plain }, word)
}

/// Up to the end of the line, without it.
fn line_length(rest: &str) -> usize {
    rest.find('\n').unwrap_or(rest.len())
}

/// The string literal at the beginning, with its quotes. One that never ends is none.
fn string_length(syntax: Syntax, rest: &str) -> Option<usize> {
    let prefixed = syntax == Syntax::Python && ["b\"", "f\"", "r\""].iter().any(|prefix| rest.starts_with(prefix));
    let opening = usize::from(prefixed);
    let quote = *rest.as_bytes().get(opening)?;
    let (is_quote, has_escapes) = match (syntax, quote) {
        (Syntax::Shell, b'\'') | (Syntax::Go, b'`') => (true, false),
        (Syntax::Python | Syntax::JavaScript | Syntax::Go | Syntax::Yaml, b'\'') => (true, true),
        (Syntax::JavaScript, b'`') | (_, b'"') => (true, true),
        _ => (false, false),
    };
    if !is_quote {
        return None;
    }
    let bytes = rest.as_bytes();
    let mut at = opening + 1;
    while at < bytes.len() {
        match bytes[at] {
            b'\\' if has_escapes => at += 2,
            byte if byte == quote => return Some(at + 1),
            _ => at += 1,
        }
    }
    None
}

/// What stands in a sample where the reader's own key belongs.
pub const KEY_PLACEHOLDER: &str = "YOUR_API_KEY";

const SHELL: &[&str] = &["curl", "export", "sed", "tr", "sleep", "base64", "aider", "claude"];
const PYTHON: &[&str] = &[
    "and", "as", "break", "continue", "def", "else", "except", "False", "for", "from", "if", "import", "in", "is",
    "None", "not", "or", "raise", "return", "True", "try", "while", "with",
];
const JAVASCRIPT: &[&str] = &[
    "await",
    "async",
    "break",
    "catch",
    "const",
    "continue",
    "else",
    "export",
    "false",
    "for",
    "from",
    "function",
    "if",
    "import",
    "instanceof",
    "let",
    "new",
    "null",
    "of",
    "return",
    "throw",
    "true",
    "try",
];
const GO: &[&str] = &[
    "break", "continue", "defer", "else", "false", "for", "func", "if", "import", "map", "nil", "package", "range",
    "return", "struct", "true", "type", "var",
];

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ALL: [Syntax; 7] =
        [Syntax::Shell, Syntax::Python, Syntax::JavaScript, Syntax::Go, Syntax::Json, Syntax::Yaml, Syntax::Wire];

    fn marked(syntax: Syntax, code: &str) -> String {
        let mark = |(kind, text): (Kind, &str)| match kind {
            Kind::Plain => text.to_owned(),
            Kind::Comment => format!("⟨c {text}⟩"),
            Kind::String => format!("⟨s {text}⟩"),
            Kind::Number => format!("⟨n {text}⟩"),
            Kind::Keyword => format!("⟨k {text}⟩"),
            Kind::Name => format!("⟨f {text}⟩"),
        };
        tokens(syntax, code).into_iter().map(mark).collect()
    }

    /// The text that a browser would show.
    fn text_of(html: &str) -> String {
        let mut text = String::new();
        for (position, part) in html.split('<').enumerate() {
            text.push_str(if position == 0 { part } else { part.split_once('>').unwrap().1 });
        }
        let text = text.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"").replace("&#39;", "'");
        text.replace("&amp;", "&")
    }

    #[test]
    fn sees_what_a_reader_looks_for() {
        for (syntax, code, expected) in [
            (Syntax::Python, "for x in f(\"a\"): # y", "⟨k for⟩ x ⟨k in⟩ f(⟨s \"a\"⟩): ⟨c # y⟩"),
            (Syntax::Python, "data == b\"[\\\"]\"", "data == ⟨s b\"[\\\"]\"⟩"),
            (Syntax::JavaScript, "let a = `x` // b", "⟨k let⟩ a = ⟨s `x`⟩ ⟨c // b⟩"),
            (Syntax::Go, "func f() `json:\"a\"`", "⟨k func⟩ f() ⟨s `json:\"a\"`⟩"),
            (Syntax::Shell, "curl -d '{\"a\": 1}' http://x/#y", "⟨k curl⟩ -d ⟨s '{\"a\": 1}'⟩ http://x/#y"),
            (
                Syntax::Json,
                "{\"a\": \"b\", \"c\": null, \"d\": 1}",
                "{⟨f \"a\"⟩: ⟨s \"b\"⟩, ⟨f \"c\"⟩: ⟨k null⟩, ⟨f \"d\"⟩: ⟨n 1⟩}",
            ),
            (Syntax::Yaml, "name: x # y\nbase: http://z", "⟨f name⟩: x ⟨c # y⟩\n⟨f base⟩: http://z"),
            (Syntax::Wire, "data: {\"a\":1}\n\nid: x", "⟨f data⟩: {\"a\":1}\n\n⟨f id⟩: x"),
        ] {
            assert_eq!(marked(syntax, code), expected);
        }
    }

    #[test]
    fn a_key_has_an_element_of_its_own() {
        let html = Highlighted::new(Syntax::Python, "key=\"YOUR_API_KEY\"").to_string();
        assert!(html.contains("&quot;<span class=\"code-key\">YOUR_API_KEY</span>&quot;"), "{html}");
    }

    proptest! {
        #[test]
        fn the_text_is_the_code(code in "([ -~]|[\\n\\t\"'`#/<&]|[é价👋]){0,80}") {
            for syntax in ALL {
                prop_assert_eq!(text_of(&Highlighted::new(syntax, &code).to_string()), code.as_str());
            }
        }
    }
}
