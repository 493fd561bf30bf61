//! How the sources hang together: imports point down, frameworks stay at the rim, every file says what it is for.
//!
//! Reads the text of `src/`, without its comments and tests. The floors are those of `src/lib.rs`.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// What each room may import, beside itself. A part of a room is written `room::part`.
const MAY_IMPORT: &[(&str, &str)] = &[
    ("core", ""),
    ("protocol", "core"),
    ("config", "core"),
    ("store", "core"),
    ("limits", "core"),
    ("upstream", "core"),
    ("metrics", "core"),
    ("ledger", "core store::contract"),
    ("pipeline", "core ledger limits metrics protocol upstream store::contract store::view"),
    ("edge", "core pipeline protocol::endpoint limits::contract store::contract"),
    ("console", "core ledger store metrics upstream protocol::endpoint"),
    ("server", "config console core edge ledger limits metrics pipeline store upstream"),
    ("cli", "config console core ledger server store"),
    ("main", "cli"),
];

/// Where a library may be spoken.
const SPOKEN_IN: &[(&str, &[&str])] = &[
    ("pingora", &["edge/", "limits/abuse.rs"]),
    ("axum", &["server.rs", "server/", "console/", "upstream/demo.rs", "upstream/demo/"]),
    ("rusqlite", &["store/sqlite/"]),
    ("clap", &["cli/", "main.rs"]),
    ("anyhow", &["cli/", "main.rs", "server.rs", "server/", "console/"]),
];

/// One file of `src/`.
struct Source {
    /// Below `src/`.
    path: String,
    text: String,
    /// The program in it: no comments, no strings' contents, nothing that only tests see.
    code: String,
}

impl Source {
    fn room(&self) -> &str {
        let first = self.path.split('/').next().unwrap_or_default();
        first.trim_end_matches(".rs")
    }

    /// Whether only tests are in it.
    fn is_test(&self) -> bool {
        let part = |name: &str| self.path.ends_with(&format!("/{name}.rs")) || self.path.contains(&format!("/{name}/"));
        ["tests", "testing", "golden"].into_iter().any(part)
    }
}

fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut paths = Vec::new();
    let mut folders = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => folders.push(path),
                false if path.extension().is_some_and(|extension| extension == "rs") => paths.push(path),
                false => {}
            }
        }
    }
    assert!(paths.len() > 50, "the sources are not where they are looked for");
    paths.sort();
    paths.iter().map(|path| source(&root, path)).collect()
}

fn source(root: &Path, path: &PathBuf) -> Source {
    let text = fs::read_to_string(path).unwrap();
    let path = path.strip_prefix(root).unwrap().to_str().unwrap().replace('\\', "/");
    Source { path, code: without_tests(&without_comments(&text)), text }
}

/// Blanks comments, and what stands in strings and characters, and keeps the lines.
fn without_comments(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut code = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let rest = &bytes[at..];
        let skipped = if rest.starts_with(b"//") {
            rest.iter().position(|byte| *byte == b'\n').unwrap_or(rest.len())
        } else {
            literal_length(rest, at.checked_sub(1).map(|before| bytes[before]))
        };
        if skipped == 0 {
            code.push(bytes[at]);
            at += 1;
        } else {
            code.push(b' ');
            code.extend(rest[..skipped].iter().filter(|byte| **byte == b'\n'));
            at += skipped;
        }
    }
    String::from_utf8(code).unwrap()
}

/// How long the string or character literal at the beginning is; 0 if there is none.
fn literal_length(rest: &[u8], before: Option<u8>) -> usize {
    let in_word = before.is_some_and(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    let raw = rest.strip_prefix(b"b").unwrap_or(rest);
    if !in_word && let Some(raw) = raw.strip_prefix(b"r") {
        let hashes = raw.iter().take_while(|byte| **byte == b'#').count();
        if raw.get(hashes) == Some(&b'"') {
            let end = [b"\"".as_slice(), &b"#".repeat(hashes)].concat();
            let opening = rest.len() - raw.len() + hashes + 1;
            let length = rest[opening..].windows(end.len()).position(|window| window == end);
            return opening + length.expect("a raw string ends") + end.len();
        }
    }
    match rest {
        [b'"', ..] => 1 + quoted_length(&rest[1..], b'"'),
        [b'\'', b'\\', ..] => 1 + quoted_length(&rest[1..], b'\''),
        [b'\'', _, b'\'', ..] => 3,
        _ => 0,
    }
}

fn quoted_length(rest: &[u8], quote: u8) -> usize {
    let mut at = 0;
    while at < rest.len() && rest[at] != quote {
        at += if rest[at] == b'\\' { 2 } else { 1 };
    }
    at + 1
}

/// Leaves out every item under `#[cfg(test)]`, up to its semicolon or the end of its braces.
fn without_tests(code: &str) -> String {
    let mut kept = String::new();
    let mut rest = code;
    while let Some(at) = rest.find("#[cfg(test)]") {
        kept.push_str(&rest[..at]);
        rest = &rest[at..];
        rest = &rest[item_length(rest)..];
    }
    kept + rest
}

fn item_length(item: &str) -> usize {
    let mut depth = 0;
    for (at, byte) in item.bytes().enumerate() {
        match byte {
            b'{' => depth += 1,
            b'}' => depth -= 1,
            b';' if depth == 0 => return at + 1,
            _ => continue,
        }
        if byte == b'}' && depth == 0 {
            return at + 1;
        }
    }
    item.len()
}

/// What a file takes from other rooms: `room::part` for each `crate::room::part`, groups in braces taken apart.
fn imports(code: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for prefix in ["crate::", "tollgate::"] {
        for (at, _) in code.match_indices(prefix) {
            let is_path = !code[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == ':');
            if is_path {
                collect(&code[at + prefix.len()..], &mut found);
            }
        }
    }
    found
}

/// One path, or a group of paths.
fn collect(path: &str, found: &mut BTreeSet<String>) {
    let Some(group) = path.strip_prefix('{') else {
        let room = word(path);
        let rest = path[room.len()..].strip_prefix("::").unwrap_or_default();
        let parts: Vec<&str> = match rest.strip_prefix('{') {
            Some(group) => members(group).into_iter().map(word).collect(),
            None => vec![word(rest)],
        };
        found.extend(parts.into_iter().map(|part| format!("{room}::{part}")));
        return;
    };
    members(group).into_iter().for_each(|member| collect(member, found));
}

fn word(text: &str) -> &str {
    let end = text.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(text.len());
    &text[..end]
}

/// The members of a group, whose opening brace is gone.
fn members(group: &str) -> Vec<&str> {
    let (mut depth, mut from, mut members) = (0, 0, Vec::new());
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => {
                members.push(group[from..at].trim());
                break;
            }
            '}' => depth -= 1,
            ',' if depth == 0 => {
                members.push(group[from..at].trim());
                from = at + 1;
            }
            _ => {}
        }
    }
    members.retain(|member| !member.is_empty());
    members
}

fn may_import(room: &str, import: &str) -> bool {
    let allowed = MAY_IMPORT.iter().find(|(name, _)| *name == room).map(|(_, allowed)| *allowed);
    let allowed = allowed.unwrap_or_else(|| panic!("the room `{room}` has no floor"));
    let target = import.split("::").next().unwrap_or_default();
    target == room || allowed.split(' ').any(|one| one == target || one == import)
}

#[track_caller]
fn assert_none(what: &str, faults: Vec<String>) {
    assert!(faults.is_empty(), "{what}:\n{}", faults.join("\n"));
}

#[test]
fn imports_point_down() {
    let sources = sources();
    let mut faults = Vec::new();
    let mut seen = 0;
    for source in sources.iter().filter(|source| !source.is_test() && source.path != "lib.rs") {
        for import in imports(&source.code) {
            seen += 1;
            if !may_import(source.room(), &import) {
                faults.push(format!("{} imports {import}", source.path));
            }
        }
    }
    assert!(seen > 100, "the imports are not found");
    assert_none("rooms that may not be entered from here", faults);
}

#[test]
fn the_floors_have_no_circle() {
    let below: BTreeMap<&str, Vec<&str>> = MAY_IMPORT
        .iter()
        .map(|(room, allowed)| (*room, allowed.split(' ').filter_map(|one| one.split("::").next()).collect()))
        .collect();
    let mut standing: BTreeSet<&str> = BTreeSet::from([""]);
    for _ in 0..below.len() {
        let next = below.iter().filter(|(_, rooms)| rooms.iter().all(|room| standing.contains(room)));
        let next: Vec<&str> = next.map(|(room, _)| *room).collect();
        standing.extend(next);
    }
    let floating: Vec<_> =
        below.keys().filter(|room| !standing.contains(*room)).map(|room| (*room).to_owned()).collect();
    assert_none("rooms that rest on each other", floating);
}

#[test]
fn every_room_is_on_the_map_and_has_a_floor() {
    let sources = sources();
    let map = &sources.iter().find(|source| source.path == "lib.rs").unwrap().text;
    for source in sources.iter().filter(|source| !matches!(source.path.as_str(), "lib.rs" | "main.rs")) {
        let room = source.room();
        assert!(map.contains(&format!("pub mod {room};")) && map.contains(&format!("[`{room}`]")), "{room}");
        assert!(MAY_IMPORT.iter().any(|(name, _)| *name == room), "{room}");
    }
}

#[test]
fn each_library_is_spoken_in_its_own_rooms_only() {
    let mut faults = Vec::new();
    for source in sources().iter().filter(|source| !source.is_test()) {
        for (library, rooms) in SPOKEN_IN {
            let at_home = rooms.iter().any(|room| source.path.starts_with(room));
            let speaks = source.code.match_indices(library).any(|(at, _)| is_library(&source.code, at, library));
            if speaks && !at_home {
                faults.push(format!("{} speaks {library}", source.path));
            }
        }
    }
    assert_none("libraries away from home", faults);
}

/// `pingora_core::…`, `use axum;`: a path that begins with the library's name.
fn is_library(code: &str, at: usize, library: &str) -> bool {
    let before = code[..at].chars().next_back();
    let starts = !before.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == ':');
    let rest = code[at + library.len()..].trim_start_matches(|c: char| c.is_alphanumeric() || c == '_');
    starts && (rest.starts_with("::") || (code[..at].ends_with("use ") && rest.starts_with(';')))
}

#[test]
fn nothing_unwraps_outside_tests() {
    let mut faults = Vec::new();
    for source in sources().iter().filter(|source| !source.is_test()) {
        for (number, line) in source.code.lines().enumerate() {
            if [".unwrap()", ".unwrap_err()", "dbg!(", "todo!(", "unimplemented!("]
                .iter()
                .any(|word| line.contains(word))
            {
                faults.push(format!("{} near line {}: {}", source.path, number + 1, line.trim()));
            }
        }
    }
    assert_none("a panic that nobody proved impossible", faults);
}

#[test]
fn every_file_says_what_it_is_for() {
    let silent = |source: &&Source| {
        let first = source.text.lines().next().unwrap_or_default();
        !first.starts_with("//! ") || first.len() < 15
    };
    let faults = sources().iter().filter(silent).map(|source| source.path.clone()).collect();
    assert_none("files that open without a word", faults);
}

#[test]
fn nothing_is_left_for_later() {
    let mut faults = Vec::new();
    for source in sources() {
        for (number, line) in source.text.lines().enumerate() {
            let mut words = line.split(|c: char| !c.is_alphanumeric());
            if words.any(|word| ["TODO", "FIXME", "XXX", "HACK"].contains(&word)) {
                faults.push(format!("{}:{}: {}", source.path, number + 1, line.trim()));
            }
        }
    }
    assert_none("left for later", faults);
}

#[test]
fn the_reader_of_sources_sees_through_comments_strings_and_tests() {
    let text = r##"
        // use crate::comment::x;
        use crate::core::{money::Nano, price};
        use crate::{store::contract::{A, B}, ledger};
        const A: &str = "crate::string::x \" crate::still::x";
        const B: &[u8] = br#"crate::raw::x"#;
        const C: char = '"';
        fn f<'a>() { crate::edge::call('\'') }
        #[cfg(test)]
        mod tests { use crate::test::x; fn g() { { } } }
        #[cfg(test)]
        use crate::test::y;
        use crate::limits::z;
    "##;
    let found: Vec<_> = imports(&without_tests(&without_comments(text))).into_iter().collect();
    assert_eq!(found, ["core::money", "core::price", "edge::call", "ledger::", "limits::z", "store::contract"]);
}
