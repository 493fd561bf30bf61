// The gateway under test, started by `../gateway.py`, and clients of it.

import { execFile, spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

import Anthropic from "@anthropic-ai/sdk";
import OpenAI from "openai";

const LAUNCHER = fileURLToPath(new URL("../gateway.py", import.meta.url));
const WITHIN_MS = 5_000;

export class Gateway {
  static async start() {
    const launcher = spawn("python3", [LAUNCHER], { stdio: ["pipe", "pipe", "inherit"] });
    const exit = new Promise((resolve) => launcher.once("exit", (code, signal) => resolve(code ?? signal)));
    const lines = createInterface({ input: launcher.stdout })[Symbol.asyncIterator]();
    const first = await lines.next();
    if (first.done) throw new Error(`the launcher ended with ${await exit}`);
    return Object.assign(new Gateway(), JSON.parse(first.value), { launcher, exit });
  }

  // Stops it. Throws unless it ended cleanly and its books balance.
  async stop() {
    this.launcher.stdin.end();
    const code = await this.exit;
    if (code !== 0) throw new Error(`the gateway did not end cleanly, or its books do not balance: ${code}`);
  }

  async cli(...words) {
    const done = await promisify(execFile)(this.bin, ["-c", this.config, "--json", ...words]);
    return JSON.parse(done.stdout);
  }

  // The SDK's client with one of the launcher's keys, or any other text as its key. `sent` counts what it sends,
  // retries among them; `onAnswer` sees every answer's head.
  client(key, { base = "/v1", maxRetries = 0, onAnswer } = {}) {
    const { sent, fetch } = counting(onAnswer);
    const client = new OpenAI({ apiKey: this.#text(key), baseURL: this.origin + base, maxRetries, fetch });
    return Object.assign(client, { sent });
  }

  // The same for Anthropic's SDK, which adds the `/v1` itself. `keyAs` says how it presents the key.
  claude(key, { base = "", maxRetries = 0, keyAs = "authToken" } = {}) {
    const { sent, fetch } = counting();
    const keys = { apiKey: null, authToken: null, [keyAs]: this.#text(key) };
    const client = new Anthropic({ ...keys, baseURL: this.origin + base, maxRetries, fetch });
    return Object.assign(client, { sent });
  }

  #text(key) {
    return this.keys[key]?.key ?? key;
  }
}

function counting(onAnswer = () => {}) {
  const sent = [];
  const fetch = async (url, init) => {
    sent.push(String(url));
    const answer = await globalThis.fetch(url, init);
    onAnswer(answer);
    return answer;
  };
  return { sent, fetch };
}

// Waits until `look()` gives something, which it does soon or the test fails.
export async function eventually(look) {
  const deadline = Date.now() + WITHIN_MS;
  for (;;) {
    const found = await look();
    if (found) return found;
    if (Date.now() > deadline) throw new Error(`not within ${WITHIN_MS} ms`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
