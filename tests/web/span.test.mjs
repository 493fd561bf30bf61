// The days that a usage page covers, also when the address was written by hand.
import assert from "node:assert/strict";
import { test } from "node:test";

import { dayAfter, span } from "../../src/console/web/app/usage/span.js";

const now = new Date("2026-11-23T23:59:00Z");
const days = (query) => Object.values(span(query, now));

test("ranges end today and count it", () => {
  assert.deepEqual(days({}), ["2026-10-25", "2026-11-23"]);
  assert.deepEqual(days({ range: "7d" }), ["2026-11-17", "2026-11-23"]);
  assert.deepEqual(days({ range: "month" }), ["2026-11-01", "2026-11-23"]);
  assert.deepEqual(days({ range: "never" }), ["2026-10-25", "2026-11-23"]);
});

test("chosen days win, within bounds", () => {
  assert.deepEqual(days({ from: "2026-11-01", to: "2026-11-02", range: "7d" }), ["2026-11-01", "2026-11-02"]);
  assert.deepEqual(days({ from: "2026-11-30" }), ["2026-11-23", "2026-11-23"]);
  assert.deepEqual(days({ from: "0001-01-01" }), ["2025-11-23", "2026-11-23"]);
  assert.deepEqual(days({ from: "2026-99-99", to: "x" }), ["2026-10-25", "2026-11-23"]);
  assert.equal(dayAfter("2026-12-31"), "2027-01-01");
});
