// Days on charts, read west of UTC. The modules ask the document for its language when they are loaded.
import assert from "node:assert/strict";
import { test } from "node:test";

process.env.TZ = "America/Los_Angeles";
Object.assign(globalThis, { document: { documentElement: { lang: "en", dataset: {} } }, matchMedia: () => ({ matches: false, addEventListener() {} }) });
const { bucketMoment, moment } = await import("../../src/console/web/app/format.js");

test("a day of the books is named as the books name it", () => {
  const midnight = "2026-11-23T00:00:00Z";
  assert.equal(moment(midnight, "day"), "Nov 22", "the reader's own zone is west of UTC");
  assert.equal(bucketMoment(midnight, 86_400), "Nov 23");
  assert.equal(bucketMoment(midnight, 604_800, "minute"), "Nov 23");
  assert.equal(bucketMoment(midnight, 3_600, "minute"), "16:00");
});
