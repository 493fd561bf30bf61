//! What is printed, and where.
//!
//! Standard output carries the answer and nothing else, so that it can be piped; remarks go to standard error. Colours
//! and progress are for terminals, and `NO_COLOR` (no-color.org) turns colours off.
//!
//! Always true: a reader who closes the pipe early (`| head`) is no error; text from elsewhere cannot move a terminal's
//! cursor, because control characters are shown instead of sent.

use std::fmt::Display;
use std::io::{self, IsTerminal, Write};

use comfy_table::presets::NOTHING;
use comfy_table::{Attribute, Color, ContentArrangement, Table};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::Serialize;

pub(super) use comfy_table::{Cell, CellAlignment};

/// Something that can be shown to people in a table; scripts get its JSON.
pub(super) trait Sheet: Serialize {
    /// What a list shows of it: title and content, in the order of the columns.
    fn columns(&self) -> Vec<(&'static str, Cell)>;

    /// What is shown of it alone, one field a line.
    fn details(&self) -> Vec<(&'static str, Cell)> {
        self.columns()
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Verbosity {
    Quiet,
    Normal,
    Verbose,
}

impl Verbosity {
    pub(super) fn new(verbose: bool, quiet: bool) -> Self {
        match (verbose, quiet) {
            (_, true) => Verbosity::Quiet,
            (true, false) => Verbosity::Verbose,
            (false, false) => Verbosity::Normal,
        }
    }
}

pub(super) struct Output {
    pub(super) json: bool,
    verbosity: Verbosity,
    styled: bool,
}

impl Output {
    pub(super) fn new(json: bool, verbosity: Verbosity) -> Self {
        let color_allowed = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        Output { json, verbosity, styled: color_allowed && io::stdout().is_terminal() }
    }

    /// A plain array of JSON, or a table with a line for each row.
    pub(super) fn list<S: Sheet>(&self, rows: &[S]) -> anyhow::Result<()> {
        if self.json {
            return self.json(&rows);
        }
        let Some(first) = rows.first() else {
            self.remark("nothing to show");
            return Ok(());
        };
        let mut table = self.table();
        table.set_header(first.columns().into_iter().map(|(title, _)| self.title(title)));
        table.add_rows(rows.iter().map(|row| row.columns().into_iter().map(|(_, cell)| cell)));
        self.text(&render(&mut table))
    }

    /// A JSON object, or a line for each field.
    pub(super) fn one<S: Sheet>(&self, item: &S) -> anyhow::Result<()> {
        if self.json {
            return self.json(item);
        }
        let mut table = self.table();
        table.add_rows(item.details().into_iter().map(|(title, cell)| {
            // Numbers are right-aligned to be compared down a column; here each stands alone.
            [self.title(title), cell.set_alignment(CellAlignment::Left)]
        }));
        self.text(&render(&mut table))
    }

    /// One line of JSON.
    pub(super) fn json<T: Serialize + ?Sized>(&self, value: &T) -> anyhow::Result<()> {
        self.text(&format!("{}\n", serde_json::to_string(value)?))
    }

    /// Text as it is, to standard output.
    pub(super) fn text(&self, text: &str) -> anyhow::Result<()> {
        let mut stdout = io::stdout().lock();
        match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            written => Ok(written?),
        }
    }

    /// For the person at the terminal, unless they asked for quiet.
    pub(super) fn remark(&self, text: &str) {
        self.say(Verbosity::Normal, text);
    }

    /// For those who asked for more.
    pub(super) fn detail(&self, text: &str) {
        self.say(Verbosity::Verbose, text);
    }

    /// Progress of long work; draws nothing where nobody is watching.
    pub(super) fn progress(&self) -> ProgressBar {
        let quiet = self.verbosity == Verbosity::Quiet;
        let target = if quiet { ProgressDrawTarget::hidden() } else { ProgressDrawTarget::stderr() };
        let style = ProgressStyle::with_template("{bar:40} {percent:>3} %  {eta} left");
        let bar = ProgressBar::with_draw_target(None, target);
        bar.with_style(style.expect("the template is a constant, and a test draws it"))
    }

    fn say(&self, from: Verbosity, text: &str) {
        if self.verbosity >= from {
            // With standard error gone there is nobody left to tell.
            let _ = writeln!(io::stderr().lock(), "{text}");
        }
    }

    fn table(&self) -> Table {
        let mut table = Table::new();
        // A row wider than the terminal wraps there; ids that are broken by us could not be copied.
        table.load_style(NOTHING).set_content_arrangement(ContentArrangement::Disabled).force_no_tty();
        if self.styled {
            table.enforce_styling();
        }
        table
    }

    fn title(&self, text: &str) -> Cell {
        Cell::new(text.to_uppercase()).add_attribute(Attribute::Bold)
    }
}

/// Text from elsewhere.
pub(super) fn text(value: impl Display) -> Cell {
    Cell::new(visible(&value.to_string()))
}

/// The same, or a dash for nothing: an empty cell looks like a fault.
pub(super) fn optional(value: Option<impl Display>) -> Cell {
    value.map_or_else(|| Cell::new("-"), text)
}

/// A list, or the word for an empty one.
pub(super) fn list<T: Display>(values: &[T], when_empty: &str) -> Cell {
    if values.is_empty() {
        return Cell::new(when_empty);
    }
    text(values.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "))
}

pub(super) fn number(value: impl Display) -> Cell {
    Cell::new(value).set_alignment(CellAlignment::Right)
}

/// A state's word, in the colour that it has everywhere.
pub(super) fn state(word: &str) -> Cell {
    let color = match word {
        "active" | "ok" => Color::Green,
        "expired" | "disabled" | "client_gone" | "interrupted" => Color::Yellow,
        _ => Color::Red,
    };
    Cell::new(word).fg(color)
}

/// `1 account`, `2 accounts`.
pub(super) fn counted(count: u64, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}

/// The text with its control characters written out, so that none of them reaches a terminal.
fn visible(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        if character.is_control() || is_bidi_override(character) {
            out.extend(character.escape_unicode());
        } else {
            out.push(character);
        }
    }
    out
}

/// Characters that make text read in another order than it is written.
fn is_bidi_override(character: char) -> bool {
    matches!(character, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

fn render(table: &mut Table) -> String {
    for column in table.column_iter_mut() {
        column.set_padding((0, COLUMN_GAP));
    }
    let mut out = String::new();
    for line in table.lines() {
        out.push_str(line.trim_end());
        out.push('\n');
    }
    out
}

const COLUMN_GAP: u16 = 2;

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Serialize)]
    struct Fruit {
        name: &'static str,
        price: u32,
    }

    impl Sheet for Fruit {
        fn columns(&self) -> Vec<(&'static str, Cell)> {
            vec![("name", text(self.name)), ("price", number(self.price))]
        }
    }

    fn plain(styled: bool) -> Output {
        Output { json: false, verbosity: Verbosity::Normal, styled }
    }

    #[test]
    fn a_table_is_aligned_and_free_of_trailing_space() {
        let mut table = plain(false).table();
        table.set_header(["name", "price"].map(|title| plain(false).title(title)));
        for fruit in [Fruit { name: "apple", price: 5 }, Fruit { name: "梨", price: 12_345 }] {
            table.add_row(fruit.columns().into_iter().map(|(_, cell)| cell));
        }
        assert_eq!(render(&mut table), "NAME   PRICE\napple      5\n梨     12345\n");
    }

    #[test]
    fn colours_are_only_there_when_wanted() {
        let draw = |styled| {
            let mut table = plain(styled).table();
            table.add_row([state("active")]);
            render(&mut table)
        };
        assert_eq!(draw(false), "active\n");
        assert!(draw(true).contains("\u{1b}["));
    }

    #[test]
    fn control_characters_are_shown_and_not_sent() {
        assert_eq!(visible("a\u{1b}[2Jb"), "a\\u{1b}[2Jb");
        assert_eq!(visible("x\u{202e}y\n"), "x\\u{202e}y\\u{a}");
        assert_eq!(visible("团队 é"), "团队 é");
        assert_eq!(text("\u{1b}]0;x\u{7}").content(), "\\u{1b}]0;x\\u{7}");
    }

    #[test]
    fn the_progress_bar_can_be_drawn() {
        let bar = plain(false).progress();
        bar.set_length(10);
        bar.set_position(5);
        bar.finish_and_clear();
    }

    #[test]
    fn quiet_wins() {
        assert_eq!(Verbosity::new(true, true), Verbosity::Quiet);
        assert!(Verbosity::new(false, false) < Verbosity::new(true, false));
    }
}
