-- People who sign in and how they were let in, codes that carry money, who did what by hand, and what was asked twice.
--
-- Whatever is secret is here as its SHA-256, but for the passwords that people choose: those are argon2id, as PHC text.

-- `folded` is the login without regard to case.
CREATE TABLE person (
  id              INTEGER PRIMARY KEY,
  public_id       TEXT    NOT NULL UNIQUE,
  login           TEXT    NOT NULL,
  folded          TEXT    NOT NULL UNIQUE,
  role            TEXT    NOT NULL CHECK (role IN ('operator', 'customer')),
  status          TEXT    NOT NULL CHECK (status IN ('active', 'disabled')),
  account         INTEGER REFERENCES account,
  password        TEXT    NOT NULL CHECK (password LIKE '$%'),
  created_at_ms   INTEGER NOT NULL,
  last_seen_at_ms INTEGER,
  CHECK (role = 'operator' OR account IS NOT NULL)
) STRICT;

CREATE TABLE session (
  hash            BLOB    PRIMARY KEY CHECK (length(hash) = 32),
  public_id       TEXT    NOT NULL UNIQUE,
  person          INTEGER NOT NULL REFERENCES person,
  created_at_ms   INTEGER NOT NULL,
  last_seen_at_ms INTEGER NOT NULL,
  expires_at_ms   INTEGER NOT NULL,
  address         TEXT,
  agent           TEXT    NOT NULL CHECK (length(agent) <= 200)
) STRICT, WITHOUT ROWID;

CREATE INDEX session_person ON session (person);
CREATE INDEX session_end ON session (expires_at_ms);

-- A link to sign up with, or, with `resets`, to choose a new password; the role is then the person's own.
-- `first` is the link that the program itself hands out as long as there is no operator.
CREATE TABLE invitation (
  id            INTEGER PRIMARY KEY,
  public_id     TEXT    NOT NULL UNIQUE,
  hash          BLOB    NOT NULL UNIQUE CHECK (length(hash) = 32),
  first         INTEGER NOT NULL CHECK (first IN (0, 1)),
  role          TEXT    CHECK (role IN ('operator', 'customer')),
  account       INTEGER REFERENCES account,
  resets        INTEGER REFERENCES person,
  note          TEXT,
  created_at_ms INTEGER NOT NULL,
  expires_at_ms INTEGER NOT NULL,
  used_at_ms    INTEGER,
  revoked_at_ms INTEGER,
  CHECK ((role IS NULL) = (resets IS NOT NULL)),
  CHECK (resets IS NULL OR account IS NULL),
  CHECK (used_at_ms IS NULL OR revoked_at_ms IS NULL)
) STRICT;

CREATE TABLE redeem_code (
  id             INTEGER PRIMARY KEY,
  public_id      TEXT    NOT NULL UNIQUE,
  hash           BLOB    NOT NULL UNIQUE CHECK (length(hash) = 32),
  name           TEXT    NOT NULL,
  ending         TEXT    NOT NULL,
  amount         INTEGER NOT NULL CHECK (amount > 0),
  note           TEXT,
  created_at_ms  INTEGER NOT NULL,
  expires_at_ms  INTEGER,
  voided_at_ms   INTEGER,
  redeemed_at_ms INTEGER,
  redeemed_by    INTEGER REFERENCES account,
  CHECK ((redeemed_at_ms IS NULL) = (redeemed_by IS NULL)),
  CHECK (redeemed_at_ms IS NULL OR voided_at_ms IS NULL)
) STRICT;

CREATE INDEX redeem_code_name ON redeem_code (name);
-- What codes still owe is a sum over those that wait, not over all that there ever were.
CREATE INDEX redeem_code_open ON redeem_code (expires_at_ms, amount) WHERE redeemed_at_ms IS NULL AND voided_at_ms IS NULL;

CREATE TRIGGER redeem_code_is_spent_once BEFORE UPDATE ON redeem_code WHEN OLD.redeemed_at_ms IS NOT NULL
BEGIN SELECT RAISE(ABORT, 'the code was redeemed before'); END;

CREATE TRIGGER redeem_code_is_never_forgotten BEFORE DELETE ON redeem_code
BEGIN SELECT RAISE(ABORT, 'codes are kept'); END;

-- `actor` is a person's login or a token's name as it was then, `actor_id` the public id; both are empty for the command
-- line. `before` and `after` are JSON objects of the fields that changed.
CREATE TABLE action (
  seq        INTEGER PRIMARY KEY AUTOINCREMENT,
  actor_kind TEXT    NOT NULL CHECK (actor_kind IN ('command_line', 'person', 'token')),
  actor_id   TEXT    NOT NULL,
  actor      TEXT    NOT NULL,
  address    TEXT,
  action     TEXT    NOT NULL,
  target     TEXT    NOT NULL,
  before     TEXT    CHECK (json_valid(before)),
  after      TEXT    CHECK (json_valid(after)),
  at_ms      INTEGER NOT NULL
) STRICT;

CREATE TRIGGER action_is_never_changed BEFORE UPDATE ON action
BEGIN SELECT RAISE(ABORT, 'the action log is append-only'); END;

CREATE TRIGGER action_is_never_shortened BEFORE DELETE ON action
BEGIN SELECT RAISE(ABORT, 'the action log is append-only'); END;

-- Requests that said that they may be repeated: what each asked for, and the public id of what it made.
CREATE TABLE once (
  key         BLOB    PRIMARY KEY CHECK (length(key) = 32),
  fingerprint BLOB    NOT NULL CHECK (length(fingerprint) = 32),
  target      TEXT    NOT NULL,
  at_ms       INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX once_at ON once (at_ms);
