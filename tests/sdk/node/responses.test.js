// The official Node SDK's Responses against the real gateway: native, and where the upstream speaks another dialect.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import OpenAI from "openai";

import { CREDIT, nanos, nanosOf, recordOf } from "./books.js";
import { Gateway } from "./gateway.js";

const ASK = "Say something about toll gates.";
const WEATHER = {
  type: "function",
  name: "get_weather",
  description: "The weather of a city",
  parameters: { type: "object", properties: { city: { type: "string" } }, required: ["city"] },
  strict: false,
};
const MODELS = ["demo-chat", "over-chat", "over-messages"];
const WORDS = "Once upon";

let gateway;
let client;

before(async () => {
  gateway = await Gateway.start();
  client = gateway.client("main");
});

after(() => gateway?.stop());

const respond = (client, model = "demo-chat", more = {}) => client.responses.create({ model, input: ASK, ...more });

async function streamed(client, model, more = {}) {
  const { data, request_id } = await respond(client, model, { stream: true, ...more }).withResponse();
  const events = [];
  for await (const event of data) events.push(event);
  return { events, request_id };
}

const heard = (events) =>
  events.map((event) => (event.type === "response.output_text.delta" ? event.delta : "")).join("");

for (const model of MODELS) {
  test(`${model}: a stream says what the whole response says`, async () => {
    const whole = await respond(client, model, { instructions: "Be brief." });
    assert.deepEqual([whole.object, whole.status], ["response", "completed"]);
    const { events } = await streamed(client, model, { instructions: "Be brief." });
    assert.equal(events[0].type, "response.created");
    const last = events.at(-1);
    assert.equal(last.type, "response.completed");
    assert.ok(whole.output_text);
    assert.equal(heard(events), whole.output_text);
    assert.deepEqual(last.response.usage, whole.usage);
    assert.deepEqual(events.map((event) => event.sequence_number), [...events.keys()]);
  });

  test(`${model}: the stream helper collects a whole response`, async () => {
    const whole = await client.responses.stream({ model, input: ASK }).finalResponse();
    assert.equal(whole.status, "completed");
    assert.ok(whole.output_text);
  });

  for (const stream of [false, true]) {
    test(`${model}: a function is called and its answer is heard, ${stream ? "streamed" : "plain"}`, async () => {
      const input = [{ role: "user", content: "Use get_weather for `Bern`." }];
      const ask = async () => {
        const more = { input, tools: [WEATHER] };
        if (!stream) return respond(client, model, more);
        return (await streamed(client, model, more)).events.at(-1).response;
      };
      const [call] = (await ask()).output;
      assert.deepEqual([call.type, call.name], ["function_call", "get_weather"]);
      assert.deepEqual(JSON.parse(call.arguments), { city: "Bern" });
      input.push(call, { type: "function_call_output", call_id: call.call_id, output: "11 degrees and fog" });
      const last = await ask();
      const texts = last.output.flatMap((item) => item.content ?? []).map((part) => part.text);
      assert.match(texts.join(""), /11 degrees and fog/);
    });
  }
}

const REFUSALS = [
  ["sk-mistyped", OpenAI.AuthenticationError, 401, "invalid_api_key"],
  ["disabled", OpenAI.PermissionDeniedError, 403, "key_disabled"],
  ["poor", OpenAI.APIError, 402, "insufficient_balance"],
  ["embeds_only", OpenAI.UnprocessableEntityError, 422, "model_not_found"],
];

for (const [key, kind, status, code] of REFUSALS) {
  for (const stream of [false, true]) {
    test(`${status} ${code} (${stream ? "streamed" : "plain"}) is thrown after one request`, async () => {
      const client = gateway.client(key, { maxRetries: 2 });
      const error = await respond(client, "demo-chat", { stream }).then(assert.fail, (error) => error);
      assert.ok(error instanceof kind, String(error));
      assert.deepEqual([error.status, error.code, error.type], [status, code, code]);
      assert.equal(client.sent.length, 1);
    });
  }
}

test("the second request of a minute is a rate limit error", async () => {
  const client = gateway.client("one_response_a_minute");
  await respond(client);
  await assert.rejects(respond(client), OpenAI.RateLimitError);
});

test("work in the background is refused in clear words", async () => {
  const error = await respond(client, "demo-chat", { background: true }).then(assert.fail, (error) => error);
  assert.ok(error instanceof OpenAI.BadRequestError, String(error));
  assert.equal(error.param, "background");
});

for (const model of ["cut", "cut-anthropic", "error-event", "error-event-anthropic"]) {
  test(`a stream that breaks off (${model}) throws after what had come`, async () => {
    const events = [];
    const reading = (async () => {
      for await (const event of await respond(client, model, { stream: true })) events.push(event);
    })();
    const error = await reading.then(assert.fail, (error) => error);
    assert.ok(error instanceof OpenAI.APIError, String(error));
    assert.equal(error.code, "server_error");
    assert.doesNotMatch(JSON.stringify(error.error), /gpu-7/);
    assert.equal(heard(events), WORDS);
  });
}

test("the books balance to the nano with the usage that the SDK reported", async () => {
  const client = gateway.client("responses_books");
  const expected = new Map();
  for (const model of [...MODELS, "counted"]) {
    const plain = await respond(client, model);
    expected.set(plain._request_id, nanos(model, plain.usage));
    const { events, request_id } = await streamed(client, model);
    expected.set(request_id, nanos(model, events.at(-1).response.usage));
  }
  for (const [id, charge] of expected) {
    const record = await recordOf(client, id);
    assert.deepEqual([record.outcome, record.estimated, nanosOf(record.charge)], ["ok", false, charge]);
  }
  const spent = [...expected.values()].reduce((sum, charge) => sum + charge, 0n);
  assert.equal(nanosOf((await gateway.cli("account", "show", "responses_books")).balance), CREDIT - spent);
});
