//! CSV, for spreadsheets.
//!
//! RFC 4180: commas, quotes doubled, lines end with CRLF. A spreadsheet runs a cell that begins like a formula, and names
//! come from people; such a cell gets an apostrophe in front, which the spreadsheet takes away again when it shows the
//! text (OWASP, "CSV Injection"). Plain numbers stay as they are: `-1.5` is no formula, and must remain a number.

/// Adds one record to `out`.
pub fn push_record<I>(out: &mut String, cells: I)
where
    I: IntoIterator,
    I::Item: AsRef<str>,
{
    for (position, cell) in cells.into_iter().enumerate() {
        if position > 0 {
            out.push(',');
        }
        push_cell(out, cell.as_ref());
    }
    out.push_str("\r\n");
}

fn push_cell(out: &mut String, text: &str) {
    let guard = if looks_like_formula(text) { "'" } else { "" };
    if !text.contains([',', '"', '\r', '\n']) {
        out.push_str(guard);
        out.push_str(text);
        return;
    }
    out.push('"');
    out.push_str(guard);
    out.push_str(&text.replace('"', "\"\""));
    out.push('"');
}

fn looks_like_formula(text: &str) -> bool {
    text.starts_with(FORMULA_STARTS) && !is_number(text)
}

/// An optional minus, digits, optionally a point and digits.
fn is_number(text: &str) -> bool {
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    let unsigned = text.strip_prefix('-').unwrap_or(text);
    match unsigned.split_once('.') {
        Some((whole, fraction)) => digits(whole) && digits(fraction),
        None => digits(unsigned),
    }
}

/// The last four are the full-width forms, which some spreadsheets fold into the first.
const FORMULA_STARTS: [char; 11] =
    ['=', '+', '-', '@', '\t', '\r', '\n', '\u{ff1d}', '\u{ff0b}', '\u{ff0d}', '\u{ff20}'];

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn record(cells: &[&str]) -> String {
        let mut out = String::new();
        push_record(&mut out, cells);
        out
    }

    #[test]
    fn quotes_only_where_needed() {
        assert_eq!(record(&["a", "b c", ""]), "a,b c,\r\n");
        assert_eq!(record(&["a,b", "say \"hi\"", "two\nlines"]), "\"a,b\",\"say \"\"hi\"\"\",\"two\nlines\"\r\n");
    }

    #[test]
    fn a_formula_is_text_and_a_number_is_a_number() {
        for text in ["=1+1", "+1", "-cmd|' /C calc'!A0", "@SUM(A1)", "\tx", "-1-1", "-", "-1.", "＝1"] {
            assert_eq!(record(&[text]), format!("'{text}\r\n"), "{text:?}");
        }
        assert_eq!(record(&["=1,2"]), "\"'=1,2\"\r\n");
        assert_eq!(record(&["-1.5", "-7", "0.000000001"]), "-1.5,-7,0.000000001\r\n");
    }

    proptest! {
        #[test]
        fn no_cell_begins_a_formula_and_no_text_is_lost(cells in proptest::collection::vec("[=+@,\"\r\n\ta-z0-9 -]{0,8}", 1..5)) {
            let line = record(&cells.iter().map(String::as_str).collect::<Vec<_>>());
            let read = read_record(&line);
            prop_assert_eq!(read.len(), cells.len());
            for (read, cell) in read.iter().zip(&cells) {
                prop_assert!(!looks_like_formula(read));
                prop_assert_eq!(read.strip_prefix('\'').unwrap_or(read), cell);
            }
        }
    }

    /// A reader written from RFC 4180 alone.
    fn read_record(line: &str) -> Vec<String> {
        let mut rest = line.strip_suffix("\r\n").unwrap().chars().peekable();
        let mut cells = vec![String::new()];
        let mut quoted = false;
        while let Some(character) = rest.next() {
            let cell = cells.last_mut().unwrap();
            match character {
                '"' if quoted && rest.peek() == Some(&'"') => cell.extend(rest.next()),
                '"' => quoted = !quoted,
                ',' if !quoted => cells.push(String::new()),
                other => cell.push(other),
            }
        }
        cells
    }
}
