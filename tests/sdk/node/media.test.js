// Sound and uploads through the official Node SDK, whose forms are the runtime's own.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { toFile } from "openai";

import { nanosOf, recordOf } from "./books.js";
import { Gateway } from "./gateway.js";

let gateway;
let client;

before(async () => {
  gateway = await Gateway.start();
  client = gateway.client("main");
});

after(() => gateway?.stop());

async function charged(response, charge) {
  const record = await recordOf(client, response.headers.get("x-request-id"));
  assert.deepEqual([record.outcome, record.estimated], ["ok", false]);
  assert.equal(nanosOf(record.charge), nanosOf(charge));
}

const spoken = async (input) => {
  const response = await client.audio.speech.create({ model: "demo-speech", input, voice: "alloy" });
  return { response, sound: Buffer.from(await response.arrayBuffer()) };
};

test("what was spoken is written down again", async () => {
  const { response, sound } = await spoken("one two three four five six");
  assert.equal(sound.subarray(0, 4).toString(), "RIFF");
  await charged(response, "0.000405");
  for (const name of ["gate.wav", "das “Tor”; auf.wav", "门.wav"]) {
    const file = await toFile(sound, name);
    const asked = client.audio.transcriptions.create({ model: "demo-transcribe", file });
    const { data, response } = await asked.withResponse();
    assert.match(data.text, /2 seconds/);
    await charged(response, "0.0002");
  }
});

test("a transcript comes in events", async () => {
  const { sound } = await spoken("one two");
  const file = await toFile(sound, "a.wav");
  const stream = await client.audio.transcriptions.create({ model: "demo-transcribe", file, stream: true });
  const events = [];
  for await (const event of stream) events.push(event);
  assert.equal(events.at(-1).type, "transcript.text.done");
  assert.equal(events.slice(0, -1).map((event) => event.delta).join(""), events.at(-1).text);
});

test("pictures are edited", async () => {
  const image = await Promise.all(["a.png", "b.png"].map((name) => toFile(Buffer.from("\x89PNG"), name)));
  const asked = client.images.edit({ model: "demo-image", image, prompt: "a hat", n: 2, size: "1024x1024" });
  const { data, response } = await asked.withResponse();
  assert.equal(data.data.length, 2);
  await charged(response, "0.08");
});

test("moderations are free", async () => {
  const asked = client.moderations.create({ model: "demo-moderate", input: "violence" });
  const { data, response } = await asked.withResponse();
  assert.equal(data.results[0].flagged, true);
  await charged(response, "0");
});
