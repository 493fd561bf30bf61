//! The file itself: whose it is, what may be wrong with it, copies of it.

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use super::*;
use crate::core::key::KeyHash;
use crate::store::contract::console::Registry;

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

fn unusable<T: std::fmt::Debug>(outcome: Result<T, StoreError>) -> String {
    match outcome {
        Err(StoreError::Unusable(why)) => why,
        other => panic!("not refused: {other:?}"),
    }
}

#[test]
fn everything_made_is_the_owners_alone() {
    let folder = tempfile::tempdir().unwrap();
    let inner = folder.path().join("new/data");
    let sqlite = Sqlite::open(&inner.join("t.db"), Durability::Full).unwrap();
    let mut journal = sqlite.journal().unwrap();
    journal.commit(&[]).unwrap();
    journal.promise(&[]).unwrap();
    sqlite.desk().unwrap().create_account("a", "default", Nano::ZERO, 0).unwrap();
    assert_eq!(mode(&inner), 0o700);
    for name in ["t.db", "t.db-wal", "t.db-shm", "t.db-holds", "t.db.lock"] {
        assert_eq!(mode(&inner.join(name)), 0o600, "{name}");
    }
}

#[test]
fn commits_are_as_hard_as_asked() {
    let folder = tempfile::tempdir().unwrap();
    for (durability, synchronous) in [(Durability::Full, 2), (Durability::Normal, 1)] {
        let sqlite = Sqlite::open(&folder.path().join("t.db"), durability).unwrap();
        let connection = sqlite.place.connect().unwrap();
        let number = |pragma| connection.pragma_query_value(None, pragma, |row| row.get::<_, i64>(0)).unwrap();
        assert_eq!((number("synchronous"), number("foreign_keys"), number("trusted_schema")), (synchronous, 1, 0));
        let mode: String = connection.pragma_query_value(None, "journal_mode", |row| row.get(0)).unwrap();
        assert_eq!(mode, "wal");
    }
}

#[test]
fn strange_files_are_named_and_left_as_they_are() {
    let folder = tempfile::tempdir().unwrap();
    let text = folder.path().join("notes.txt");
    fs::write(&text, "not a database, but a long enough text to be taken for one ".repeat(20)).unwrap();
    let foreign = folder.path().join("foreign.db");
    Connection::open(&foreign).unwrap().execute_batch("CREATE TABLE t (x)").unwrap();
    let marked = folder.path().join("marked.db");
    Connection::open(&marked).unwrap().execute_batch("PRAGMA application_id = 7; PRAGMA user_version = 1").unwrap();
    for (path, words) in [(&text, "not a database"), (&foreign, "another program"), (&marked, "another program")] {
        let before = fs::read(path).unwrap();
        let why = unusable(Sqlite::open(path, Durability::Full));
        assert!(why.contains(words) && why.contains(path.to_str().unwrap()), "{why}");
        assert_eq!(fs::read(path).unwrap(), before);
    }
}

#[test]
fn a_newer_version_is_not_touched() {
    let books = Books::new();
    books.raw().execute_batch("PRAGMA user_version = 99").unwrap();
    let why = unusable(Sqlite::open(&books.folder.path().join("t.db"), Durability::Full));
    assert!(why.contains("version 99") && why.contains("newer program"), "{why}");
}

/// A file of the first version, as a released program left it, with everything that was in these books.
fn of_the_first_version(books: &Books) -> PathBuf {
    let path = books.folder.path().join("old.db");
    let old = Connection::open(&path).unwrap();
    old.execute_batch(include_str!("../../migrations/0001_books.sql")).unwrap();
    old.execute_batch("PRAGMA application_id = 0x544F4C4C; PRAGMA user_version = 1; PRAGMA foreign_keys = OFF")
        .unwrap();
    old.execute("ATTACH ?1 AS new", [books.folder.path().join("t.db").to_str().unwrap()]).unwrap();
    let names = "SELECT name, (SELECT group_concat(name) FROM pragma_table_info(t.name, 'main'))
                 FROM main.sqlite_schema t WHERE type = 'table' AND name NOT LIKE 'sqlite%'";
    let mut statement = old.prepare(names).unwrap();
    let tables: Vec<(String, String)> =
        statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap().map(Result::unwrap).collect();
    assert_eq!(tables.len(), 9);
    for (table, columns) in tables {
        let copy = format!("INSERT OR REPLACE INTO main.{table} ({columns}) SELECT {columns} FROM new.{table}");
        old.execute_batch(&copy).unwrap();
    }
    path
}

#[test]
fn a_file_of_the_first_version_goes_on_with_all_that_is_in_it() {
    let mut books = Books::new();
    books.journal.commit(&[books.settle(1, "0.5"), books.hold(2, "1")]).unwrap();
    books.desk.create_admin_token("ci", KeyHash([7; 32]), &["read".into()], NOW_MS).unwrap();
    let path = of_the_first_version(&books);
    // A server of the old version may still be at work on it when the new one comes.
    let old = Connection::open(&path).unwrap();
    let mut balance = old.prepare("SELECT balance FROM account").unwrap();
    let mut read = || balance.query_row([], |row| row.get::<_, i64>(0)).unwrap();
    assert_eq!(read(), units("9.5").0);

    let sqlite = Sqlite::open(&path, Durability::Full).unwrap();
    assert_eq!(read(), units("9.5").0);
    let library = sqlite.library().unwrap();
    assert_eq!(library.account("alice").unwrap(), Some(books.account()));
    assert_eq!(library.ledger(books.account.id, None, 9).unwrap(), books.entries());
    assert_eq!(format!("{:?}", library.keys(None).unwrap()), format!("{:?}", books.library.keys(None).unwrap()));
    let mut before = books.library.request(request_id(1)).unwrap().unwrap();
    before.row.bill.clear();
    assert_eq!(library.request(request_id(1)).unwrap(), Some(before), "nobody kept bills yet");
    assert_eq!(library.admin_tokens().unwrap(), books.library.admin_tokens().unwrap());
    let report = library.audit().unwrap();
    assert_eq!((report.requests, report.holds, report.differences), (1, 1, vec![]));

    sqlite.journal().unwrap().commit(&[books.settle(2, "0.25")]).unwrap();
    let mut desk = sqlite.desk().unwrap();
    desk.post(books.account.id, EntryKind::Credit, units("1"), None, None, NOW_MS).unwrap();
    let password = "$argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHQ$aGFzaA";
    sqlite.registry().unwrap().sign_up("carol", password, "default", NOW_MS).unwrap();
    assert_eq!((read(), library.audit().unwrap().differences), (units("10.25").0, vec![]));
    let copy = books.folder.path().join("copy.db");
    library.backup(&copy, &mut |_, _| ()).unwrap();
    let copied = Sqlite::open(&copy, Durability::Full).unwrap();
    assert!(copied.registry().unwrap().credentials("carol").unwrap().is_some());
    assert_eq!(copied.library().unwrap().audit().unwrap(), library.audit().unwrap());
}

#[test]
fn places_that_cannot_be_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, "").unwrap();
    let why = unusable(Sqlite::open(&file.join("sub/t.db"), Durability::Full));
    assert!(why.contains("cannot be made"), "{why}");
    let why = unusable(Sqlite::open(folder.path(), Durability::Full));
    assert!(why.contains("not a file"), "{why}");
}

#[test]
fn damage_is_found_before_anything_is_written() {
    let mut books = Books::new();
    let group: Vec<Change> = (0..2_000).map(|n| books.settle(n, "0.001")).collect();
    books.journal.commit(&group).unwrap();
    let Books { folder, sqlite, journal, desk, library, .. } = books;
    drop((journal, desk, library));
    let path = folder.path().join("t.db");
    let mut bytes = fs::read(&path).unwrap();
    let middle = bytes.len() / 2 / 4096 * 4096;
    bytes[middle..middle + 4096].fill(0xA5);
    fs::write(&path, bytes).unwrap();
    let why = unusable(sqlite.journal().map(|_| ()));
    assert!(why.contains("damaged") && why.contains("t.db"), "{why}");
    // The lock was given back.
    unusable(sqlite.journal().map(|_| ()));
}

#[test]
fn two_processes_may_make_the_file_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("t.db");
    std::thread::scope(|scope| {
        for number in 0..8 {
            let path = &path;
            scope.spawn(move || {
                let sqlite = Sqlite::open(path, Durability::Normal).unwrap();
                sqlite.desk().unwrap().create_account(&format!("a{number}"), "g", units("1"), 0).unwrap();
            });
        }
    });
    let library = Sqlite::open(&path, Durability::Normal).unwrap().library().unwrap();
    let report = library.audit().unwrap();
    assert_eq!((report.accounts, report.balance, report.differences), (8, units("8").into(), vec![]));
}

#[test]
fn a_transaction_that_was_never_committed_never_was() {
    let mut books = Books::new();
    books.journal.commit(&[books.hold(1, "1")]).unwrap();
    let raw = books.raw();
    raw.execute_batch(
        "BEGIN IMMEDIATE; DELETE FROM hold; UPDATE account SET balance = 0;
         INSERT INTO ledger (account, kind, amount, balance_after, at_ms) VALUES (1, 'credit', 5, 5, 0)",
    )
    .unwrap();
    drop(raw);
    assert_eq!((books.account().balance, books.account().held), (units("10"), units("1")));
    books.assert_proved();
}

/// What a machine that lost power might find: the log up to any byte. Every prefix must be whole groups.
#[test]
fn any_beginning_of_the_log_is_balanced_books() {
    let mut books = Books::new();
    books.raw().query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).unwrap();
    for n in 0..12 {
        books.journal.commit(&[books.hold(2 * n, "1"), books.settle(2 * n + 1, "0.1")]).unwrap();
        books.journal.commit(&[books.settle(2 * n, "0.2")]).unwrap();
    }
    let (database, log) = (books.folder.path().join("t.db"), books.folder.path().join("t.db-wal"));
    let log = fs::read(log).unwrap();
    let (mut seen, cuts) = (Vec::new(), 40);
    for cut in 0..=cuts {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("t.db");
        fs::copy(&database, &path).unwrap();
        fs::write(folder.path().join("t.db-wal"), &log[..log.len() * cut / cuts]).unwrap();
        let sqlite = Sqlite::open(&path, Durability::Full).unwrap();
        sqlite.journal().unwrap().recover(NOW_MS).unwrap();
        let report = sqlite.library().unwrap().audit().unwrap();
        assert_eq!(report.differences, Vec::<String>::new(), "cut {cut}");
        seen.push(report.requests);
    }
    assert!(seen.is_sorted() && seen[0] == 0 && seen[cuts] == 24, "{seen:?}");
}

#[test]
fn a_copy_is_consistent_while_others_write() {
    let mut books = Books::new();
    let fill: Vec<Change> = (0..30_000).map(|n| books.settle(n, "0.0001")).collect();
    books.journal.commit(&fill).unwrap();
    let to = books.folder.path().join("copy.db");
    let (more, later) = (books.settle(99_000, "0.5"), books.settle(99_001, "0.5"));
    let (mut steps, mut last) = (0, (0, 1));
    let Books { journal, library, .. } = &mut books;
    library
        .backup(&to, &mut |done, all| {
            // Another connection commits between any two steps; the copy neither starts again nor sees it.
            assert!(done >= last.0 && done <= all);
            (steps, last) = (steps + 1, (done, all));
            journal
                .commit(if steps == 1 { std::slice::from_ref(&more) } else { std::slice::from_ref(&later) })
                .unwrap();
        })
        .unwrap();
    assert!(steps > 1 && last.0 == last.1, "{steps} steps, {last:?}");
    assert_eq!(mode(&to), 0o600);
    let names: Vec<PathBuf> = fs::read_dir(books.folder.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(!names.iter().any(|name| name.to_str().unwrap().contains("partial")), "{names:?}");

    let copy = Sqlite::open(&to, Durability::Full).unwrap().library().unwrap().audit().unwrap();
    assert_eq!((copy.requests, copy.differences), (30_000, vec![]));
    assert_eq!(books.assert_proved().requests, 30_002);
    assert!(refusal(books.library.backup(&to, &mut |_, _| ())).contains("not overwritten"));
    let nowhere = books.library.backup(&books.folder.path().join("no/such/copy.db"), &mut |_, _| ());
    assert!(matches!(nowhere, Err(StoreError::Unavailable(_))), "{nowhere:?}");
}
