-- Accounts, keys, the ledger and what running and finished requests leave behind.
--
-- Money is in nano-units of the billing currency, times are milliseconds since 1970-01-01 UTC, ids of requests are the
-- 16 bytes of a UUID version 7, which sort by time.

-- One row. `revision` counts what was changed by hand; each changed row carries the revision that changed it.
-- `pruned_through` and `pruned_day` are the newest request id and the newest UTC day that retention has removed.
CREATE TABLE meta (
  one            INTEGER PRIMARY KEY CHECK (one = 1),
  revision       INTEGER NOT NULL,
  pruned_through BLOB    NOT NULL CHECK (length(pruned_through) = 16),
  pruned_day     INTEGER NOT NULL
) STRICT;

INSERT INTO meta VALUES (1, 1, zeroblob(16), -1);

CREATE TABLE account (
  id            INTEGER PRIMARY KEY,
  public_id     TEXT    NOT NULL UNIQUE,
  name          TEXT    NOT NULL UNIQUE,
  group_name    TEXT    NOT NULL,
  status        TEXT    NOT NULL CHECK (status IN ('active', 'suspended')),
  balance       INTEGER NOT NULL DEFAULT 0,
  created_at_ms INTEGER NOT NULL,
  revision      INTEGER NOT NULL
) STRICT;

CREATE INDEX account_revision ON account (revision);

-- `spent` is the sum of this key's own charges; `spent_before` is what its predecessors had spent when it took over.
CREATE TABLE api_key (
  id              INTEGER PRIMARY KEY,
  public_id       TEXT    NOT NULL UNIQUE,
  account         INTEGER NOT NULL REFERENCES account,
  name            TEXT    NOT NULL,
  hash            BLOB    NOT NULL UNIQUE CHECK (length(hash) = 32),
  prefix          TEXT    NOT NULL,
  status          TEXT    NOT NULL CHECK (status IN ('active', 'disabled', 'deleted')),
  expires_at_ms   INTEGER,
  models          TEXT    NOT NULL,
  rpm             INTEGER CHECK (rpm >= 0),
  tpm             INTEGER CHECK (tpm >= 0),
  concurrency     INTEGER CHECK (concurrency >= 0),
  budget          INTEGER CHECK (budget >= 0),
  allow_ips       TEXT    NOT NULL,
  spent           INTEGER NOT NULL DEFAULT 0 CHECK (spent >= 0),
  spent_before    INTEGER NOT NULL DEFAULT 0 CHECK (spent_before >= 0),
  created_at_ms   INTEGER NOT NULL,
  last_used_at_ms INTEGER,
  revision        INTEGER NOT NULL
) STRICT;

CREATE INDEX api_key_account ON api_key (account);
CREATE INDEX api_key_revision ON api_key (revision);

CREATE TABLE ledger (
  seq           INTEGER PRIMARY KEY AUTOINCREMENT,
  account       INTEGER NOT NULL REFERENCES account,
  kind          TEXT    NOT NULL CHECK (kind = 'credit' OR kind = 'charge' OR kind = 'adjust' OR kind = 'refund'),
  amount        INTEGER NOT NULL CHECK (
    CASE kind WHEN 'charge' THEN amount < 0 WHEN 'adjust' THEN amount <> 0 ELSE amount > 0 END
  ),
  balance_after INTEGER NOT NULL,
  request       BLOB    CHECK (length(request) = 16),
  reference     TEXT,
  note          TEXT,
  at_ms         INTEGER NOT NULL,
  CHECK (kind <> 'charge' OR request IS NOT NULL)
) STRICT;

CREATE INDEX ledger_account ON ledger (account);
CREATE INDEX ledger_by_hand ON ledger (seq) WHERE kind <> 'charge';
CREATE UNIQUE INDEX ledger_request ON ledger (request, kind) WHERE request IS NOT NULL;
CREATE UNIQUE INDEX ledger_reference ON ledger (kind, reference) WHERE reference IS NOT NULL;

CREATE TRIGGER ledger_is_never_changed BEFORE UPDATE ON ledger
BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;

CREATE TRIGGER ledger_is_never_shortened BEFORE DELETE ON ledger
BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;

-- Running requests: what each has set aside, and by its last checkpoint what it has cost so far.
CREATE TABLE hold (
  request       BLOB    PRIMARY KEY CHECK (length(request) = 16),
  account       INTEGER NOT NULL REFERENCES account,
  key           INTEGER NOT NULL REFERENCES api_key,
  endpoint      TEXT    NOT NULL,
  model         TEXT    NOT NULL,
  streamed      INTEGER NOT NULL CHECK (streamed IN (0, 1)),
  amount        INTEGER NOT NULL CHECK (amount >= 0),
  price_version TEXT    NOT NULL,
  started_at_ms INTEGER NOT NULL,
  charge        INTEGER NOT NULL DEFAULT 0 CHECK (charge >= 0),
  upstream      TEXT    NOT NULL DEFAULT '',
  input_tokens  INTEGER NOT NULL DEFAULT 0 CHECK (input_tokens >= 0),
  output_tokens INTEGER NOT NULL DEFAULT 0 CHECK (output_tokens >= 0)
) STRICT, WITHOUT ROWID;

-- Names of models, upstreams, endpoints and price versions, kept once: they repeat in every request.
CREATE TABLE word (
  id   INTEGER PRIMARY KEY,
  text TEXT NOT NULL UNIQUE
) STRICT;

CREATE TABLE request (
  id                  BLOB    PRIMARY KEY CHECK (length(id) = 16),
  account             INTEGER NOT NULL REFERENCES account,
  key                 INTEGER NOT NULL REFERENCES api_key,
  endpoint            INTEGER NOT NULL REFERENCES word,
  model               INTEGER NOT NULL REFERENCES word,
  upstream            INTEGER NOT NULL REFERENCES word,
  price_version       INTEGER NOT NULL REFERENCES word,
  status              INTEGER NOT NULL,
  outcome             TEXT    NOT NULL,
  estimated           INTEGER NOT NULL CHECK (estimated IN (0, 1)),
  anomalous           INTEGER NOT NULL CHECK (anomalous IN (0, 1)),
  streamed            INTEGER NOT NULL CHECK (streamed IN (0, 1)),
  input_tokens        INTEGER NOT NULL CHECK (input_tokens >= 0),
  cached_input_tokens INTEGER NOT NULL CHECK (cached_input_tokens >= 0),
  output_tokens       INTEGER NOT NULL CHECK (output_tokens >= 0),
  reasoning_tokens    INTEGER NOT NULL CHECK (reasoning_tokens >= 0),
  charge              INTEGER NOT NULL CHECK (charge >= 0),
  started_at_ms       INTEGER NOT NULL CHECK (started_at_ms >= 0),
  ttft_ms             INTEGER CHECK (ttft_ms >= 0),
  duration_ms         INTEGER NOT NULL CHECK (duration_ms >= 0)
) STRICT, WITHOUT ROWID;

-- The primary key follows in each index by itself, so one account's or key's requests are found newest first.
CREATE INDEX request_account ON request (account);
CREATE INDEX request_key ON request (key);

-- Daily totals by the UTC day on which requests started; written with each charge and kept for ever.
CREATE TABLE usage_day (
  day                 INTEGER NOT NULL CHECK (day >= 0),
  account             INTEGER NOT NULL REFERENCES account,
  key                 INTEGER NOT NULL REFERENCES api_key,
  model               INTEGER NOT NULL REFERENCES word,
  upstream            INTEGER NOT NULL REFERENCES word,
  requests            INTEGER NOT NULL CHECK (requests >= 0),
  errors              INTEGER NOT NULL CHECK (errors BETWEEN 0 AND requests),
  input_tokens        INTEGER NOT NULL CHECK (input_tokens >= 0),
  cached_input_tokens INTEGER NOT NULL CHECK (cached_input_tokens >= 0),
  output_tokens       INTEGER NOT NULL CHECK (output_tokens >= 0),
  reasoning_tokens    INTEGER NOT NULL CHECK (reasoning_tokens >= 0),
  charge              INTEGER NOT NULL CHECK (charge >= 0),
  PRIMARY KEY (day, account, key, model, upstream)
) STRICT, WITHOUT ROWID;

CREATE TABLE admin_token (
  id              INTEGER PRIMARY KEY,
  public_id       TEXT    NOT NULL UNIQUE,
  name            TEXT    NOT NULL,
  hash            BLOB    NOT NULL UNIQUE CHECK (length(hash) = 32),
  scopes          TEXT    NOT NULL,
  created_at_ms   INTEGER NOT NULL,
  revoked_at_ms   INTEGER,
  last_used_at_ms INTEGER
) STRICT;
