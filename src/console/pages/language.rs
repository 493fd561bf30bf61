//! Two languages on one page: which of them to speak, and both texts side by side where they are used.
//!
//! A pair of texts stands in one call, `say("Sign in", "登录")`, so that neither can be forgotten when the other changes.

use std::fmt;

use askama::filters::HtmlSafe;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Language {
    #[default]
    English,
    Chinese,
}

impl Language {
    /// From a query parameter or a cookie; anything else decides nothing.
    pub fn parse(text: &str) -> Option<Language> {
        match text {
            "en" => Some(Language::English),
            "zh" => Some(Language::Chinese),
            _ => None,
        }
    }

    /// The one of ours that an `Accept-Language` prefers (RFC 9110, 12.5.4); English if it names neither.
    pub fn accepted(header: &str) -> Language {
        let mut best = (0, Language::English);
        for range in header.split(',').take(RANGES_MAX) {
            let mut parts = range.split(';').map(str::trim);
            let primary = parts.next().unwrap_or_default().split('-').next().unwrap_or_default();
            let language = match primary.to_ascii_lowercase().as_str() {
                "zh" => Language::Chinese,
                "en" => Language::English,
                _ => continue,
            };
            let weight = parts.find_map(|part| part.strip_prefix("q=")).map_or(1_000, thousandths);
            // At equal weight the first one named wins.
            if weight > best.0 {
                best = (weight, language);
            }
        }
        best.1
    }

    /// The short form in links and cookies.
    pub fn id(self) -> &'static str {
        self.say("en", "zh")
    }

    /// For `<html lang>`.
    pub fn tag(self) -> &'static str {
        self.say("en", "zh-CN")
    }

    pub fn other(self) -> Language {
        match self {
            Language::English => Language::Chinese,
            Language::Chinese => Language::English,
        }
    }

    /// In its own words.
    pub fn name(self) -> &'static str {
        self.say("English", "中文")
    }

    pub fn say<'a>(self, english: &'a str, chinese: &'a str) -> &'a str {
        match self {
            Language::English => english,
            Language::Chinese => chinese,
        }
    }

    /// The same for texts with `` `code` ``, `**strong words**` and `[links](/to)` in them.
    pub fn rich<'a>(self, english: &'a str, chinese: &'a str) -> Rich<'a> {
        Rich(self.say(english, chinese))
    }
}

/// A weight between 0 and 1 with up to three decimals, without floats. What is not one weighs nothing.
fn thousandths(weight: &str) -> u32 {
    let (whole, fraction) = weight.split_once('.').unwrap_or((weight, ""));
    let digits = format!("{fraction:0<3}");
    match (whole, digits.parse::<u32>()) {
        ("1", _) => 1_000,
        ("0", Ok(value)) if fraction.len() <= 3 => value,
        _ => 0,
    }
}

/// Text with the three marks of [`Language::rich`], as HTML. All else in it is escaped.
#[derive(Clone, Copy, Debug)]
pub struct Rich<'a>(pub &'a str);

impl HtmlSafe for Rich<'_> {}

impl fmt::Display for Rich<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = self.0;
        while let Some(at) = rest.find(['`', '*', '[']) {
            escape(f, &rest[..at])?;
            rest = &rest[at..];
            let Some((element, after)) = Element::at(rest) else {
                escape(f, &rest[..1])?;
                rest = &rest[1..];
                continue;
            };
            element.write(f)?;
            rest = after;
        }
        escape(f, rest)
    }
}

enum Element<'a> {
    Code(&'a str),
    Strong(&'a str),
    Link { text: &'a str, to: &'a str },
}

impl<'a> Element<'a> {
    /// The element that begins here, and what follows it.
    fn at(text: &'a str) -> Option<(Element<'a>, &'a str)> {
        if let Some(rest) = text.strip_prefix('`') {
            return rest.split_once('`').map(|(code, after)| (Element::Code(code), after));
        }
        if let Some(rest) = text.strip_prefix("**") {
            return rest.split_once("**").map(|(strong, after)| (Element::Strong(strong), after));
        }
        let (text, rest) = text.strip_prefix('[')?.split_once("](")?;
        let (to, after) = rest.split_once(')')?;
        Some((Element::Link { text, to }, after))
    }

    fn write(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Element::Code(code) => wrapped(f, "<code>", code, "</code>"),
            Element::Strong(text) => wrapped(f, "<strong>", text, "</strong>"),
            Element::Link { text, to } => {
                wrapped(f, "<a href=\"", to, "\">")?;
                wrapped(f, "", text, "</a>")
            }
        }
    }
}

fn wrapped(f: &mut fmt::Formatter<'_>, before: &str, text: &str, after: &str) -> fmt::Result {
    f.write_str(before)?;
    escape(f, text)?;
    f.write_str(after)
}

/// Escapes for HTML text and for attributes in double quotes.
pub fn escape(out: &mut impl fmt::Write, text: &str) -> fmt::Result {
    let mut rest = text;
    while let Some(at) = rest.find(['&', '<', '>', '"', '\'']) {
        out.write_str(&rest[..at])?;
        out.write_str(match rest.as_bytes()[at] {
            b'&' => "&amp;",
            b'<' => "&lt;",
            b'>' => "&gt;",
            b'"' => "&quot;",
            _ => "&#39;",
        })?;
        rest = &rest[at + 1..];
    }
    out.write_str(rest)
}

/// Languages of a header that are looked at.
const RANGES_MAX: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_heaviest_of_ours_is_spoken() {
        for (header, language) in [
            ("", Language::English),
            ("zh", Language::Chinese),
            ("zh-TW,zh;q=0.9,en;q=0.8", Language::Chinese),
            ("en-GB,en;q=0.9,zh;q=0.8", Language::English),
            ("fr, ZH-hans;q=0.2", Language::Chinese),
            ("en;q=0.1,zh;q=0.11", Language::Chinese),
            ("zh;q=0, de", Language::English),
            ("zh;q=9,en;q=0.1", Language::English),
            ("zh;q=0.00000000000000000001", Language::English),
            (";;;,,,=\u{0}", Language::English),
        ] {
            assert_eq!(Language::accepted(header), language, "{header:?}");
        }
    }

    #[test]
    fn marks_become_elements_and_all_else_is_escaped() {
        for (text, html) in [
            ("plain", "plain"),
            ("`a<b`", "<code>a&lt;b</code>"),
            ("**so** it is", "<strong>so</strong> it is"),
            ("[the docs](/docs#a\"b)", "<a href=\"/docs#a&quot;b\">the docs</a>"),
            ("2 * 3 [x] `open", "2 * 3 [x] `open"),
            ("<b onclick='x'>&", "&lt;b onclick=&#39;x&#39;&gt;&amp;"),
        ] {
            assert_eq!(Rich(text).to_string(), html, "{text:?}");
        }
    }
}
