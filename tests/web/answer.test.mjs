// What the playground makes of an answer: streamed, whole, refused, hostile.
import assert from "node:assert/strict";
import { test } from "node:test";

import { emptyAnswer, refusal, takeEvent, takeWhole } from "../../src/console/web/app/playground/answer.js";

const event = (value) => ({ event: "message", data: typeof value === "string" ? value : JSON.stringify(value) });

function streamed(...values) {
  const answer = emptyAnswer();
  const spoke = values.map((value) => takeEvent(answer, event(value)));
  return { answer, spoke };
}

test("a streamed answer grows piece by piece", () => {
  const { answer, spoke } = streamed(
    { choices: [{ index: 0, delta: { role: "assistant", content: "" } }] },
    { choices: [{ index: 0, delta: { reasoning_content: "hm" } }] },
    { choices: [{ index: 0, delta: { content: "Hel" } }] },
    { choices: [{ index: 1, delta: { content: "another choice" } }] },
    { choices: [{ index: 0, delta: { content: "lo" }, finish_reason: "stop" }] },
    { choices: [], usage: { prompt_tokens: 9, completion_tokens: 2 } },
    "[DONE]",
  );
  assert.deepEqual(spoke, [false, true, true, false, true, false, false]);
  assert.equal(answer.text, "Hello");
  assert.equal(answer.reasoning, "hm");
  assert.equal(answer.finish, "stop");
  assert.deepEqual(answer.usage, { input: 9, output: 2 });
  assert.equal(answer.pieces, 3);
  assert.equal(answer.done, true);
});

test("a tool call's arguments are put together", () => {
  const call = (index, name, text) => ({
    choices: [{ delta: { tool_calls: [{ index, function: { name, arguments: text } }] } }],
  });
  const { answer } = streamed(call(0, "look", '{"a"'), call(0, undefined, ":1}"), call(1, "go", "{}"), call(1e9, "x", ""));
  assert.deepEqual(answer.tools.slice(0, 2), [
    { name: "lookx", arguments: '{"a":1}' },
    { name: "go", arguments: "{}" },
  ]);
  assert.ok(answer.tools.length <= 64);
});

test("an error inside a stream is kept with what had come", () => {
  const { answer } = streamed(
    { choices: [{ delta: { content: "half" } }] },
    { error: { code: "server_error", message: "The upstream broke off." } },
  );
  assert.equal(answer.text, "half");
  assert.deepEqual(answer.error, { code: "server_error", message: "The upstream broke off." });
  assert.equal(answer.done, false);
});

test("a whole answer is read like a streamed one", () => {
  const answer = emptyAnswer();
  takeWhole(
    answer,
    JSON.stringify({
      choices: [{ message: { content: [{ type: "text", text: "a" }, { type: "image" }, { text: "b" }] }, finish_reason: "length" }],
      usage: { prompt_tokens: 0, completion_tokens: 4 },
    }),
  );
  assert.equal(answer.text, "ab");
  assert.deepEqual([answer.finish, answer.usage, answer.done], ["length", { input: 0, output: 4 }, true]);
});

test("nothing that an upstream sends can break the page", () => {
  const hostile = [
    "null", "[]", "1", '"x"', "{", "", "{}", '{"choices":7}', '{"choices":[null]}', '{"choices":[{"delta":null}]}',
    '{"choices":[{"delta":{"content":{"a":1},"tool_calls":[null,{"function":3}]}}]}',
    '{"usage":{"prompt_tokens":-1,"completion_tokens":1.5}}', '{"usage":[],"error":"text"}', '{"error":{"code":7}}',
    '{"__proto__":{"polluted":true}}',
  ];
  for (const data of hostile) {
    const { answer } = streamed(data);
    assert.equal(answer.text, "", data);
    takeWhole(emptyAnswer(), data);
    assert.equal(typeof refusal(500, data).message, "string", data);
  }
  assert.deepEqual(streamed(hostile[11]).answer.usage, { input: null, output: null });
  assert.equal({}.polluted, undefined);
});

test("a refusal says its code and sentence, whichever side refused", () => {
  const edge = JSON.stringify({ error: { message: "No such model.", type: "model_not_found", code: "model_not_found", param: null } });
  assert.deepEqual(refusal(422, edge), { status: 422, code: "model_not_found", message: "No such model." });
  const console_ = JSON.stringify({ status: 403, code: "cross_site", detail: "Not from here." });
  assert.deepEqual(refusal(403, console_), { status: 403, code: "cross_site", message: "Not from here." });
  assert.deepEqual(refusal(502, "<html>"), { status: 502, code: "http_502", message: "" });
});
