// One call of the playground against a server that answers, refuses, cuts and dawdles.
import assert from "node:assert/strict";
import { createServer } from "node:http";
import { after, before, test } from "node:test";

import { EVENTS_MAX, looksLikeKey, modelsOf, newRun, perform, recordOf, tokensPerSecond } from "../../src/console/web/app/playground/call.js";
import { history, running } from "../../src/console/web/app/playground/conversation.js";

const realFetch = globalThis.fetch;
const piece = (text) => `data: ${JSON.stringify({ choices: [{ index: 0, delta: { content: text } }] })}\n\n`;
const seen = { headers: null, closed: null, tries: 0 };
let server;

const ANSWERS = {
  whole(response) {
    response.writeHead(200, { "content-type": "application/json", "x-request-id": "req_1" });
    response.end(JSON.stringify({ choices: [{ message: { content: "Hi" }, finish_reason: "stop" }] }));
  },
  stream(response) {
    response.writeHead(200, { "content-type": "text/event-stream", "x-request-id": "req_2" });
    response.end(`${piece("a")}${piece("b")}data: [DONE]\n\n`);
  },
  quietCut(response) {
    response.writeHead(200, { "content-type": "text/event-stream" });
    response.end(piece("half"));
  },
  loudCut(response) {
    response.writeHead(200, { "content-type": "text/event-stream" });
    response.write(piece("half"), () => response.destroy());
  },
  refused(response) {
    response.writeHead(429, { "content-type": "application/json", "retry-after": "7", "x-request-id": "req_3" });
    response.end(JSON.stringify({ error: { code: "rate_limit", message: "Slow down." } }));
  },
  endless(response) {
    response.writeHead(200, { "content-type": "text/event-stream" });
    const timer = setInterval(() => response.write(piece("x".repeat(1 << 16))), 1);
    seen.closed = new Promise((resolve) => response.on("close", () => (clearInterval(timer), resolve(true))));
  },
  many(response) {
    response.writeHead(200, { "content-type": "text/event-stream" });
    response.end(`${piece("y").repeat(1_000)}data: [DONE]\n\n`);
  },
};

before(async () => {
  server = createServer((request, response) => {
    seen.headers = request.headers;
    if (request.url.startsWith("/api/playground/requests/")) {
      seen.tries += 1;
      response.writeHead(seen.tries < 3 ? 404 : 200, { "content-type": "application/json" });
      return response.end(seen.tries < 3 ? "{}" : '{"charge":"0.5"}');
    }
    if (request.url === "/api/playground/models") {
      const good = request.headers["x-tollgate-key"] === "key_1";
      response.writeHead(good ? 200 : 401);
      return response.end(good ? '{"data":[{"id":"m"},{"id":7}]}' : '{"error":{"code":"invalid_api_key","message":"No."}}');
    }
    return ANSWERS[request.url.slice("/api/playground/".length)](response);
  });
  await new Promise((ready) => server.listen(0, "127.0.0.1", ready));
  globalThis.fetch = (path, options) => realFetch(`http://127.0.0.1:${server.address().port}${path}`, options);
});

after(() => {
  globalThis.fetch = realFetch;
  server.closeAllConnections();
  server.close();
});

async function call(answer, { key = { own: "key_1" }, signal = new AbortController().signal, changed = () => {} } = {}) {
  const run = newRun("m");
  await perform(run, { path: `/${answer}`, key, body: {}, signal }, () => changed(run));
  return run;
}

test("a whole and a streamed answer end well", async () => {
  const whole = await call("whole");
  assert.deepEqual([whole.state, whole.answer.text, whole.requestId, whole.ttftMs], ["done", "Hi", "req_1", null]);
  const streamed = await call("stream");
  assert.deepEqual([streamed.state, streamed.answer.text, streamed.eventCount], ["done", "ab", 3]);
  assert.ok(streamed.ttftMs !== null && streamed.totalMs >= streamed.ttftMs);
});

test("a key goes in its own header, and the console's beside it", async () => {
  await call("whole");
  assert.deepEqual([seen.headers["x-tollgate-key"], seen.headers["x-tollgate-console"]], ["key_1", "1"]);
  await call("whole", { key: { pasted: "sk-tg-x" } });
  assert.equal(seen.headers["x-tollgate-pasted-key"], "sk-tg-x");
  assert.equal(seen.headers["x-tollgate-key"], undefined);
  assert.ok(looksLikeKey("sk-tg-Ab1"));
  for (const text of ["", "a b", "a\nb", "ключ", "x".repeat(257)]) assert.ok(!looksLikeKey(text), text);
});

test("a stream that is cut is no answer, and what had come is kept", async () => {
  const quiet = await call("quietCut");
  assert.deepEqual([quiet.state, quiet.error.code, quiet.answer.text], ["failed", "stream_cut", "half"]);
  const loud = await call("loudCut");
  assert.deepEqual([loud.state, loud.error.code, loud.answer.text], ["failed", "connection_lost", "half"]);
});

test("a refusal has its code, sentence, request and wait", async () => {
  const run = await call("refused");
  assert.equal(run.state, "failed");
  assert.deepEqual(run.error, { status: 429, code: "rate_limit", message: "Slow down." });
  assert.deepEqual([run.requestId, run.retryAfter], ["req_3", "7"]);
});

test("stopping closes the connection and keeps what had come", async () => {
  const stop = new AbortController();
  const run = await call("endless", { signal: stop.signal, changed: (now) => now.answer.text !== "" && stop.abort() });
  assert.deepEqual([run.state, run.error], ["stopped", null]);
  assert.notEqual(run.answer.text, "");
  assert.equal(await seen.closed, true);
});

test("an answer without an end is cut off", async () => {
  const run = await call("endless");
  assert.deepEqual([run.state, run.error.code], ["failed", "answer_too_long"]);
  assert.equal(await seen.closed, true);
});

test("of many events the first and the last are kept", async () => {
  const run = await call("many");
  assert.equal(run.eventCount, 1_001);
  assert.equal(run.events.length, EVENTS_MAX);
  assert.deepEqual([run.events[0].number, run.events.at(-1).data], [1, "[DONE]"]);
});

test("the record is asked for until it is there", async () => {
  assert.deepEqual(await recordOf("req_1", { own: "key_1" }, [0, 1, 1, 1]), { charge: "0.5" });
  assert.equal(seen.tries, 3);
  seen.tries = -10;
  assert.equal(await recordOf("req_1", { own: "key_1" }, [0, 1]), null);
});

test("a key's models, or why not", async () => {
  assert.deepEqual(await modelsOf({ own: "key_1" }), [{ id: "m", purpose: "chat" }]);
  await assert.rejects(modelsOf({ own: "key_2" }), { code: "invalid_api_key", message: "No." });
});

test("speed is only said where it means something", () => {
  const run = { ...newRun("m"), ttftMs: 100, totalMs: 1_100, record: { output_tokens: 51 } };
  assert.equal(tokensPerSecond(run), 50);
  assert.equal(tokensPerSecond({ ...run, ttftMs: null }), null);
  assert.equal(tokensPerSecond({ ...run, record: { output_tokens: 1 } }), null);
  assert.equal(tokensPerSecond({ ...run, totalMs: 100 }), null);
});

test("each model sees its own answers and the common questions", () => {
  const said = (text) => ({ answer: { text }, state: "done" });
  const turns = [
    { question: "one", runs: [said("a1"), said("b1")] },
    { question: "two", runs: [said(""), said("b2")] },
    { question: "three", runs: [said("unused")] },
  ];
  assert.deepEqual(history(turns, 0).map((message) => message.content), ["one", "a1", "three"]);
  assert.deepEqual(history(turns, 1).map((message) => message.content), ["one", "b1", "two", "b2", "three"]);
  assert.deepEqual(history(turns, 1, 1).map((message) => message.content), ["one", "b1", "two"]);
  assert.equal(running(turns), false);
  assert.equal(running([{ question: "", runs: [said("x"), { state: "waiting" }] }]), true);
  assert.equal(running([]), false);
});
