// Anthropic's official Node SDK against the real gateway: native, and where the upstream speaks another dialect.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import Anthropic from "@anthropic-ai/sdk";

import { CREDIT, nanos, nanosOf, recordOf } from "./books.js";
import { Gateway } from "./gateway.js";

const ASK = [{ role: "user", content: "Say something about toll gates." }];
const WEATHER = {
  name: "get_weather",
  description: "The weather of a city",
  input_schema: { type: "object", properties: { city: { type: "string" } }, required: ["city"] },
};
const MODELS = ["demo-chat", "over-chat", "over-messages"];
const WORDS = "Once upon";

let gateway;
let claude;

before(async () => {
  gateway = await Gateway.start();
  claude = gateway.claude("main");
});

after(() => gateway?.stop());

const body = (model, more) => ({ model, messages: ASK, max_tokens: 500, ...more });
const message = (claude, model = "demo-chat", more = {}) => claude.messages.create(body(model, more));

// The stream's own events, the message that they make, and the id of its request.
async function streamed(claude, model, more = {}) {
  const stream = claude.messages.stream(body(model, more));
  const events = [];
  for await (const event of stream) events.push(event);
  return { events, whole: await stream.finalMessage(), request_id: stream.request_id };
}

const textOf = (message) => message.content.map((block) => block.text ?? "").join("");

for (const keyAs of ["authToken", "apiKey"]) {
  for (const base of ["", "/api", "/v1"]) {
    test(`the key comes as ${keyAs} under the base ${base || "/"}`, async () => {
      const answer = await message(gateway.claude("main", { base, keyAs }));
      assert.ok(textOf(answer));
      assert.ok(answer._request_id);
    });
  }
}

for (const model of MODELS) {
  test(`${model}: a stream says what the whole message says`, async () => {
    const plain = await message(claude, model, { system: "Be brief." });
    assert.deepEqual([plain.type, plain.role, plain.stop_reason], ["message", "assistant", "end_turn"]);
    const { events, whole } = await streamed(claude, model, { system: "Be brief." });
    assert.ok(textOf(plain));
    assert.equal(textOf(whole), textOf(plain));
    assert.equal(whole.stop_reason, "end_turn");
    for (const count of ["input_tokens", "output_tokens"]) assert.equal(whole.usage[count], plain.usage[count]);
    assert.equal(events[0].type, "message_start");
    assert.equal(events.at(-1).type, "message_stop");
  });

  for (const stream of [false, true]) {
    test(`${model}: a tool is used and its result is heard, ${stream ? "streamed" : "plain"}`, async () => {
      const messages = [{ role: "user", content: "Use get_weather for `Bern`." }];
      const ask = async () => {
        const more = { messages, tools: [WEATHER] };
        return stream ? (await streamed(claude, model, more)).whole : message(claude, model, more);
      };
      const called = await ask();
      assert.equal(called.stop_reason, "tool_use");
      const [use] = called.content.filter((block) => block.type === "tool_use");
      assert.deepEqual([use.name, use.input], ["get_weather", { city: "Bern" }]);
      const result = { type: "tool_result", tool_use_id: use.id, content: "11 degrees and fog" };
      messages.push({ role: "assistant", content: called.content }, { role: "user", content: [result] });
      const last = await ask();
      assert.equal(last.stop_reason, "end_turn");
      assert.match(textOf(last), /11 degrees and fog/);
    });
  }
}

test("tokens are counted as they are charged", async () => {
  const ask = { model: "demo-chat", messages: ASK, tools: [WEATHER] };
  const counted = await claude.messages.countTokens(ask);
  const answer = await claude.messages.create({ ...ask, max_tokens: 5 });
  assert.equal(counted.input_tokens, answer.usage.input_tokens);
});

test("models are listed and retrieved", async () => {
  const names = [];
  for await (const model of claude.models.list({ limit: 1000 })) names.push(model.id);
  for (const name of ["demo-chat", "claude-demo"]) assert.ok(names.includes(name), name);
  assert.equal((await claude.models.retrieve("claude-demo")).id, "claude-demo");
  await assert.rejects(claude.models.retrieve("no-such-model"), Anthropic.NotFoundError);
});

const REFUSALS = [
  ["sk-mistyped", Anthropic.AuthenticationError, 401, "authentication_error"],
  ["disabled", Anthropic.PermissionDeniedError, 403, "permission_error"],
  ["poor", Anthropic.APIError, 402, "billing_error"],
  ["embeds_only", Anthropic.UnprocessableEntityError, 422, "invalid_request_error"],
];

for (const [key, kind, status, type] of REFUSALS) {
  for (const stream of [false, true]) {
    test(`${status} ${type} (${stream ? "streamed" : "plain"}) is thrown after one request`, async () => {
      const claude = gateway.claude(key, { maxRetries: 2 });
      const error = await message(claude, "demo-chat", { stream }).then(assert.fail, (error) => error);
      assert.ok(error instanceof kind, String(error));
      assert.deepEqual([error.status, error.error.type, error.error.error.type], [status, "error", type]);
      assert.ok(error.requestID);
      assert.equal(claude.sent.length, 1);
    });
  }
}

test("the second request of a minute is a rate limit error", async () => {
  const claude = gateway.claude("one_message_a_minute");
  await message(claude);
  await assert.rejects(message(claude), Anthropic.RateLimitError);
});

for (const model of ["broken", "broken-anthropic"]) {
  test(`an upstream's failure (${model}) is an API error that tells nothing of it`, async () => {
    const error = await message(claude, model).then(assert.fail, (error) => error);
    assert.ok(error instanceof Anthropic.InternalServerError, String(error));
    assert.equal(error.error.error.type, "api_error");
    assert.doesNotMatch(JSON.stringify(error.error), /gpu-7|an-upstream-key|127\.0\.0\.1/);
  });
}

for (const model of ["cut", "cut-anthropic", "error-event", "error-event-anthropic"]) {
  test(`a stream that breaks off (${model}) throws after what had come`, async () => {
    let heard = "";
    const reading = (async () => {
      for await (const event of await message(claude, model, { stream: true })) heard += event.delta?.text ?? "";
    })();
    const error = await reading.then(assert.fail, (error) => error);
    assert.ok(error instanceof Anthropic.APIError, String(error));
    assert.doesNotMatch(JSON.stringify(error.error), /gpu-7/);
    assert.match(JSON.stringify(error.error), /api_error/);
    assert.equal(heard, WORDS);
  });
}

test("the books balance to the nano with the usage that the SDK reported", async () => {
  const claude = gateway.claude("messages_books");
  const client = gateway.client("messages_books");
  const expected = new Map();
  for (const model of [...MODELS, "counted", "counted-anthropic"]) {
    const plain = await message(claude, model);
    expected.set(plain._request_id, nanos(model, plain.usage, 1_050_000n));
    const { whole, request_id } = await streamed(claude, model);
    expected.set(request_id, nanos(model, whole.usage, 1_050_000n));
  }
  for (const [id, charge] of expected) {
    const record = await recordOf(client, id);
    assert.deepEqual([record.outcome, record.estimated, nanosOf(record.charge)], ["ok", false, charge]);
  }
  const spent = [...expected.values()].reduce((sum, charge) => sum + charge, 0n);
  assert.equal(nanosOf((await gateway.cli("account", "show", "messages_books")).balance), CREDIT - spent);
});
