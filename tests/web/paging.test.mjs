// Lists in parts: parts that are empty and not the last, and rows that come faster than they are asked for.
import assert from "node:assert/strict";
import { test } from "node:test";

import { EMPTY_PARTS_MAX, FRESH_PARTS_MAX, freshRows, readOn } from "../../src/console/web/app/paging.js";

/** A server that answers these parts in order, and what it was asked. */
function server(parts) {
  const asked = [];
  const fetchPart = async (after) => {
    asked.push(after);
    const at = after === null ? 0 : Number(after);
    return { data: parts[at].map((id) => ({ id })), next: at + 1 < parts.length ? String(at + 1) : null };
  };
  return { asked, fetchPart };
}
const ids = (rows) => rows.map((row) => row.id);

test("empty parts are passed over, and no more is asked for than needed", async () => {
  const { asked, fetchPart } = server([[], [], ["a"], ["b"]]);
  const part = await readOn(fetchPart, null);
  assert.deepEqual([ids(part.data), part.next, asked], [["a"], "3", [null, "1", "2"]]);
  assert.deepEqual(await readOn(server([[]]).fetchPart, null), { data: [], next: null });
});

test("a search without end stops and can be taken up again", async () => {
  const { asked, fetchPart } = server(Array.from({ length: 40 }, () => []));
  const part = await readOn(fetchPart, null);
  assert.deepEqual([part.data, part.next, asked.length], [[], String(EMPTY_PARTS_MAX), EMPTY_PARTS_MAX]);
});

test("new rows are fetched down to those that are known", async () => {
  const { asked, fetchPart } = server([["f", "e"], ["d", "c"], ["b", "a"]]);
  assert.deepEqual(await freshRows(fetchPart, new Set(["c", "b", "a"])), { rows: [{ id: "f" }, { id: "e" }, { id: "d" }], gap: false });
  assert.equal(asked.length, 2);
  assert.deepEqual(await freshRows(fetchPart, new Set(["f"])), { rows: [{ id: "e" }], gap: false });
  assert.equal((await freshRows(fetchPart, new Set())).gap, false, "everything there is has been read");
});

test("what came too fast to be fetched leaves a gap that is told", async () => {
  const { asked, fetchPart } = server(Array.from({ length: 40 }, (_, i) => [`x${i}`]));
  const { rows, gap } = await freshRows(fetchPart, new Set(["x39"]));
  assert.deepEqual([rows.length, gap, asked.length], [FRESH_PARTS_MAX, true, FRESH_PARTS_MAX]);
});
