//! What browsers load that we did not write is exactly what `vendor/lock.json` says; what we wrote stays within the
//! console's content security policy.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;
use sha2::{Digest, Sha256};

fn web() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src/console/web")
}

/// Every file below `folder`, by its path from the web folder.
fn files(folder: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut folders = vec![web().join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                found.insert(path.strip_prefix(web()).unwrap().to_str().unwrap().replace('\\', "/"));
            }
        }
    }
    found
}

fn hex(digest: &[u8]) -> String {
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn vendored_files_are_those_of_the_lock() {
    let lock: Value = serde_json::from_slice(&fs::read(web().join("vendor/lock.json")).unwrap()).unwrap();
    let licences = fs::read_to_string(web().join("vendor/LICENSES.txt")).unwrap();
    let mut locked = BTreeSet::new();
    for entry in lock["files"].as_array().unwrap() {
        let file = entry["file"].as_str().unwrap();
        for field in ["package", "version", "licence", "source", "rewrite"] {
            assert!(entry[field].as_str().is_some_and(|text| !text.is_empty()), "{file} has no {field}");
        }
        let bytes = fs::read(web().join(file)).unwrap_or_else(|error| panic!("{file}: {error}"));
        assert_eq!(hex(&Sha256::digest(bytes)), entry["sha256"], "{file} is not the file that was locked");
        let name = file.rsplit('/').next().unwrap();
        assert!(licences.contains(name), "LICENSES.txt does not name {name}");
        locked.insert(file.to_owned());
    }
    let mut shipped = files("vendor");
    shipped.remove("vendor/lock.json");
    shipped.remove("vendor/LICENSES.txt");
    shipped.extend(files("fonts"));
    for file in &shipped {
        assert!(locked.contains(file), "{file} is in no lock");
    }
}

#[test]
fn modules_import_only_files_that_exist() {
    for file in files("app").into_iter().chain(files("vendor")).filter(|file| file.ends_with(".js")) {
        let text = fs::read_to_string(web().join(&file)).unwrap();
        for import in imports(&text) {
            assert!(import.starts_with("./") || import.starts_with("../"), "{file} imports {import:?}: no import map");
            let target = web().join(&file).parent().unwrap().join(&import);
            assert!(target.is_file(), "{file} imports {import:?}, which is not there");
        }
    }
}

/// The addresses of static imports and exports: `from "…"` and `import "…"`, spaced or minified.
fn imports(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for line in text.lines().filter(|line| !line.trim_start().starts_with("//")) {
        let statements =
            line.match_indices("from").chain(line.match_indices("import")).map(|(at, word)| (at, at + word.len()));
        for (begin, end) in statements {
            let before = line[..begin].chars().next_back();
            let address = line[end..].trim_start();
            let speaks = line.trim_start().starts_with(['i', 'e', '}']) && before.is_none_or(|c| " };".contains(c));
            if speaks && let Some(rest) = address.strip_prefix('"') {
                found.extend(rest.split('"').next().map(str::to_owned));
            }
        }
    }
    found
}

#[test]
fn nothing_needs_what_the_policy_forbids() {
    for file in files("app").into_iter().filter(|file| file.ends_with(".js")) {
        let text = fs::read_to_string(web().join(&file)).unwrap();
        let code: String =
            text.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n");
        for word in ["innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "new Function"] {
            assert!(!code.contains(word), "{file} uses {word}");
        }
    }
    for file in files("").into_iter().filter(|file| file.ends_with(".html")) {
        let text = fs::read_to_string(web().join(&file)).unwrap();
        for word in ["<style", " style=", " onclick=", " onload=", "javascript:", "https://", "importmap"] {
            assert!(!text.contains(word), "{file} has {word}");
        }
        for script in text.split("<script").skip(1) {
            assert!(script.trim_start().split('>').next().unwrap().contains("src="), "{file} has an inline script");
        }
    }
}
