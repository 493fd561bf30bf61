// What embeddings and image endpoints answer, also when they answer nonsense.
import assert from "node:assert/strict";
import { test } from "node:test";

import { picturesOf, vectorsOf } from "../../src/console/web/app/playground/results.js";

const data = (...items) => JSON.stringify({ data: items });

test("vectors and how close they are", () => {
  const { vectors, closeness } = vectorsOf(data({ embedding: [1, 0, 0, 0, 0, 0, 0] }, { embedding: [1, 1, 0, 0, 0, 0, 0] }));
  assert.deepEqual([vectors[0].dimensions, vectors[0].preview], [7, "[1.0000, 0.0000, 0.0000, 0.0000, 0.0000, 0.0000, …]"]);
  assert.equal(closeness[0][0], 1);
  assert.equal(closeness[0][1].toFixed(6), (1 / Math.sqrt(2)).toFixed(6));
  const packed = Buffer.from(new Float32Array([0.5, -2]).buffer).toString("base64");
  assert.equal(vectorsOf(data({ embedding: packed })).vectors[0].text, "[0.5,-2]");
  assert.deepEqual(vectorsOf(data({ embedding: [0, 0] }, { embedding: [1] })).closeness, [[null, null], [null, 1]]);
});

test("no vector where there is none", () => {
  for (const whole of ["", "{", "null", "[]", data(null, 1, {}), data({ embedding: ["x"] }, { embedding: [] }, { embedding: "!" }, { embedding: "AAA=" })]) {
    assert.deepEqual(vectorsOf(whole).vectors, [], whole);
  }
});

test("a picture is shown only if it begins like one", () => {
  const png = "iVBORw0KGgoAAAANSUhEUg==";
  assert.deepEqual(picturesOf(data({ b64_json: png })), [{ data: `data:image/png;base64,${png}`, extension: "png" }]);
  assert.deepEqual(picturesOf(data({ b64_json: "/9j/4AAQ" }))[0].extension, "jpg");
  const svg = Buffer.from("<svg onload=alert(1)>").toString("base64");
  assert.deepEqual(picturesOf(data({ b64_json: svg }, { b64_json: `${png}" onerror="x` }, { b64_json: 7 }, null)), []);
});

test("an address is only ever a text", () => {
  assert.deepEqual(picturesOf(data({ url: "javascript:alert(1)" })), [{ address: "javascript:alert(1)" }]);
  assert.equal(picturesOf(data(...Array.from({ length: 50 }, () => ({ url: "x" })))).length, 10);
});
