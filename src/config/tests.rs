//! The configuration as a whole: files that must load, files that must not, and texts that must not harm.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::*;
use crate::core::catalog::{Dialect, StreamUsage, UpstreamKind};
use crate::core::money::{Markup, Nano, Pico};
use crate::core::price::{MinuteWindow, Price};
use crate::core::usage::{Tier, Usage};

/// Values that no output may contain.
const CANARIES: [(&str, &str); 5] = [
    ("CANARY_A", "canary-4f1d8b"),
    ("CANARY_B", "canary-93ac07"),
    ("CANARY_LINES", "canary-55e2\ncanary-61b0"),
    ("OPENAI_API_KEY", "sk-canary-77d2f1"),
    ("EMPTY", ""),
];

fn env(name: &str) -> Option<String> {
    CANARIES.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
}

/// A folder with one configuration and whatever it names.
struct Folder(tempfile::TempDir);

impl Folder {
    fn new(config: &str) -> Folder {
        let folder = Folder(tempfile::tempdir().unwrap());
        folder.write("x.yaml", config);
        folder
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).unwrap();
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn load(&self) -> Result<Loaded, Faults> {
        load(&self.path("x.yaml"), &env)
    }
}

fn loaded(config: &str) -> Loaded {
    Folder::new(config).load().unwrap_or_else(|faults| panic!("{faults}"))
}

/// The problems of a configuration, each with its line and its path.
fn problems(config: &str) -> Vec<String> {
    let faults = Folder::new(config).load().err().map_or_else(Vec::new, |faults| faults.0);
    faults.into_iter().map(|fault| format!("{}: {}: {}", fault.line, fault.path, fault.problem)).collect()
}

/// One model with this price, given as YAML.
fn priced(price: &str) -> Price {
    let loaded =
        loaded(&format!("upstreams: {{d: {{kind: demo}}}}\nmodels:\n  m:\n    upstreams: [{{name: d}}]\n{price}"));
    Price::clone(&loaded.config.catalog.models[0].price)
}

#[test]
fn every_configuration_that_we_ship_loads() {
    let mut seen = BTreeSet::new();
    for entry in std::fs::read_dir(project("conf")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        seen.insert(name.clone());
        if name == "prices.yaml" {
            continue;
        }
        let loaded = load(&path, &env).unwrap_or_else(|faults| panic!("{faults}"));
        assert_eq!(loaded.warnings, [], "{name}");
        assert!(!loaded.config.catalog.models.is_empty(), "{name}");
        assert!(loaded.config.edge.listen.iter().all(|address| address.ip().is_loopback()), "{name}");
        let minimal = load(&project("conf/minimal.yaml"), &env).unwrap().config;
        assert_eq!(
            (&loaded.config.edge, &loaded.config.console, &loaded.config.metrics, &loaded.config.logging),
            (&minimal.edge, &minimal.console, &minimal.metrics, &minimal.logging),
            "{name} writes defaults where it says so"
        );
    }
    let expected = ["demo.yaml", "minimal.yaml", "openai.yaml", "prices.yaml", "tollgate.yaml"];
    assert_eq!(seen, expected.map(str::to_owned).into());
}

#[test]
fn without_its_key_a_shipped_configuration_names_the_variable() {
    let faults = load(&project("conf/minimal.yaml"), &|_| None).unwrap_err();
    assert_eq!(faults.0.len(), 1);
    assert_eq!(faults.0[0].problem, "the variable OPENAI_API_KEY is not set");
    assert_eq!(faults.0[0].path, "upstreams.openai.api_keys[0]");
}

#[test]
fn the_demo_needs_no_environment() {
    let catalog = load(&project("conf/demo.yaml"), &|_| None).unwrap().config.catalog;
    let names: Vec<&str> = catalog.models.iter().map(|model| model.name.as_str()).collect();
    assert_eq!(
        names,
        ["demo-chat", "demo-embed", "demo-image", "demo-speech", "demo-transcribe", "demo-moderate", "demo-rerank"]
    );
    for alias in ["gpt-4o-mini", "text-embedding-3-small", "gpt-image-1"] {
        assert!(catalog.model(alias).is_some(), "{alias}");
    }
    assert_eq!(catalog.upstreams[0].kind, UpstreamKind::Demo);
}

/// Each of the examples that stand in comments is one line, and is right when its `#` is taken away.
#[test]
fn every_provider_in_the_comments_can_be_used_as_it_stands() {
    let written = std::fs::read_to_string(project("conf/tollgate.yaml")).unwrap();
    let example = |line: &&str| line.starts_with("  # ") && line.contains(": {kind: openai,");
    let name = |line: &str| line.trim_start_matches("  # ").split(':').next().unwrap().to_owned();
    let names: Vec<String> = written.lines().filter(example).map(name).collect();
    let quirks = ["deepseek", "moonshot", "zhipu", "qwen", "groq", "mistral", "gemini", "xai", "openrouter"];
    let others = ["cohere", "jina", "vllm", "llamacpp", "ollama"];
    assert_eq!(names, [quirks.as_slice(), &others].concat());
    let lines = written.lines().map(|line| if example(&line) { line.replacen("# ", "", 1) } else { line.to_owned() });
    let book = project("conf/prices.yaml").display().to_string();
    let text = lines.collect::<Vec<_>>().join("\n").replace("price_book: prices.yaml", &format!("price_book: {book}"));
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tollgate.yaml");
    std::fs::write(&path, text).unwrap();
    let catalog = load(&path, &|_| Some("unused".into())).unwrap_or_else(|faults| panic!("{faults}")).config.catalog;
    for name in names {
        let upstream = catalog.upstreams.iter().find(|upstream| upstream.name == name).expect("it was read");
        assert_eq!(upstream.kind, UpstreamKind::Openai);
        // Whoever refuses the option, or reports in any case, is not asked.
        let native = ["zhipu", "mistral", "openrouter"].contains(&name.as_str());
        assert_eq!(upstream.stream_usage == StreamUsage::Native, native, "{name}");
    }
}

/// Each `bad/x.yaml` has its faults in `bad/x.expected`. `UPDATE_EXPECTED=1` writes them anew, to be read in the diff.
#[test]
fn every_bad_configuration_is_explained() {
    let mut count = 0;
    for entry in std::fs::read_dir(project("tests/config/bad")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "yaml") {
            continue;
        }
        count += 1;
        let shown = Path::new("tests/config/bad").join(path.file_name().unwrap());
        let faults = load(&shown, &env).expect_err("a bad configuration has faults");
        let actual = format!("{faults}\n");
        let expected_path = path.with_extension("expected");
        if std::env::var_os("UPDATE_EXPECTED").is_some() {
            std::fs::write(&expected_path, &actual).unwrap();
        }
        let expected = std::fs::read_to_string(&expected_path).unwrap_or_default();
        assert_eq!(actual, expected, "{}", shown.display());
        for (_, canary) in CANARIES.iter().filter(|(_, canary)| !canary.is_empty()) {
            assert!(canary.lines().all(|line| !actual.contains(line)), "{} shows a variable", shown.display());
        }
        assert!(!actual.contains("hidden"), "{} shows a password", shown.display());
    }
    assert!(count >= 20, "only {count} bad configurations were found");
}

#[test]
fn no_output_contains_a_secret() {
    let folder = Folder::new(
        r#"
edge: {listen: ["127.0.0.1:0"]}
upstreams:
  a:
    kind: openai
    base_url: https://example.com/v1
    api_keys: ["${CANARY_A}", "os.environ/CANARY_B", "file:key", "literal-canary-1"]
    headers: {x-team: "${CANARY_A}", x-other: "literal-canary-2"}
models:
  m: {upstreams: [{name: a}], price: {input: "1", output: "1"}}
"#,
    );
    folder.write("key", "canary-in-a-file\r\n\n");
    let loaded = folder.load().unwrap();
    let upstream = &loaded.config.catalog.upstreams[0];
    let keys: Vec<&str> = upstream.api_keys.iter().map(|key| key.expose()).collect();
    assert_eq!(keys, ["canary-4f1d8b", "canary-93ac07", "canary-in-a-file", "literal-canary-1"]);
    assert_eq!(upstream.headers[0].1.expose(), "canary-4f1d8b");
    assert!(loaded.warnings.iter().any(|warning| warning.problem.contains("plain text")));
    let shown = format!("{loaded:?}{}", Faults(loaded.warnings.clone()));
    assert!(!shown.contains("canary"), "{shown}");
}

#[test]
fn what_a_variable_holds_is_neither_yaml_nor_a_source() {
    let evil = |name: &str| match name {
        "LINES" => Some("x\nmodels: {}".to_owned()),
        "FILE" => Some("file:/etc/hostname".to_owned()),
        "NESTED" => Some("${LINES}".to_owned()),
        _ => None,
    };
    let folder = Folder::new(
        "upstreams:\n  a: {kind: openai, base_url: \"http://127.0.0.1:1\", api_keys: [\"${FILE}\", \"${NESTED}\"]}\n\
         models:\n  m: {upstreams: [{name: a, model: \"${LINES}\"}], price: {input: \"1\", output: \"1\"}}\n",
    );
    let catalog = load(&folder.path("x.yaml"), &evil).unwrap().config.catalog;
    let keys: Vec<&str> = catalog.upstreams[0].api_keys.iter().map(|key| key.expose()).collect();
    assert_eq!(keys, ["file:/etc/hostname", "${LINES}"]);
    assert_eq!(catalog.models[0].candidates[0].model, "x\nmodels: {}");
}

#[test]
fn an_empty_file_is_all_defaults_and_a_warning() {
    for text in ["", "# nothing\n", "---\n", "edge:\nmodels:\n"] {
        let loaded = loaded(text);
        assert_eq!(loaded.config.edge.max_body, 32 << 20);
        assert_eq!(loaded.config.edge.base_paths, ["/v1", "/api/v1"]);
        assert_eq!(loaded.config.storage.retention, Duration::from_secs(90 * 86_400));
        assert_eq!(loaded.config.catalog.currency, "USD");
        assert_eq!(loaded.config.catalog.groups.len(), 1);
        assert_eq!(loaded.config.catalog.group("default").markup, Markup::LIST_PRICE);
        assert_eq!(loaded.warnings.len(), 1, "{:?}", loaded.warnings);
    }
}

#[test]
fn warnings_do_not_stop_anything() {
    let loaded = loaded(
        r#"
edge: {listen: ["0.0.0.0:0"]}
console: {listen: "0.0.0.0:0"}
upstreams:
  far: {kind: openai, base_url: "http://10.0.0.1/v1"}
  unused: {kind: demo, base_url: "http://x"}
models:
  m: {upstreams: [{name: far}], price: {input: "1"}}
"#,
    );
    let paths: Vec<&str> = loaded.warnings.iter().map(|warning| warning.path.as_str()).collect();
    let expected = [
        "edge.listen[0]",
        "console.listen",
        "upstreams.far",
        "upstreams.unused",
        "upstreams.unused.base_url",
        "models.m.price",
    ];
    assert_eq!(paths, expected);
}

#[test]
fn a_missing_file_is_one_fault_without_a_line() {
    let faults = load(Path::new("conf/there-is-no-such.yaml"), &env).unwrap_err();
    assert_eq!(faults.to_string(), "conf/there-is-no-such.yaml: the file does not exist");
}

#[test]
fn paths_are_relative_to_the_file_and_every_file_is_named() {
    let folder = Folder::new(
        "storage: {url: \"sqlite:data/x.db\"}\nprice_book: book.yaml\nupstreams:\n  a:\n    kind: openai\n    \
         base_url: http://127.0.0.1:1\n    api_keys: [\"file:key\", \"file:key\"]\n    tls: {ca: ca.pem}\n\
         models: {m: {upstreams: [{name: a}]}}\n",
    );
    folder.write("key", "k");
    folder.write("ca.pem", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
    folder.write("book.yaml", "models: {m: {rates: [{input: \"1\", output: \"2\"}], max_output: 7}}");
    let loaded = folder.load().unwrap();
    assert_eq!(loaded.config.storage.url, StorageUrl::Sqlite(folder.path("data/x.db")));
    let files: BTreeSet<PathBuf> = loaded.files.iter().cloned().collect();
    assert_eq!(files, ["x.yaml", "key", "ca.pem", "book.yaml"].map(|name| folder.path(name)).into());
    assert_eq!(loaded.files.len(), 4);
    assert!(loaded.config.catalog.upstreams[0].tls.ca_pem.is_some());
    let model = &loaded.config.catalog.models[0];
    assert_eq!((model.max_output_tokens, model.output_hold), (Some(7), 7));
}

#[test]
fn defaults_follow_the_kind_of_upstream() {
    let loaded = loaded(
        r#"
upstreams:
  o: {kind: openai, base_url: "http://127.0.0.1:1"}
  z: {kind: azure, base_url: "http://127.0.0.1:1", api_version: "2025-04-01-preview"}
  a: {kind: anthropic, base_url: "http://127.0.0.1:1"}
  d: {kind: demo}
models:
  m:
    upstreams: [{name: o, priority: 2}, {name: z, priority: 1, weight: 7}, {name: a, model: x}, {name: d, priority: 1}]
    price: {input: "1", output: "1"}
"#,
    );
    let catalog = loaded.config.catalog;
    let speaks: Vec<&[Dialect]> = catalog.upstreams.iter().map(|upstream| upstream.speaks.as_slice()).collect();
    let expected: [&[Dialect]; 4] = [
        &[Dialect::Chat, Dialect::Responses],
        &[Dialect::Chat],
        &[Dialect::Messages],
        &[Dialect::Chat, Dialect::Responses, Dialect::Messages],
    ];
    assert_eq!(speaks, expected);
    assert_eq!(catalog.upstreams[2].stream_usage, StreamUsage::Native);
    assert_eq!(catalog.upstreams[0].timeouts.first_byte, Duration::from_secs(120));
    let order: Vec<(&str, &str, u32)> = catalog.models[0]
        .candidates
        .iter()
        .map(|candidate| (candidate.upstream.name.as_str(), candidate.model.as_str(), candidate.weight))
        .collect();
    assert_eq!(order, [("a", "x", 1), ("z", "m", 7), ("d", "m", 1), ("o", "m", 1)]);
    assert_eq!((catalog.models[0].max_output_tokens, catalog.models[0].output_hold), (None, 4_096));
}

#[test]
fn prices_are_the_decimals_that_were_written() {
    let price = priced("    price: {input: 0.1, output: \"0.000001\", cached_input: 0}\n");
    let rate = &price.rates[0];
    assert_eq!((rate.input, rate.output, rate.cached_input), (Pico(100_000), Pico(1), Some(Pico(0))));
    assert_eq!(rate.cache_write, None);
    let unit = priced("    unit: {per_image: 0.04, per_million_characters: \"15\"}\n").unit;
    assert_eq!((unit.per_image, unit.per_million_characters), (Some(Pico(40_000_000_000)), Pico(15_000_000_000_000)));
}

#[test]
fn parts_of_a_price_stand_inside_it_or_beside_it() {
    let inside = priced(
        "    price:\n      rates: [{input: \"1\", output: \"2\"}, {tier: flex, input: \"0.5\", output: \"1\"}]\n      \
         unit: {per_request: \"0.01\"}\n      images: {1024x1024: \"0.04\"}\n",
    );
    let beside = priced(
        "    images: {1024x1024: 0.040}\n    unit: {per_request: \"0.01\"}\n    rates:\n      \
         - {output: \"1.0\", tier: flex, input: \"0.50\"}\n      - {output: \"2\", input: \"1\"}\n",
    );
    let mixed = priced(
        "    price: {input: \"1\", output: \"2\", images: {1024x1024: \"0.04\"}}\n    \
         rates: [{tier: flex, input: \"0.5\", output: \"1\"}]\n    unit: {per_request: \"0.01\"}\n",
    );
    assert_eq!(inside, beside);
    assert_eq!(inside, mixed);
    assert_eq!(inside.version.len(), 16);
}

#[test]
fn a_version_is_its_prices() {
    // Spelled out: charges in ledgers name this version, so a new release must find the same.
    let price = |text: &str| priced(&format!("    price: {{{text}}}\n")).version;
    let version = price("input: \"0.15\", output: \"0.60\"");
    assert_eq!(version, "bccb1d192b93c8fa");
    assert_eq!(version, price("output: 0.6, input: 0.150"));
    let mut versions = BTreeSet::from([version]);
    for other in [
        "input: \"0.16\", output: \"0.60\"",
        "input: \"0.60\", output: \"0.15\"",
        "input: \"0.15\", output: \"0.60\", cached_input: \"0\"",
        "input: \"0.15\", output: \"0.60\", cache_write: \"0\"",
        "input: \"0.15\", output: \"0.60\", unit: {per_request: \"1\"}",
        "input: \"0.15\", output: \"0.60\", unit: {per_image: \"0\"}",
        "input: \"0.15\", output: \"0.60\", images: {a: \"1\"}",
        "input: \"0.15\", output: \"0.60\", image_estimate: {a: \"1\"}",
        "input: \"0.15\", output: \"0.60\", rates: [{tier: flex, input: \"0.15\", output: \"0.60\"}]",
        "input: \"0.15\", output: \"0.60\", rates: [{tier: batch, input: \"0.15\", output: \"0.60\"}]",
        "input: \"0.15\", output: \"0.60\", rates: [{above_prompt_tokens: 9, input: \"0.15\", output: \"0.60\"}]",
        "input: \"0.15\", output: \"0.60\", threshold_inclusive: true, \
         rates: [{above_prompt_tokens: 9, input: \"0.15\", output: \"0.60\"}]",
    ] {
        assert!(versions.insert(price(other)), "{other}");
    }
}

#[test]
fn a_price_comes_from_the_model_then_its_name_then_its_upstreams_name() {
    let folder = Folder::new(
        r#"
upstreams: {d: {kind: demo}}
price_book: book.yaml
models:
  own: {upstreams: [{name: d}], price: {input: "9", output: "9"}}
  named: {upstreams: [{name: d, model: other}]}
  house: {upstreams: [{name: d, model: late, priority: 1}, {name: d, model: other}], max_output_tokens: 5}
"#,
    );
    let book = |named: &str| {
        let rows = [("own", "1"), ("named", named), ("other", "3"), ("late", "4")];
        let rows = rows.map(|(name, price)| format!("  {name}: {{rates: [{{input: \"{price}\", output: \"1\"}}]}}\n"));
        format!("models:\n{}", rows.concat().replacen("}]}", "}], max_output: 50}", 1))
    };
    folder.write("book.yaml", &book("${PRICE:-2}"));
    let faults = folder.load().unwrap_err();
    assert_eq!(faults.0.len(), 1, "the book is not expanded: {faults}");
    folder.write("book.yaml", &book("2"));
    let models = folder.load().unwrap().config.catalog.models;
    let inputs: Vec<String> = models.iter().map(|model| model.price.rates[0].input.display_per_million()).collect();
    assert_eq!(inputs, ["9", "2", "3"]);
    let holds: Vec<u64> = models.iter().map(|model| model.output_hold).collect();
    assert_eq!(holds, [50, 4_096, 5]);
}

#[test]
fn the_shipped_price_book_is_read_whole() {
    let folder = Folder::new(
        "upstreams: {d: {kind: demo}}\nprice_book: prices.yaml\nmodels:\n  gpt-4o-mini: {upstreams: [{name: d}]}\n  \
         grok-4.7: {upstreams: [{name: d}]}\n  gpt-image-1: {upstreams: [{name: d}]}\n  \
         dall-e-3: {upstreams: [{name: d}]}\n  \
         deepseek-flash: {upstreams: [{name: d}]}\n",
    );
    folder.write("prices.yaml", &std::fs::read_to_string(project("conf/prices.yaml")).unwrap());
    let catalog = folder.load().unwrap_or_else(|faults| panic!("{faults}")).config.catalog;
    let price = |name: &str| Arc::clone(&catalog.model(name).unwrap().price);

    let used = Usage { input_text: 1_000_000, output_text: 1_000_000, ..Usage::default() };
    assert_eq!(price("gpt-4o-mini").cost(&used, 0, Markup::LIST_PRICE), Nano(750_000_000));
    let priority = Usage { tier: Tier::Priority, ..used };
    assert_eq!(price("gpt-4o-mini").cost(&priority, 0, Markup::LIST_PRICE), Nano(1_250_000_000));

    let grok = price("grok-4.7");
    let thresholds = |rate: &&crate::core::price::Rate| rate.above_prompt_tokens > 0;
    assert!(grok.rates.iter().filter(thresholds).all(|rate| rate.threshold_inclusive));

    let image = price("gpt-image-1");
    assert_eq!(image.rates[0].output, image.rates[0].image_output.unwrap(), "no output is free");
    assert_eq!(image.image_estimate.len(), 9);
    assert_eq!(price("dall-e-3").images["hd/1024x1024"], Pico(80_000_000_000));

    // Weekends are off-peak as a whole: noon of Thursday, 1 January 1970, is not; noon of the Saturday after is.
    let flash = price("deepseek-flash");
    let weekend = MinuteWindow { weekdays: 0b110_0000, from: 0, to: 1_440 };
    assert!(flash.off_peak.contains(&weekend), "{:?}", flash.off_peak);
    let input = Usage { input_text: 1_000_000, ..Usage::default() };
    let at = |hour: i64| flash.cost(&input, hour * 3_600_000, Markup::LIST_PRICE);
    assert!(at(2) > at(5) && at(12) == at(5) && at(48 + 2) == at(5));
}

#[test]
fn anchors_and_merges_save_typing() {
    let loaded = loaded(
        r#"
upstreams: {d: &d {kind: demo}, e: *d}
models:
  a: &a
    upstreams: [{name: d}]
    price: &price {input: "1", output: "2"}
    max_output_tokens: 9
  b: {<<: *a, upstreams: [{name: e}]}
  c: {upstreams: [{name: d}], price: {<<: [*price, {cached_input: "0.5", output: "7"}], input: "3"}}
"#,
    );
    let models = &loaded.config.catalog.models;
    assert_eq!(models[1].candidates[0].upstream.name, "e");
    assert_eq!(models[1].price, models[0].price);
    assert_eq!(models[1].max_output_tokens, Some(9));
    let rate = &models[2].price.rates[0];
    assert_eq!((rate.input, rate.output, rate.cached_input), (Pico(3_000_000), Pico(2_000_000), Some(Pico(500_000))));
}

#[test]
fn a_reload_can_tell_what_changed() {
    let edge = |text: &str| loaded(text).config.edge;
    assert_eq!(edge("edge: {drain: 5m}"), edge("edge: {drain: 300s}"));
    assert_ne!(edge("edge: {drain: 5m}"), edge("edge: {drain: 6m}"));
}

#[test]
fn bombs_are_bounded() {
    let mut laughs = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
    for level in 1..40 {
        let before = level - 1;
        writeln!(laughs, "a{level}: &a{level} [*a{before}, *a{before}, *a{before}, *a{before}]").unwrap();
    }
    let many_keys: String = (0..400_000).fold(String::new(), |mut text, key| {
        writeln!(text, "k{key}: 1").unwrap();
        text
    });
    let chain = (0..5_000).fold("a0: &a0 {k: v}\n".to_owned(), |mut text, level| {
        writeln!(text, "a{}: &a{} {{k: *a{level}}}", level + 1, level + 1).unwrap();
        text
    });
    let long = format!("a: &a {:?}\nb: [{}]", "x".repeat(100_000), "*a,".repeat(100_000));
    for text in [
        laughs,
        many_keys,
        chain,
        long,
        "[".repeat(100_000),
        "{a: ".repeat(100_000),
        "- ".repeat(100_000),
        "? ".repeat(100_000),
        (0..2_000).fold(String::new(), |text, depth| text + &" ".repeat(depth) + "a:\n"),
        "a: &a [*a]".to_owned(),
        "x".repeat(5 << 20),
        format!("models: {{{}}}", "a: 1,".repeat(50_000)),
    ] {
        let start = Instant::now();
        let folder = Folder::new(&text);
        assert!(folder.load().is_err(), "{}", &text[..text.len().min(80)]);
        let limit = Duration::from_secs(5);
        assert!(start.elapsed() < limit, "{} took {:?}", &text[..text.len().min(80)], start.elapsed());
    }
}

/// YAML-like texts: fragments that mean something to the parser and to us, in any order.
fn yaml_like() -> impl Strategy<Value = String> {
    let fragment = prop::sample::select(vec![
        "edge:",
        "listen",
        ": ",
        "\n",
        "\n  ",
        "\n    ",
        "- ",
        "[",
        "]",
        "{",
        "}",
        ",",
        "models:",
        "upstreams:",
        "price",
        "input",
        "rates",
        "&a ",
        "*a",
        "<<: ",
        "${",
        "}",
        "${CANARY_A}",
        "'",
        "\"",
        "|\n",
        ">\n",
        "? ",
        "# ",
        "---\n",
        "...\n",
        "!!str ",
        "%YAML 1.2\n",
        "1e9",
        "-1",
        "~",
        "null",
        "file:x",
        "os.environ/CANARY_A",
        "\t",
        "\u{feff}",
        "\r\n",
        "é",
        "\0",
    ]);
    prop::collection::vec(fragment, 0..60).prop_map(|fragments| fragments.concat())
}

proptest! {
    #[test]
    fn no_text_harms(text in prop_oneof![yaml_like(), "\\PC{0,200}", any::<String>()]) {
        let start = Instant::now();
        let said = match Folder::new(&text).load() {
            Ok(loaded) => format!("{loaded:?}"),
            Err(faults) => {
                prop_assert!(!faults.0.is_empty());
                faults.to_string()
            }
        };
        prop_assert!(!said.contains("canary-4f1d8b"), "{}", said);
        prop_assert!(start.elapsed() < Duration::from_secs(1));
    }

    #[test]
    fn a_bite_out_of_a_shipped_configuration_harms_nobody(at in 0usize..8_000, bite in 0usize..40, put in yaml_like()) {
        let text = std::fs::read_to_string(project("conf/tollgate.yaml")).unwrap();
        let (start, end) = (text.floor_char_boundary(at), text.floor_char_boundary(at + bite));
        let bitten = format!("{}{put}{}", &text[..start], &text[end..]);
        let said = Folder::new(&bitten).load().map_or_else(|faults| faults.to_string(), |loaded| format!("{loaded:?}"));
        prop_assert!(!said.contains("sk-canary"), "{}", said);
    }

    #[test]
    fn every_price_of_six_decimals_is_exact(pico in 0u64..=10_000_000_000) {
        let text = Pico(pico).display_per_million();
        for written in [text.to_string(), format!("{text:?}")] {
            let price = priced(&format!("    price: {{input: {written}, output: 0}}\n"));
            prop_assert_eq!(price.rates[0].input, Pico(pico));
        }
    }
}

#[test]
fn nothing_is_said_twice_about_one_place() {
    let all = problems("edge: {listen: 5, max_body: [], max_bdy: 1}\nmodels: [a]\nupstreams: x\n");
    let unique: BTreeSet<&String> = all.iter().collect();
    assert_eq!(unique.len(), all.len(), "{all:?}");
}

fn project(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}
