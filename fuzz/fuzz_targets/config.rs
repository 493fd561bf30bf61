//! A configuration: any text is loaded, or refused with at least one fault; no environment variable leaks into either.
#![no_main]

use std::path::PathBuf;
use std::sync::OnceLock;

use libfuzzer_sys::fuzz_target;
use tollgate::config;

fuzz_target!(|text: &str| {
    static FILE: OnceLock<PathBuf> = OnceLock::new();
    let file = FILE.get_or_init(|| {
        let folder = std::env::temp_dir().join(format!("tollgate-fuzz-{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("a temporary folder can be made");
        folder.join("tollgate.yaml")
    });
    std::fs::write(file, text).expect("a temporary file can be written");
    let said = match config::load(file, &|name| Some(format!("canary-4f1d8b-{name}"))) {
        Ok(loaded) => format!("{loaded:?}"),
        Err(faults) => {
            assert!(!faults.0.is_empty());
            faults.to_string()
        }
    };
    assert!(text.contains("canary") || !said.contains("sk-canary"), "{said}");
});
