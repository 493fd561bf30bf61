// Code that people paste must do what it shows, whatever text is inside: each language's own reader is asked.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { test } from "node:test";

import { chatBody, embeddingBody, readExtra } from "../../src/console/web/app/playground/body.js";
import { curl, go, node, python } from "../../src/console/web/app/playground/code.js";

const SETTINGS = { model: "m", system: "", temperature: null, topP: null, maxTokens: null, stream: false, json: false, extra: "" };

const HOSTILE = [
  "It's $(id) `id` \"quoted\" \\ %s ${x} !history '; rm -rf / #'",
  "line\nline\r\n\ttab\u0000nul\u001b[31m",
  "'''\"\"\"` \\n \\\\ \\u0041 {}[]",
  "trojan \u202e\u2066\u200b\ufeff\u2028\u2029\u009b end",
  "雪 🦀 é",
];

const BODY = {
  model: "a'b\"c`d",
  messages: HOSTILE.map((content) => ({ role: "user", content })),
  temperature: 0.5,
  stream: true,
  logit_bias: { "50256": -100 },
  flags: [true, false, null, [], {}],
};
const CALL = { base: "http://127.0.0.1:8080/v1", path: "/chat/completions", body: BODY };

// A missing interpreter is a skip that shows; with one, the answer decides.
function run(command, args, options) {
  const done = spawnSync(command, args, { encoding: "utf8", ...options });
  return done.error?.code === "ENOENT" ? null : done;
}

test("a shell passes on the very body, and runs nothing inside it", (t) => {
  const script = `curl() { for last; do :; done; printf '%s' "$last"; }\n${curl(CALL)}`;
  const done = run("sh", ["-c", script], { env: { TOLLGATE_API_KEY: "k" } });
  if (!done) return t.skip("no sh");
  assert.equal(done.stderr, "");
  assert.deepEqual(JSON.parse(done.stdout), BODY);
});

test("Python reads the very body, what the SDK does not know beside the rest", (t) => {
  const stub = `
import json, os, sys, types
class Completions:
    def create(self, **arguments):
        extra = arguments.pop("extra_body", {})
        print(json.dumps({**arguments, **extra}))
        return []
class OpenAI:
    def __init__(self, base_url, api_key):
        assert base_url == "http://127.0.0.1:8080/v1" and api_key == "k"
        self.chat = types.SimpleNamespace(completions=Completions())
sys.modules["openai"] = types.SimpleNamespace(OpenAI=OpenAI)
`;
  const done = run("python3", ["-"], { input: stub + python(CALL), env: { TOLLGATE_API_KEY: "k", PYTHONUTF8: "1" } });
  if (!done) return t.skip("no python3");
  assert.equal(done.stderr, "");
  assert.deepEqual(JSON.parse(done.stdout), BODY);
});

test("Node reads the very body", async () => {
  const source = node(CALL).replace(/^import .*$/m, "");
  const Body = Object.getPrototypeOf(async () => {}).constructor;
  let sent;
  class OpenAI {
    constructor(options) {
      assert.equal(options.baseURL, CALL.base);
      this.chat = { completions: { create: async (body) => ((sent = body), []) } };
    }
  }
  await new Body("OpenAI", "process", "console", source)(OpenAI, { env: {} }, { log() {} });
  assert.deepEqual(sent, BODY);
});

test("a field called __proto__ stays a field", () => {
  const { fields } = readExtra('{"__proto__": {"polluted": true}}');
  const body = { model: "m", ...fields };
  assert.ok(Object.hasOwn(body, "__proto__"));
  const literal = /create\(([\s\S]*)\);\nconsole/.exec(node({ ...CALL, body }))[1];
  assert.ok(Object.hasOwn(new Function(`return ${literal}`)(), "__proto__"));
});

test("Go holds the very body in one raw string", () => {
  const raw = /const body = `([^`]*)`\n/.exec(go(CALL));
  assert.deepEqual(JSON.parse(raw[1]), BODY);
  assert.ok(!raw[1].includes("\r"), "a raw string would lose it");
});

test("no language's code holds a character that a terminal obeys or an editor hides", () => {
  for (const write of [curl, python, node, go]) {
    assert.doesNotMatch(write(CALL), /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u200b-\u200f\u2028-\u202e\u2066-\u2069\ufeff]/);
    assert.match(write(CALL), /TOLLGATE_API_KEY/);
  }
});

test("only what is set is sent", () => {
  const messages = [{ role: "user", content: "hi" }];
  assert.deepEqual(chatBody(SETTINGS, messages), { model: "m", messages });
  assert.deepEqual(
    chatBody(
      { model: "gpt-5-mini", system: "Be brief.", temperature: 0, topP: 1, maxTokens: 5, stream: true, json: true, extra: '{"seed":1}' },
      messages,
    ),
    {
      model: "gpt-5-mini",
      messages: [{ role: "system", content: "Be brief." }, ...messages],
      temperature: 0,
      top_p: 1,
      max_completion_tokens: 5,
      response_format: { type: "json_object" },
      stream: true,
      seed: 1,
    },
  );
  assert.equal(chatBody({ ...SETTINGS, maxTokens: 5 }, messages).max_tokens, 5);
  assert.equal(embeddingBody(SETTINGS, ["one"]).input, "one");
  assert.deepEqual(embeddingBody(SETTINGS, ["one", "two"]).input, ["one", "two"]);
});

test("the free JSON field says what is wrong with it", () => {
  const fault = (text) => readExtra(text).fault;
  assert.equal(fault(" "), null);
  assert.equal(fault('{"seed": 9007199254740991}'), null);
  assert.equal(fault("{"), "not_json");
  for (const text of ["[]", "null", "1", '"x"']) assert.equal(fault(text), "not_object", text);
  assert.deepEqual(readExtra('{"stream": true}'), { fields: {}, fault: "own_field", at: "stream" });
  assert.equal(fault('{"a": [{"seed": 9007199254740993}]}'), "number");
  assert.equal(fault('{"a": 1e999}'), "number");
});
