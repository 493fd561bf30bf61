//! The command line, as scripts see it: the real program, its standard output, standard error and exit code.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};
use tollgate::core::money::Nano;
use tollgate::core::{admin_token, key};
use tollgate::store::contract::{Change, Journal, Library, Outcome, RequestId, RequestRow};
use tollgate::store::sqlite::{Durability, Sqlite};

const CONFIG: &str = r#"
edge: {listen: ["127.0.0.1:0"]}
console: {listen: "127.0.0.1:0"}
metrics: {listen: "127.0.0.1:0"}
storage: {url: "sqlite:data/tollgate.db", durability: normal}
upstreams:
  demo: {kind: demo}
models:
  demo-chat:
    aliases: [gpt-4o-mini]
    upstreams: [{name: demo, model: demo-chat}]
    price: {input: "0.15", output: "0.60"}
  demo-embed:
    upstreams: [{name: demo, model: demo-embed}]
    price: {input: "0.02", output: "0"}
groups:
  default: {}
  vip: {markup: "0.9"}
"#;

/// An installation in a folder of its own.
struct Place {
    folder: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        Self::with_config(CONFIG)
    }

    fn with_config(yaml: &str) -> Self {
        let place = Place { folder: tempfile::tempdir().unwrap() };
        fs::write(place.config(), yaml).unwrap();
        place
    }

    /// With the account `alice`, who has 10.
    fn with_alice() -> Self {
        let place = Self::new();
        place.run("account create alice --credit 10").done();
        place
    }

    fn config(&self) -> PathBuf {
        self.folder.path().join("tollgate.yaml")
    }

    fn database(&self) -> PathBuf {
        self.folder.path().join("data/tollgate.db")
    }

    fn command(&self, line: &str) -> Command {
        let mut command = bare();
        command.arg("--config").arg(self.config()).args(line.split_whitespace());
        command
    }

    fn run(&self, line: &str) -> Run {
        Run::of(line, self.command(line).output().unwrap())
    }

    fn json(&self, line: &str) -> Value {
        self.run(&format!("{line} --json")).done().json()
    }

    /// What the serving process would have written for these requests. Once for each place: the lock of a journal can
    /// outlive it for a moment, in a child that another test is just starting.
    fn record(&self, key_id: &str, rows: Vec<RequestRow>) {
        let storage = Sqlite::open(&self.database(), Durability::Normal).unwrap();
        let key = storage.library().unwrap().key(key_id).unwrap().unwrap().record;
        let settle = |row| Change::Settle(Box::new(RequestRow { account: key.account, key: key.id, ..row }));
        storage.journal().unwrap().commit(&rows.into_iter().map(settle).collect::<Vec<_>>()).unwrap();
    }
}

fn bare() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tollgate"));
    command.env_remove("TOLLGATE_CONFIG").stdin(Stdio::null());
    command
}

struct Run {
    line: String,
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

impl Run {
    fn of(line: &str, output: Output) -> Self {
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Run { line: line.into(), code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
    }

    #[track_caller]
    fn ends_with(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{}\n{}{}", self.line, self.stdout, self.stderr);
        self
    }

    #[track_caller]
    fn done(self) -> Self {
        self.ends_with(0)
    }

    /// Refused with these words, and nothing on standard output.
    #[track_caller]
    fn refused(self, code: i32, words: &str) {
        let run = self.ends_with(code);
        assert_eq!(run.stdout, "", "{}", run.line);
        assert!(run.stderr.contains(words), "{}: {}", run.line, run.stderr);
    }

    #[track_caller]
    fn json(&self) -> Value {
        assert_eq!(self.stdout.lines().count(), 1, "{}", self.stdout);
        serde_json::from_str(&self.stdout).unwrap()
    }
}

#[track_caller]
fn assert_fields(object: &Value, fields: &str) {
    let mut expected: Vec<&str> = fields.split_whitespace().collect();
    expected.sort_unstable();
    let found: Vec<&str> = object.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(found, expected);
}

fn words(value: &Value, field: &str) -> String {
    value[field].as_str().unwrap_or_else(|| panic!("{field} of {value}")).to_owned()
}

fn request(id: RequestId, model: &str, charge: Nano) -> RequestRow {
    RequestRow {
        request: id,
        account: tollgate::core::account::AccountId(0),
        key: key::KeyId(0),
        endpoint: "chat/completions".into(),
        model: model.into(),
        upstream: "demo".into(),
        status: 200,
        outcome: Outcome::Ok,
        estimated: false,
        anomalous: false,
        streamed: true,
        input_tokens: 100,
        cached_input_tokens: 40,
        output_tokens: 20,
        reasoning_tokens: 5,
        charge,
        price_version: "v1".into(),
        cost: Nano::ZERO,
        bill: String::new(),
        started_at_ms: 1_795_415_700_125,
        ttft_ms: Some(80),
        duration_ms: 300,
    }
}

const ACCOUNT_FIELDS: &str = "id name group balance held available status created_at";
const KEY_FIELDS: &str = "id prefix name account status expires_at models limits budget spent allow_ips created_at \
                          last_used_at";
const ENTRY_FIELDS: &str = "seq kind amount balance_after request_id ref note at";

// The program itself.

#[test]
fn says_its_version_and_explains_itself() {
    let version = Run::of("--version", bare().arg("--version").output().unwrap()).done();
    assert_eq!(version.stdout, format!("tollgate {}\n", env!("CARGO_PKG_VERSION")));
    let help = Run::of("--help", bare().arg("--help").output().unwrap()).done();
    for command in [
        "serve",
        "check",
        "account",
        "key",
        "admin-token",
        "usage",
        "requests",
        "ledger",
        "audit",
        "backup",
        "completions",
    ] {
        assert!(help.stdout.contains(&format!("  {command} ")), "{command}");
    }
    Run::of("", bare().output().unwrap()).refused(2, "Usage");
    Run::of("acount", bare().arg("acount").output().unwrap()).refused(2, "account");
}

#[test]
fn the_configuration_may_be_named_by_the_environment() {
    let place = Place::new();
    let named = bare().args(["check", "--json"]).env("TOLLGATE_CONFIG", place.config()).output().unwrap();
    assert_eq!(Run::of("check", named).done().json()["ok"], true);
    // The flag wins, and may stand behind the command.
    let other = bare().args(["check", "-c", "no-such.yaml"]).env("TOLLGATE_CONFIG", place.config()).output().unwrap();
    Run::of("check", other).refused(2, "no-such.yaml");
    // Without both, the default: not in this folder.
    let default = bare().arg("check").current_dir(place.folder.path()).output().unwrap();
    Run::of("check", default).refused(2, "conf/tollgate.yaml");
}

#[test]
fn every_shell_gets_its_completions() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let run = Run::of(shell, bare().args(["completions", shell]).output().unwrap()).done();
        assert!(run.stdout.contains("admin-token"), "{shell}");
    }
    Run::of("dos", bare().args(["completions", "dos"]).output().unwrap()).refused(2, "bash");
}

#[test]
fn a_closed_pipe_is_success() {
    let place = Place::with_alice();
    for line in ["account list", "account list --json", "completions bash", "check"] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let output =
            place.command(line).stdout(writer).stderr(Stdio::piped()).spawn().unwrap().wait_with_output().unwrap();
        Run::of(line, output).done();
    }
}

#[test]
fn output_that_cannot_be_written_is_a_failure() {
    let place = Place::with_alice();
    let full = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let output = place.command("account list").stdout(full).stderr(Stdio::piped()).spawn().unwrap();
    Run::of("account list", output.wait_with_output().unwrap()).refused(1, "error: ");
}

#[test]
fn output_that_is_piped_has_no_colours() {
    let place = Place::with_alice();
    let table = place.run("account list").done();
    assert!(!table.stdout.contains('\u{1b}'));
    let mut lines = table.stdout.lines();
    let titles: Vec<_> = lines.next().unwrap().split_whitespace().collect();
    assert_eq!(titles, ["ID", "NAME", "GROUP", "STATUS", "BALANCE", "HELD", "AVAILABLE", "CREATED"]);
    let cells: Vec<_> = lines.next().unwrap().split_whitespace().skip(1).take(6).collect();
    assert_eq!(cells, ["alice", "default", "active", "10", "0", "10"]);
    assert_eq!(lines.next(), None);
}

#[test]
fn remarks_are_on_standard_error_and_can_be_silenced() {
    let place = Place::with_alice();
    let line = "key create --account alice --name k --models demo-cat";
    let spoken = place.run(line).done();
    assert!(spoken.stderr.contains("demo-chat") && spoken.stderr.contains("not shown again"), "{}", spoken.stderr);
    assert_eq!(place.run(&format!("{line} --quiet")).done().stderr, "");
    assert!(place.run("account list -v").done().stderr.contains("tollgate.yaml"));
    place.run("account list -v -q").refused(2, "cannot be used with");
    // An empty list is an empty answer, not words that a script would take for one.
    assert_eq!(place.run("admin-token list").done().stdout, "");
    assert_eq!(place.json("admin-token list"), json!([]));
}

// check, serve

#[test]
fn check_approves_a_right_configuration() {
    let place = Place::new();
    let said = place.run("check").done();
    assert!(said.stdout.contains("2 models, 1 upstream, 2 groups"), "{}", said.stdout);
    let verdict = place.json("check");
    assert_fields(&verdict, "ok faults warnings");
    assert_eq!(verdict["faults"], json!([]));
    assert!(!place.database().exists(), "check touches nothing");
}

#[test]
fn check_names_every_fault_at_once() {
    let faulty = CONFIG.replace(r#"input: "0.15""#, r#"input: "-0.15""#).replace("markup", "markpu");
    let place = Place::with_config(&faulty);
    let run = place.run("check").ends_with(2);
    assert_eq!(run.stdout, "");
    assert_eq!(run.stderr.lines().filter(|line| line.starts_with("error: ")).count(), 2, "{}", run.stderr);
    assert!(run.stderr.contains("tollgate.yaml:12:"), "{}", run.stderr);

    let verdict = place.run("check --json").ends_with(2).json();
    assert_eq!(verdict["ok"], false);
    let faults = verdict["faults"].as_array().unwrap();
    assert_eq!(faults.len(), 2);
    assert_fields(&faults[0], "file line column path problem remedy");
}

#[test]
fn a_faulty_configuration_stops_every_command_with_two() {
    let place = Place::with_config(&CONFIG.replace("{kind: demo}", "{kind: \"${NO_SUCH_VARIABLE_OF_TOLLGATE}\"}"));
    for line in ["serve", "account list", "key list", "usage", "requests", "audit", "backup x.db"] {
        place.run(line).refused(2, "NO_SUCH_VARIABLE_OF_TOLLGATE");
    }
}

#[test]
fn serve_fails_with_one_where_a_port_is_taken() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let edge = format!("edge: {{listen: [\"{}\"]}}", taken.local_addr().unwrap());
    let place = Place::with_config(&CONFIG.replace("edge: {listen: [\"127.0.0.1:0\"]}", &edge));
    let run = place.run("serve").ends_with(1);
    assert!(
        run.stderr.contains("error: ") && run.stderr.contains(&taken.local_addr().unwrap().to_string()),
        "{}",
        run.stderr
    );
}

#[test]
fn serve_fails_with_one_where_the_storage_is_served_already() {
    let place = Place::with_alice();
    let storage = Sqlite::open(&place.database(), Durability::Normal).unwrap();
    let _serving = storage.journal().unwrap();
    place.run("serve").ends_with(1);
    // Everything else works beside it.
    place.run("account credit alice 1").done();
    place.run("audit").done();
}

// account

#[test]
fn an_account_is_made_found_and_changed() {
    let place = Place::new();
    let made = place.json("account create alice --credit 10");
    assert_fields(&made, ACCOUNT_FIELDS);
    assert!(words(&made, "id").starts_with("acc_"));
    assert_eq!(
        [&made["name"], &made["group"], &made["balance"], &made["held"], &made["available"], &made["status"]],
        ["alice", "default", "10", "0", "10", "active"]
    );
    assert_eq!(words(&made, "created_at").len(), "2026-11-23T06:35:00Z".len());

    assert_eq!(place.json("account show alice"), made);
    assert_eq!(place.json(&format!("account show {}", words(&made, "id"))), made);
    assert_eq!(place.json("account list"), json!([made]));

    let changed = place.json("account update alice --name bob --group vip");
    assert_eq!([&changed["id"], &changed["name"], &changed["group"]], [&made["id"], &json!("bob"), &json!("vip")]);
    assert_eq!(place.json("account suspend bob")["status"], "suspended");
    assert_eq!(place.json("account resume bob")["status"], "active");
}

#[test]
fn an_account_that_makes_no_sense_is_refused() {
    let place = Place::with_alice();
    place.run("account create alice").refused(1, "alice");
    place.run("account create carol --group vpi").refused(1, "did you mean \"vip\"");
    place.run("account update alice --group nobody").refused(1, "nobody");
    place.run("account show alcie").refused(1, "did you mean \"alice\"");
    place.run("account create =cmd()").refused(2, "is not a name");
    for amount in ["0.0000000001", "NaN", "1e3", "9223372036.854775808", "-1", "+1", "1,5"] {
        place.run(&format!("account create carol --credit {amount}")).refused(2, "--credit");
    }
    assert_eq!(place.json("account list").as_array().unwrap().len(), 1);
}

#[test]
fn credits_add_up_and_a_reference_counts_once() {
    let place = Place::with_alice();
    let entry = place.json("account credit alice 2.50 --ref invoice-7 --note card");
    assert_fields(&entry, ENTRY_FIELDS);
    assert_eq!([&entry["kind"], &entry["amount"], &entry["balance_after"]], ["credit", "2.5", "12.5"]);
    assert_eq!(
        [&entry["ref"], &entry["note"], &entry["request_id"]],
        [&json!("invoice-7"), &json!("card"), &json!(null)]
    );

    assert_eq!(place.json("account credit alice 2.50 --ref invoice-7"), entry);
    place.run("account credit alice 3 --ref invoice-7").refused(1, "invoice-7");
    assert_eq!(place.json("account show alice")["balance"], "12.5");

    let taken = place.json("account credit alice -12.5 --adjust");
    assert_eq!([&taken["kind"], &taken["amount"], &taken["balance_after"]], ["adjust", "-12.5", "0"]);
    place.run("account credit alice -1").refused(2, "--adjust");
    place.run("account credit alice 0").refused(2, "zero");
    place.run("account credit alice NaN").refused(2, "decimal");
    place.run("account credit alice 0.0000000001").refused(2, "more than 9 decimals");
    place.run("account credit alice 9223372036").done();
    place.run("account credit alice 9223372036").ends_with(1);
    assert_eq!(place.json("account show alice")["balance"], "9223372036");
    place.run("audit").done();
}

// key

#[test]
fn a_key_is_shown_once() {
    let place = Place::with_alice();
    let made = place.json(
        "key create --account alice --name laptop --expires 30d --models demo-chat,demo-embed --rpm 60 --tpm 100000 \
         --concurrency 5 --budget 3.00 --allow-ip 203.0.113.0/24 --allow-ip 2001:db8::1,10.0.0.1",
    );
    assert_fields(&made, &format!("{KEY_FIELDS} key"));
    let secret = words(&made, "key");
    assert!(key::is_well_formed(secret.as_bytes()));
    assert_eq!(made["limits"], json!({"rpm": 60, "tpm": 100_000, "concurrency": 5}));
    assert_eq!(made["models"], json!(["demo-chat", "demo-embed"]));
    assert_eq!(made["allow_ips"], json!(["203.0.113.0/24", "2001:db8::1/128", "10.0.0.1/32"]));
    assert_eq!([&made["account"], &made["status"], &made["budget"], &made["spent"]], ["alice", "active", "3", "0"]);
    assert_eq!(made["last_used_at"], Value::Null);
    assert!(words(&made, "expires_at") > words(&made, "created_at"));

    let id = words(&made, "id");
    let mut shown = made.clone();
    shown.as_object_mut().unwrap().remove("key");
    assert_eq!(place.json(&format!("key show {id}")), shown);
    assert_eq!(place.json("key list"), json!([shown]));
    assert_eq!(place.json("key list --account alice"), json!([shown]));
    // Its text is nowhere: not in a table, not in the files.
    let seen = [place.run(&format!("key show {id}")).done().stdout, place.run("key list").done().stdout].concat();
    assert!(!seen.contains(&secret) && seen.contains(&words(&made, "prefix")));
    for file in fs::read_dir(place.database().parent().unwrap()).unwrap() {
        let bytes = fs::read(file.unwrap().path()).unwrap();
        assert!(!bytes.windows(secret.len()).any(|window| window == secret.as_bytes()));
    }
    // People get it in their table, once.
    let table = place.run("key create --account alice --name phone").done();
    let keys: Vec<_> = table.stdout.split_whitespace().filter(|word| key::is_well_formed(word.as_bytes())).collect();
    assert_eq!(keys.len(), 1);
}

#[test]
fn a_key_without_wishes_has_no_limits() {
    let place = Place::with_alice();
    let made = place.json("key create --account alice");
    assert_eq!([&made["expires_at"], &made["budget"]], [&Value::Null, &Value::Null]);
    assert_eq!(made["limits"], json!({"rpm": null, "tpm": null, "concurrency": null}));
    assert_eq!([&made["models"], &made["allow_ips"]], [&json!([]), &json!([])]);
}

#[test]
fn a_key_is_changed_and_what_was_not_named_stays() {
    let place = Place::with_alice();
    let made = place.json("key create --account alice --name laptop --rpm 60 --budget 3 --models demo-chat");
    let id = words(&made, "id");
    let changed = place.json(&format!("key update {id} --rpm none --tpm 5 --expires 2999-12-31 --allow-ip 10.0.0.0/8"));
    assert_eq!(changed["limits"], json!({"rpm": null, "tpm": 5, "concurrency": null}));
    assert_eq!(changed["expires_at"], "2999-12-31T00:00:00Z");
    assert_eq!(changed["allow_ips"], json!(["10.0.0.0/8"]));
    assert_eq!(
        [&changed["name"], &changed["budget"], &changed["models"]],
        [&made["name"], &made["budget"], &made["models"]]
    );

    let cleared =
        place.json(&format!("key update {id} --budget none --expires never --models any --allow-ip any --name x"));
    assert_eq!([&cleared["budget"], &cleared["expires_at"]], [&Value::Null, &Value::Null]);
    assert_eq!([&cleared["models"], &cleared["allow_ips"], &cleared["name"]], [&json!([]), &json!([]), &json!("x")]);
    assert_eq!(cleared["limits"]["tpm"], 5);

    place.run(&format!("key update {id}")).refused(2, "--rpm");
    place.run(&format!("key update {id} --models any,demo-chat")).refused(2, "any stands alone");
    place.run(&format!("key update {id} --rpm 0")).refused(2, "--rpm");
    place.run(&format!("key update {id} --budget -1")).refused(2, "negative");
}

#[test]
fn a_key_is_switched_off_and_on_and_ends() {
    let place = Place::with_alice();
    let id = words(&place.json("key create --account alice"), "id");
    assert_eq!(place.json(&format!("key disable {id}"))["status"], "disabled");
    assert_eq!(place.json(&format!("key enable {id}"))["status"], "active");
    let past = place.run(&format!("key update {id} --expires 2020-01-01 --json")).done();
    assert_eq!(past.json()["status"], "expired");
    assert!(past.stderr.contains("past its end"), "{}", past.stderr);
    assert_eq!(place.json(&format!("key delete {id}"))["status"], "deleted");
    assert_eq!(place.json("key list"), json!([]));
    place.run(&format!("key enable {id}")).refused(1, "key");
}

#[test]
fn a_key_is_found_by_a_beginning_that_fits_it_alone() {
    let place = Place::with_alice();
    let id = words(&place.json("key create --account alice --name one"), "id");
    let beginning = &id[..id.len() - 3];
    assert_eq!(place.json(&format!("key show {beginning}"))["id"], id.as_str());
    place.run("key show key_").refused(1, "shortened id");
    place.run("key show key_00000000000").refused(1, "there is no key");
    place.run("key create --account bob").refused(1, "there is no account");
}

#[test]
fn a_rotated_key_has_a_successor_with_its_rights() {
    let place = Place::with_alice();
    let old = place.json("key create --account alice --name laptop --rpm 7 --expires 2999-01-01 --models demo-chat");
    let old_id = words(&old, "id");
    let new = place.json(&format!("key rotate {old_id} --keep-old 24h"));
    assert_fields(&new, &format!("{KEY_FIELDS} key"));
    assert_ne!(new["key"], old["key"]);
    assert_ne!(new["id"], old["id"]);
    for field in ["name", "limits", "models", "expires_at", "account"] {
        assert_eq!(new[field], old[field], "{field}");
    }
    let kept = place.json(&format!("key show {old_id}"));
    assert_eq!(kept["status"], "active");
    assert!(words(&kept, "expires_at") < words(&old, "expires_at"));

    // Without patience the old one ends at once.
    let new_id = words(&new, "id");
    place.run(&format!("key rotate {new_id} --keep-old soon")).refused(2, "24h");
    let newest = place.json(&format!("key rotate {new_id}"));
    assert!(key::is_well_formed(words(&newest, "key").as_bytes()));
    assert_ne!(place.json(&format!("key show {new_id}"))["status"], "active");
}

#[test]
fn rotation_never_lengthens_the_old_keys_life() {
    let place = Place::with_alice();
    let old = place.json("key create --account alice --expires 1h");
    let old_id = words(&old, "id");
    place.json(&format!("key rotate {old_id} --keep-old 30d"));
    assert_eq!(place.json(&format!("key show {old_id}"))["expires_at"], old["expires_at"]);
}

// admin-token

#[test]
fn an_admin_token_is_shown_once_and_revoked() {
    let place = Place::new();
    let made = place.json("admin-token create ci --scope keys,read --scope keys");
    let token = words(&made, "token");
    assert!(admin_token::is_well_formed(token.as_bytes()));
    assert_eq!(made["scopes"], json!(["read", "keys"]));
    let listed = place.run("admin-token list --json").done();
    assert!(!listed.stdout.contains(&token));
    assert_fields(&listed.json()[0], "id name scopes status created_at last_used_at revoked_at");
    let revoked = place.json(&format!("admin-token revoke {}", words(&made, "id")));
    assert_eq!(revoked["status"], "revoked");
    assert!(revoked["revoked_at"].is_string());
    place.run("admin-token create ci --scope root").refused(2, "read, keys");
    place.run("admin-token create ci").refused(2, "--scope");
    place.run("admin-token revoke adm_0000000000").refused(1, "there is no admin token");
}

// usage, requests, ledger

/// Alice with three requests: two of one model, one that failed.
fn with_requests() -> (Place, Vec<RequestId>) {
    let place = Place::with_alice();
    let key_id = words(&place.json("key create --account alice --name laptop"), "id");
    let ids: Vec<RequestId> = (0..3).map(|_| RequestId::new()).collect();
    let failed = RequestRow {
        upstream: String::new(),
        status: 500,
        outcome: Outcome::UpstreamFailed,
        output_tokens: 0,
        ttft_ms: None,
        ..request(ids[2], "demo-embed", Nano::ZERO)
    };
    let paid = [Nano(1_500_000_000), Nano(1)].into_iter().zip(&ids);
    let rows = paid.map(|(charge, id)| request(*id, "demo-chat", charge)).chain([failed]);
    place.record(&key_id, rows.collect());
    (place, ids)
}

#[test]
fn requests_are_listed_newest_first() {
    let (place, ids) = with_requests();
    let all = place.json("requests");
    let listed: Vec<_> = all.as_array().unwrap().iter().map(|record| words(record, "id")).collect();
    let newest_first: Vec<_> = ids.iter().rev().map(ToString::to_string).collect();
    assert_eq!(listed, newest_first);
    assert_fields(
        &all[0],
        "id account key_id endpoint model upstream status outcome estimated streamed input_tokens cached_input_tokens \
         output_tokens reasoning_tokens charge price_version started_at ttft_ms duration_ms",
    );
    assert_eq!([&all[0]["outcome"], &all[0]["charge"]], ["upstream_failed", "0"]);
    assert_eq!([&all[0]["upstream"], &all[0]["ttft_ms"]], [&Value::Null, &Value::Null]);
    assert_eq!(
        [&all[2]["account"], &all[2]["charge"], &all[2]["started_at"]],
        ["alice", "1.5", "2026-11-23T06:35:00.125Z"]
    );

    let key_id = words(&all[0], "key_id");
    assert_eq!(place.json(&format!("requests --key {key_id} --account alice")), all);
    assert_eq!(place.json("requests --limit 1"), json!([all[0]]));
    place.run("account create bob").done();
    assert_eq!(place.json("requests --account bob"), json!([]));
    place.run("requests --limit 0").refused(2, "--limit");
    assert!(place.run("requests").done().stdout.contains("1.5"));
}

#[test]
fn usage_adds_up_by_what_was_asked() {
    let (place, _) = with_requests();
    let by_model = place.json("usage --by model");
    let chat = by_model.as_array().unwrap().iter().find(|row| row["model"] == "demo-chat").unwrap();
    assert_eq!(
        chat,
        &json!({"model": "demo-chat", "requests": 2, "errors": 0, "input_tokens": 200, "cached_input_tokens": 80,
                "output_tokens": 40, "reasoning_tokens": 10, "charge": "1.500000001"})
    );
    let by_day = place.json("usage");
    assert_eq!(
        [&by_day[0]["day"], &by_day[0]["requests"], &by_day[0]["errors"]],
        [&json!("2026-11-23"), &json!(3), &json!(1)]
    );
    assert_eq!(place.json("usage --by account")[0]["account"], "alice");
    assert!(words(&place.json("usage --by key")[0], "key").starts_with("key_"));
    assert!(place.json("usage --by upstream").as_array().unwrap().iter().any(|row| row["upstream"] == "demo"));

    assert_eq!(place.json("usage --from 2026-11-23 --to 2026-11-23"), by_day);
    assert_eq!(place.json("usage --to 2026-11-22"), json!([]));
    assert_eq!(place.json("usage --from 2026-11-24 --account alice"), json!([]));
    place.run("usage --from 2026-11-24 --to 2026-11-23").refused(2, "--from is after --to");
    place.run("usage --by week").refused(2, "day");
    place.run("usage --csv --json").refused(2, "exclude");
}

#[test]
fn usage_is_csv_for_spreadsheets() {
    let (place, _) = with_requests();
    let csv = place.run("usage --by day --csv").done().stdout;
    let header = "day,requests,errors,input_tokens,cached_input_tokens,output_tokens,reasoning_tokens,charge\r\n";
    assert_eq!(csv, format!("{header}2026-11-23,3,1,300,120,40,15,1.500000001\r\n"));
    let nothing = place.run("usage --csv --to 1999-12-31").done().stdout;
    assert_eq!(nothing, header);
}

#[test]
fn the_ledger_tells_where_the_balance_comes_from() {
    let (place, ids) = with_requests();
    let entries = place.json("ledger --account alice");
    let told: Vec<_> =
        entries.as_array().unwrap().iter().map(|entry| (words(entry, "kind"), words(entry, "amount"))).collect();
    let expected = [("charge", "-0.000000001"), ("charge", "-1.5"), ("credit", "10")];
    assert_eq!(told, expected.map(|(kind, amount)| (kind.to_owned(), amount.to_owned())));
    assert_fields(&entries[0], ENTRY_FIELDS);
    assert_eq!(entries[1]["request_id"], ids[0].to_string());
    assert_eq!(entries[0]["balance_after"], place.json("account show alice")["balance"]);
    assert_eq!(place.json("ledger --account alice --limit 1"), json!([entries[0]]));
    place.run("ledger").refused(2, "--account");
    place.run("ledger --account nobody").refused(1, "there is no account");
}

// audit, backup

#[test]
fn the_audit_finds_money_that_came_from_nowhere() {
    let (place, _) = with_requests();
    let proof = place.json("audit");
    assert_fields(&proof, "ok accounts entries requests holds balance differences");
    assert_eq!(proof["ok"], true);
    assert_eq!([&proof["entries"], &proof["requests"], &proof["holds"]], [3, 3, 0]);
    assert_eq!(proof["balance"], "8.499999999");
    assert!(place.run("audit").done().stdout.contains("the books balance"));

    tamper(&place.database());
    let found = place.run("audit --json").ends_with(1).json();
    assert_eq!(found["ok"], false);
    assert!(!found["differences"].as_array().unwrap().is_empty());
    assert!(place.run("audit").ends_with(1).stdout.contains("alice"));
}

fn tamper(database: &Path) {
    let connection = rusqlite::Connection::open(database).unwrap();
    assert_eq!(connection.execute("UPDATE account SET balance = balance + 1", []).unwrap(), 1);
}

#[test]
fn a_backup_is_whole_private_and_never_overwrites() {
    let (place, _) = with_requests();
    let copy = place.folder.path().join("copy.db");
    let said = place.json(&format!("backup {}", copy.display()));
    assert_eq!(said["bytes"], fs::metadata(&copy).unwrap().len());
    assert_eq!(words(&said, "file"), copy.display().to_string());
    place.run(&format!("backup {}", copy.display())).refused(1, "copy.db");

    let restored = Place::with_config(&CONFIG.replace("data/tollgate.db", &copy.display().to_string()));
    assert_eq!(restored.json("account list"), place.json("account list"));
    assert_eq!(restored.json("audit"), place.json("audit"));
    assert_eq!(mode(&copy), 0o600);
}

#[test]
fn storage_files_are_private() {
    let place = Place::with_alice();
    for file in fs::read_dir(place.database().parent().unwrap()).unwrap() {
        let path = file.unwrap().path();
        assert_eq!(mode(&path), 0o600, "{}", path.display());
    }
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}
