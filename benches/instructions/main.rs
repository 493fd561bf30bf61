//! `make bench-check`: has the hot path grown?
//!
//! Time on a busy machine says nothing about a change of five per cent; the number of instructions does, and is the
//! same on every run. Each path runs under callgrind twice, a few times and many times: the difference is the path
//! alone, without the program's start. More than [`GROWTH_PERCENT_MAX`] above `baseline.txt` is a failure; a path that
//! has become cheaper is said, so that the baseline follows (`make bench-baseline`).
//!
//! Built like the tests, because those are built anyway: what is guarded is growth, and the figures are no measure of
//! speed (`make bench` and `make load` are). Another compiler makes other code, and a processor without AVX2 takes other
//! ways through it, so the baseline names its own, and with others nothing is judged.

mod paths;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use anyhow::{Context, Result, bail};

use paths::HotPath;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let outcome = match words.as_slice() {
        // Ourselves, under callgrind.
        ["run", name, times] => run(name, times).map(|()| true),
        ["save"] => save().map(|()| true),
        _ => check(),
    };
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(name: &str, times: &str) -> Result<()> {
    let path = paths::ALL.iter().find(|path| path.name == name).context("there is no such path")?;
    (path.run)(times.parse()?);
    Ok(())
}

/// False if a path has grown too much.
fn check() -> Result<bool> {
    if !has_valgrind() {
        println!("not checked: valgrind is not installed (deploy/setup.sh test installs it)");
        return Ok(true);
    }
    let baseline = Baseline::read(&baseline_file())?;
    let compiler = compiler()?;
    let same_compiler = baseline.compiler == compiler;
    if !same_compiler {
        println!("not judged: the baseline is of {}, and this is {compiler}", baseline.compiler);
    }
    let mut good = true;
    println!("{:<20} {:>12} {:>12} {:>8}", "instructions", "baseline", "now", "change");
    for path in paths::ALL {
        let now = measure(path)?;
        let Some(before) = baseline.counts.get(path.name) else {
            bail!("'{}' has no baseline: run `make bench-baseline`", path.name);
        };
        let change = (now as f64 / *before as f64 - 1.0) * 100.0;
        let verdict = match change {
            _ if !same_compiler => "",
            change if change > GROWTH_PERCENT_MAX => "  TOO MUCH",
            change if change < -GROWTH_PERCENT_MAX => "  cheaper: take the baseline anew",
            _ => "",
        };
        good &= !(same_compiler && change > GROWTH_PERCENT_MAX);
        println!("{:<20} {before:>12} {now:>12} {change:>+7.1}%{verdict}", path.name);
    }
    if !good {
        println!(
            "A path costs over {GROWTH_PERCENT_MAX} % more. If that is what the change is worth: make bench-baseline"
        );
    }
    Ok(good)
}

fn save() -> Result<()> {
    if !has_valgrind() {
        bail!("valgrind is not installed");
    }
    let mut text = format!("compiler {}\n", compiler()?);
    for path in paths::ALL {
        writeln!(text, "{} {}", path.name, measure(path)?)?;
    }
    fs::write(baseline_file(), &text)?;
    print!("{text}");
    Ok(())
}

/// Instructions of one time.
fn measure(path: &HotPath) -> Result<u64> {
    let (few, many) = (collect(path, path.times)?, collect(path, path.times * MANY)?);
    let times = path.times * (MANY - 1) * path.units;
    Ok(many.checked_sub(few).context("many times cost less than few")? / times)
}

fn collect(path: &HotPath, times: u64) -> Result<u64> {
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(std::env::current_exe()?)
        .args(["run", path.name, &times.to_string()])
        .output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() {
        bail!("'{}' under callgrind: {} {said}", path.name, output.status);
    }
    let collected = said.lines().find_map(|line| line.split_once("Collected : ")).context("callgrind gave no count")?.1;
    collected.trim().parse().with_context(|| format!("'{collected}' is no count"))
}

fn has_valgrind() -> bool {
    let run = Command::new("valgrind").arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    run.is_ok_and(|status| status.success())
}

/// By its whole name, a nightly of the same version makes other code; and what it runs on.
fn compiler() -> Result<String> {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let output = Command::new(rustc).arg("--version").output().context("rustc does not run")?;
    #[cfg(target_arch = "x86_64")]
    let vectors = if std::is_x86_feature_detected!("avx2") { " with AVX2" } else { "" };
    #[cfg(not(target_arch = "x86_64"))]
    let vectors = "";
    Ok(format!("{} for {}{vectors}", String::from_utf8(output.stdout)?.trim(), std::env::consts::ARCH))
}

fn baseline_file() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/instructions/baseline.txt")
}

#[derive(Default)]
struct Baseline {
    compiler: String,
    counts: BTreeMap<String, u64>,
}

impl Baseline {
    fn read(file: &Path) -> Result<Baseline> {
        let text = fs::read_to_string(file).with_context(|| file.display().to_string())?;
        let mut baseline = Baseline::default();
        for line in text.lines() {
            match line.split_once(' ') {
                Some(("compiler", name)) => baseline.compiler = name.into(),
                Some((name, count)) => {
                    let count: u64 = count.parse().with_context(|| format!("'{line}' in {}", file.display()))?;
                    baseline.counts.insert(name.into(), count.max(1));
                }
                None => bail!("'{line}' in {} is not a name and a count", file.display()),
            }
        }
        Ok(baseline)
    }
}

const GROWTH_PERCENT_MAX: f64 = 5.0;
const MANY: u64 = 5;
