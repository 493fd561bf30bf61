// Which browser it is that says it is all of them.
import assert from "node:assert/strict";
import { test } from "node:test";

import { browserOf } from "../../src/console/web/app/browser.js";

const KIT = "AppleWebKit/537.36 (KHTML, like Gecko)";
const KNOWN = [
  [`Mozilla/5.0 (X11; Linux x86_64) ${KIT} Chrome/146.0.0.0 Safari/537.36`, "Chrome 146", "Linux"],
  [`Mozilla/5.0 (Windows NT 10.0; Win64; x64) ${KIT} Chrome/146.0.0.0 Safari/537.36 Edg/146.0.1`, "Edge 146", "Windows"],
  ["Mozilla/5.0 (Macintosh; Intel Mac OS X 10.15; rv:150.0) Gecko/20100101 Firefox/150.0", "Firefox 150", "macOS"],
  ["Mozilla/5.0 (iPhone; CPU iPhone OS 19_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/19.1 Mobile/15E148 Safari/604.1", "Safari 19", "iPhone"],
  [`Mozilla/5.0 (Linux; Android 16; Pixel) ${KIT} Chrome/146.0.0.0 Mobile Safari/537.36 OPR/99.0`, "Opera 99", "Android"],
  ["curl/8.14.1", "curl 8", null],
  ["", null, null],
  ["<script>alert(1)</script>", null, null],
];

test("a browser is known by what only it says", () => {
  for (const [agent, browser, system] of KNOWN) assert.deepEqual(browserOf(agent), { browser, system }, agent);
});

test("a long description takes no time", () => {
  const started = performance.now();
  browserOf(`Version/1${" Version/1.".repeat(20_000)}`.slice(0, 200_000));
  assert.ok(performance.now() - started < 1_000);
});
