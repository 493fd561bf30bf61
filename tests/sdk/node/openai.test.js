// The official Node SDK against the real gateway: what works with the provider works here, and "no" is understood.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import OpenAI from "openai";

import { CREDIT, nanos, nanosOf, recordOf } from "./books.js";
import { Gateway } from "./gateway.js";

const ASK = [{ role: "user", content: "Say something about toll gates." }];
const WEATHER = {
  type: "function",
  function: {
    name: "get_weather",
    description: "The weather of a city",
    parameters: { type: "object", properties: { city: { type: "string" } }, required: ["city"] },
  },
};
const WORDS = "Once upon";

let gateway;
let client;

before(async () => {
  gateway = await Gateway.start();
  client = gateway.client("main");
});

after(() => gateway?.stop());

const chat = (client, model = "demo-chat", more = {}) =>
  client.chat.completions.create({ model, messages: ASK, ...more });

async function streamed(client, model = "demo-chat", more = {}) {
  const chunks = [];
  for await (const chunk of await chat(client, model, { stream: true, ...more })) chunks.push(chunk);
  return chunks;
}

const textOf = (chunks) =>
  chunks.flatMap((chunk) => chunk.choices.map((choice) => choice.delta.content ?? "")).join("");

// What works

for (const base of ["/v1", "/api/v1", "/v1/"]) {
  test(`a chat is answered under ${base}`, async () => {
    const answer = await chat(gateway.client("main", { base }));
    assert.ok(answer.choices[0].message.content);
    assert.equal(answer.choices[0].finish_reason, "stop");
    assert.equal(answer.usage.total_tokens, answer.usage.prompt_tokens + answer.usage.completion_tokens);
  });
}

test("a stream without usage has only choices", async () => {
  const chunks = await streamed(client);
  assert.ok(chunks.length > 2 && textOf(chunks));
  assert.ok(chunks.every((chunk) => chunk.choices.length > 0 && !chunk.usage));
  assert.equal(chunks.at(-1).choices[0].finish_reason, "stop");
});

test("a stream with usage ends with it", async () => {
  const chunks = await streamed(client, "demo-chat", { stream_options: { include_usage: true } });
  const last = chunks.pop();
  assert.deepEqual(last.choices, []);
  assert.ok(last.usage.completion_tokens > 0);
  assert.ok(chunks.every((chunk) => chunk.choices.length > 0 && !chunk.usage) && textOf(chunks));
});

test("the stream helper collects a whole answer", async () => {
  const whole = await client.chat.completions.stream({ model: "demo-chat", messages: ASK }).finalChatCompletion();
  assert.ok(whole.choices[0].message.content);
  assert.equal(whole.choices[0].finish_reason, "stop");
});

test("many requests run at a time", async () => {
  const answers = await Promise.all(Array.from({ length: 10 }, () => chat(client)));
  assert.ok(answers.every((answer) => answer.choices[0].message.content));
  assert.equal(new Set(answers.map((answer) => answer._request_id)).size, 10);
});

test("a tool is called and its answer is heard", async () => {
  const turn = [{ role: "user", content: "Use get_weather for Bern." }];
  const ask = () => client.chat.completions.create({ model: "demo-chat", messages: turn, tools: [WEATHER] });
  const called = (await ask()).choices[0];
  assert.equal(called.finish_reason, "tool_calls");
  const [call] = called.message.tool_calls;
  assert.equal(call.function.name, "get_weather");
  assert.ok("city" in JSON.parse(call.function.arguments));
  turn.push(called.message, { role: "tool", tool_call_id: call.id, content: "11 degrees and fog" });
  const last = (await ask()).choices[0];
  assert.equal(last.finish_reason, "stop");
  assert.match(last.message.content, /11 degrees and fog/);
});

test("embeddings are the same in both encodings", async () => {
  const ask = { model: "text-embedding-3-small", input: ["toll", "gate"] };
  const packed = await client.embeddings.create(ask);
  const plain = await client.embeddings.create({ ...ask, encoding_format: "float" });
  assert.deepEqual(packed.data.map((item) => item.index), [0, 1]);
  packed.data.forEach(({ embedding }, index) => {
    assert.ok(embedding.length > 0 && embedding.length === plain.data[index].embedding.length);
    embedding.forEach((value, at) => assert.ok(Math.abs(value - plain.data[index].embedding[at]) < 1e-6));
  });
});

test("an image is a picture", async () => {
  const answer = await client.images.generate({ model: "gpt-image-1", prompt: "a red barn", size: "1024x1024" });
  assert.equal(Buffer.from(answer.data[0].b64_json, "base64").subarray(1, 4).toString(), "PNG");
});

test("models are listed and retrieved", async () => {
  const names = [];
  for await (const model of client.models.list()) names.push(model.id);
  for (const name of ["demo-chat", "gpt-4o-mini", "demo-embed", "demo-image"]) assert.ok(names.includes(name), name);
  assert.equal((await client.models.retrieve("gpt-4o-mini")).id, "gpt-4o-mini");
  await assert.rejects(client.models.retrieve("no-such-model"), OpenAI.NotFoundError);
});

test("request id and rate limits are readable", async () => {
  const { data, response, request_id } = await chat(client).withResponse();
  assert.ok(request_id);
  assert.equal(data._request_id, request_id);
  assert.equal((await recordOf(client, request_id)).id, request_id);
  assert.equal(response.headers.get("x-ratelimit-limit-requests"), "10000");
  assert.ok(Number(response.headers.get("x-ratelimit-remaining-tokens")) < 10_000_000);
  assert.match(response.headers.get("x-ratelimit-reset-requests"), /s$/);
});

test("a client that stops reading is recorded as gone", async () => {
  const { data, request_id } = await chat(client, "demo-chat", { stream: true }).withResponse();
  for await (const _ of data) break;
  assert.equal((await recordOf(client, request_id)).outcome, "client_gone");
});

// What does not

const REFUSALS = [
  ["sk-mistyped", OpenAI.AuthenticationError, 401, "invalid_api_key"],
  ["deleted", OpenAI.AuthenticationError, 401, "invalid_api_key"],
  ["expired", OpenAI.AuthenticationError, 401, "key_expired"],
  ["disabled", OpenAI.PermissionDeniedError, 403, "key_disabled"],
  ["suspended", OpenAI.PermissionDeniedError, 403, "key_disabled"],
  ["elsewhere", OpenAI.PermissionDeniedError, 403, "address_not_allowed"],
  ["poor", OpenAI.APIError, 402, "insufficient_balance"],
  ["embeds_only", OpenAI.UnprocessableEntityError, 422, "model_not_found"],
];

for (const [key, kind, status, code] of REFUSALS) {
  for (const stream of [false, true]) {
    test(`${status} ${code} (${key}, ${stream ? "streamed" : "plain"}) is thrown after one request`, async () => {
      const client = gateway.client(key, { maxRetries: 2 });
      const error = await chat(client, "demo-chat", { stream }).then(assert.fail, (error) => error);
      assert.ok(error instanceof kind, String(error));
      assert.deepEqual([error.status, error.code, error.type], [status, code, code]);
      assert.ok(error.requestID);
      assert.equal(client.sent.length, 1);
    });
  }
}

test("a faulty request is a bad request", async () => {
  const error = await chat(client, "demo-chat", { n: 0 }).then(assert.fail, (error) => error);
  assert.ok(error instanceof OpenAI.BadRequestError, String(error));
  assert.deepEqual([error.code, error.param], ["invalid_request", "n"]);
});

test("an upstream's judgement of the request passes on", async () => {
  const error = await chat(client, "rejects").then(assert.fail, (error) => error);
  assert.ok(error instanceof OpenAI.BadRequestError, String(error));
  assert.match(error.message, /Unsupported value for this model\./);
  assert.equal(error.param, "temperature");
});

test("a server error is tried again and tells nothing of the upstream", async () => {
  const client = gateway.client("main", { maxRetries: 1 });
  const error = await chat(client, "broken").then(assert.fail, (error) => error);
  assert.ok(error instanceof OpenAI.InternalServerError, String(error));
  assert.doesNotMatch(JSON.stringify(error.error), /gpu-7|an-upstream-key|127\.0\.0\.1/);
  assert.equal(client.sent.length, 2);
});

test("the second request of a minute is a rate limit error", async () => {
  const client = gateway.client("one_a_minute");
  await chat(client);
  const error = await chat(client).then(assert.fail, (error) => error);
  assert.ok(error instanceof OpenAI.RateLimitError, String(error));
  assert.equal(error.code, "rate_limit");
  const wait = Number(error.headers.get("retry-after"));
  assert.ok(wait >= 1 && wait <= 60, String(wait));
});

test("a request that can never fit is not tried again", async () => {
  const client = gateway.client("few_tokens", { maxRetries: 2 });
  await assert.rejects(chat(client), OpenAI.RateLimitError);
  assert.equal(client.sent.length, 1);
});

test("a rate limited request waits and then succeeds", async () => {
  const running = await chat(gateway.client("one_at_a_time"), "demo-chat", { stream: true });
  const pieces = running[Symbol.asyncIterator]();
  await pieces.next();
  let refused;
  const wasRefused = new Promise((resolve) => (refused = resolve));
  const onAnswer = (answer) => answer.status === 429 && refused();
  const patient = gateway.client("one_at_a_time", { maxRetries: 2, onAnswer });
  const waiting = chat(patient);
  await Promise.race([wasRefused, waiting]);
  await pieces.return();
  assert.ok((await waiting).choices[0].message.content);
  assert.ok(patient.sent.length >= 2 && patient.sent.length <= 3, String(patient.sent.length));
});

for (const model of ["cut", "error-event"]) {
  test(`a stream that breaks off (${model}) throws after what had come`, async () => {
    const heard = [];
    const reading = (async () => {
      for await (const chunk of await chat(client, model, { stream: true })) heard.push(chunk);
    })();
    const error = await reading.then(assert.fail, (error) => error);
    assert.ok(error instanceof OpenAI.APIError, String(error));
    assert.equal(error.code, "server_error");
    assert.doesNotMatch(JSON.stringify(error.error), /gpu-7/);
    assert.equal(textOf(heard), WORDS);
  });
}

// What it costs

for (const [key, markup] of [["books", 1_000_000n], ["marked", 1_050_000n]]) {
  test(`the books of ${key} balance to the nano with the usage that the SDK reported`, async () => {
    const client = gateway.client(key);
    const expected = new Map();
    for (const model of ["demo-chat", "over-messages", "counted"]) {
      const plain = await chat(client, model);
      expected.set(plain._request_id, nanos(model, plain.usage, markup));
      const options = { stream: true, stream_options: { include_usage: true } };
      const { data, request_id } = await chat(client, model, options).withResponse();
      let usage;
      for await (const chunk of data) usage = chunk.usage ?? usage;
      expected.set(request_id, nanos(model, usage, markup));
    }
    for (const [id, charge] of expected) {
      const record = await recordOf(client, id);
      assert.deepEqual([record.outcome, record.estimated, nanosOf(record.charge)], ["ok", false, charge]);
    }
    const spent = [...expected.values()].reduce((sum, charge) => sum + charge, 0n);
    const account = await gateway.cli("account", "show", key);
    assert.equal(nanosOf(account.balance), CREDIT - spent);
  });
}
