// What a model is for, by its price and its name.
import assert from "node:assert/strict";
import { test } from "node:test";

import { purposeOf } from "../../src/console/web/app/playground/purpose.js";

const tokens = (input, output) => ({ rates: [{ input, output }] });

test("a price tells what a model is for", () => {
  for (const [id, pricing, purpose] of [
    ["gpt-4o-mini", tokens("0.15", "0.6"), "chat"],
    ["free", tokens("0", "0"), "chat"],
    ["bge-m3", tokens("1", "0"), "embeddings"],
    ["flux", { rates: [], images: { "1024x1024": "0.04" } }, "images"],
    ["gpt-image-1", tokens("5", "40"), "images"],
    ["reader", { rates: [], per_million_characters: "15" }, "speech"],
    ["listener", { rates: [], per_audio_second: "0.0001" }, "transcription"],
    ["sorter", { rates: [], per_search_unit: "0.002" }, "rerank"],
    ["omni-moderation", tokens("0", "0"), "moderation"],
    ["by-the-piece", { rates: [], per_request: "0.1" }, "other"],
  ]) {
    assert.equal(purposeOf({ id, pricing }), purpose, id);
  }
});

test("a list without prices, or with nonsense for one, leaves the name", () => {
  for (const pricing of [undefined, null, 7, "x", {}, { rates: "x" }, { rates: [null] }]) {
    assert.equal(purposeOf({ id: "some-model", pricing }), "chat");
    assert.equal(purposeOf({ id: "some-embedder", pricing }), "embeddings");
  }
});
