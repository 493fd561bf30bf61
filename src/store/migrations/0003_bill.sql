-- What each charge consists of, and totals for charts and for lists that are read often.

-- The lines of the charge as `core::bill` writes them; empty where there is nothing to show.
ALTER TABLE request ADD COLUMN bill TEXT NOT NULL DEFAULT '';

-- What the same costs by the price list, before the group's markup: the difference is the operator's margin. Of what was
-- booked before this column was there it is the charge.
ALTER TABLE request ADD COLUMN cost INTEGER NOT NULL DEFAULT 0;
ALTER TABLE usage_day ADD COLUMN cost INTEGER NOT NULL DEFAULT 0;
UPDATE request SET cost = charge WHERE charge > 0;
UPDATE usage_day SET cost = charge WHERE charge > 0;

-- One account's credits, among however many charges.
CREATE INDEX ledger_account_by_hand ON ledger (account) WHERE kind <> 'charge';

-- Totals by the span of time in which requests started, written with each charge. `span` is its length in minutes, `nth`
-- its number since 1970. Account and key 0 are all of them together. Charts read these: adding up the records of a busy
-- day, or the days of thousands of accounts, would take longer than a page may.
--   1 minute: each account with its keys, and all; 15 minutes: all; both for fifteen days. 1440 minutes: all, for ever.
CREATE TABLE usage_span (
  span                INTEGER NOT NULL CHECK (span IN (1, 15, 1440)),
  nth                 INTEGER NOT NULL CHECK (nth >= 0),
  account             INTEGER NOT NULL,
  key                 INTEGER NOT NULL,
  model               INTEGER NOT NULL REFERENCES word,
  upstream            INTEGER NOT NULL REFERENCES word,
  requests            INTEGER NOT NULL CHECK (requests >= 0),
  errors              INTEGER NOT NULL CHECK (errors BETWEEN 0 AND requests),
  input_tokens        INTEGER NOT NULL CHECK (input_tokens >= 0),
  cached_input_tokens INTEGER NOT NULL CHECK (cached_input_tokens >= 0),
  output_tokens       INTEGER NOT NULL CHECK (output_tokens >= 0),
  reasoning_tokens    INTEGER NOT NULL CHECK (reasoning_tokens >= 0),
  charge              INTEGER NOT NULL CHECK (charge >= 0),
  cost                INTEGER NOT NULL CHECK (cost >= 0),
  PRIMARY KEY (span, nth, account, key, model, upstream)
) STRICT, WITHOUT ROWID;

-- The first minute since 1970 from which the spans shorter than a day are whole.
ALTER TABLE meta ADD COLUMN spans_from INTEGER NOT NULL DEFAULT 0;

UPDATE meta SET spans_from = max(unixepoch() / 60 - 21600, (pruned_day + 1) * 1440)
WHERE EXISTS (SELECT 1 FROM request) OR pruned_day >= 0;

INSERT INTO usage_span
SELECT 1440, day, 0, 0, model, upstream, sum(requests), sum(errors), sum(input_tokens), sum(cached_input_tokens),
       sum(output_tokens), sum(reasoning_tokens), sum(charge), sum(cost)
FROM usage_day GROUP BY day, model, upstream;

-- Ids begin with 48 bits of milliseconds, so the records of the last fifteen days are one range; an hour more, as an id may
-- be a little younger than its request.
INSERT INTO usage_span
SELECT 1, started_at_ms / 60000 AS nth, account, key, model, upstream, count(*), sum(outcome <> 'ok'), sum(input_tokens),
       sum(cached_input_tokens), sum(output_tokens), sum(reasoning_tokens), sum(charge), sum(cost)
FROM request
WHERE id >= unhex(printf('%012x00000000000000000000', ((SELECT spans_from FROM meta) - 60) * 60000))
      AND started_at_ms >= (SELECT spans_from FROM meta) * 60000
GROUP BY nth, account, key, model, upstream;

INSERT INTO usage_span
SELECT spans.span, nth / spans.span AS number, 0, 0, model, upstream, sum(requests), sum(errors), sum(input_tokens),
       sum(cached_input_tokens), sum(output_tokens), sum(reasoning_tokens), sum(charge), sum(cost)
FROM usage_span JOIN (SELECT 1 AS span UNION ALL SELECT 15) AS spans
WHERE usage_span.span = 1
GROUP BY spans.span, number, model, upstream;
