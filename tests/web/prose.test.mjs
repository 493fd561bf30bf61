// A model's text in pieces to draw: nothing is lost, nothing becomes markup.
import assert from "node:assert/strict";
import { test } from "node:test";

import { blocks, spans } from "../../src/console/web/app/playground/prose.js";

test("code fences stand apart, also unfinished ones", () => {
  assert.deepEqual(blocks("Look:\n\n```rust\nfn main() {}\n```\n\nDone.\n~~~\n<script>"), [
    { kind: "text", text: "Look:" },
    { kind: "code", language: "rust", text: "fn main() {}" },
    { kind: "text", text: "Done." },
    { kind: "code", language: "", text: "<script>" },
  ]);
  assert.deepEqual(blocks("````\n```\nin\n```\n````"), [{ kind: "code", language: "", text: "```\nin\n```" }]);
  assert.deepEqual(blocks("```js"), [{ kind: "code", language: "js", text: "" }]);
  assert.deepEqual(blocks(" \n\n"), []);
});

test("inside a paragraph, code and strong words", () => {
  assert.deepEqual(spans("use `a*b` **now** * ok `"), [
    { kind: "plain", text: "use " },
    { kind: "code", text: "a*b" },
    { kind: "plain", text: " " },
    { kind: "strong", text: "now" },
    { kind: "plain", text: " * ok `" },
  ]);
  assert.deepEqual(spans(""), []);
});

test("a growing text only ever changes its last block", () => {
  const whole = "One.\n\n```py\nx = 1\n```\nTwo `c`.\n```\ny\n```\nEnd";
  let before = [];
  for (let length = 1; length <= whole.length; length += 1) {
    const now = blocks(whole.slice(0, length));
    for (let index = 0; index + 1 < Math.min(before.length, now.length); index += 1) {
      assert.equal(now[index].kind, before[index].kind, `block ${index} at ${length}`);
    }
    before = now;
  }
});

test("a long hostile text takes no time", () => {
  const started = performance.now();
  blocks("`".repeat(200_000));
  blocks("```\n".repeat(50_000));
  spans("*`".repeat(100_000));
  spans("**".repeat(100_000));
  assert.ok(performance.now() - started < 2_000);
});
