// The reader of event streams: whole events, however the bytes are cut.
import assert from "node:assert/strict";
import { test } from "node:test";

import { EVENT_CHARS_MAX, EventReader } from "../../src/console/web/app/playground/sse.js";

const bytes = (text) => new TextEncoder().encode(text);

function read(chunks) {
  const reader = new EventReader();
  return [...chunks.flatMap((chunk) => reader.push(chunk)), ...reader.end()];
}

const STREAM = [
  "\ufeff: a comment\r\n\r\n",
  'data: {"text":"你好 🦀"}\n\n',
  "data: one\r\ndata:two\r\ndata:  three\r\ndata\r\n\r\n",
  "event: error\rdata: x: y\rid: 7\rretry: 10\r\r",
  "event: nothing\n\n",
  "database: no\ndata: [DONE]\n\n",
].join("");

const EXPECTED = [
  { event: "message", data: '{"text":"你好 🦀"}' },
  { event: "message", data: "one\ntwo\n three\n" },
  { event: "error", data: "x: y" },
  { event: "message", data: "[DONE]" },
];

test("events come whole, wherever the bytes are cut", () => {
  const whole = bytes(STREAM);
  assert.deepEqual(read([whole]), EXPECTED);
  assert.deepEqual(read(Array.from(whole, (byte) => Uint8Array.of(byte))), EXPECTED, "byte by byte");
  for (let cut = 0; cut <= whole.length; cut += 1) {
    assert.deepEqual(read([whole.subarray(0, cut), whole.subarray(cut)]), EXPECTED, `cut at ${cut}`);
  }
});

test("an event is given as soon as its blank line is there", () => {
  const reader = new EventReader();
  assert.deepEqual(reader.push(bytes("data: a\r\n\r")), [{ event: "message", data: "a" }]);
  assert.deepEqual(reader.push(bytes("\ndata: b\n\n")), [{ event: "message", data: "b" }]);
});

test("the end of the stream completes the last event", () => {
  assert.deepEqual(read([bytes("data: a\n\ndata: b")]), [
    { event: "message", data: "a" },
    { event: "message", data: "b" },
  ]);
  assert.deepEqual(read([bytes("data: a\r")]), [{ event: "message", data: "a" }]);
  assert.deepEqual(read([]), []);
});

test("an event that is too long is passed over, and the next one is read", () => {
  const long = "x".repeat(EVENT_CHARS_MAX / 4);
  const lines = Array.from({ length: 9 }, () => `data: ${long}\n`).join("");
  const events = read([bytes(lines), bytes("\ndata: next\n\n")]);
  assert.deepEqual(events, [
    { event: "message", data: "", oversize: true },
    { event: "message", data: "next" },
  ]);
  const oneLine = read([bytes("data: "), ...Array.from({ length: 9 }, () => bytes(long)), bytes("\n\ndata: next\n\n")]);
  assert.deepEqual(oneLine, events);
});

test("comments for as long as a stream likes do not use up an event's room", () => {
  const reader = new EventReader();
  const comments = bytes(`: ${"p".repeat(1000)}\n`.repeat(1000));
  for (let times = 0; times < 5; times += 1) assert.deepEqual(reader.push(comments), []);
  assert.deepEqual(reader.push(bytes("data: a\n\n")), [{ event: "message", data: "a" }]);
});

test("bytes that are no UTF-8 do not stop the stream", () => {
  const events = read([Uint8Array.of(...bytes("data: "), 0xff, 0xe4, ...bytes("\n\ndata: b\n\n"))]);
  assert.equal(events.length, 2);
  assert.match(events[0].data, /^\ufffd+$/);
});
