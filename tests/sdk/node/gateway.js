// The gateway under test, started by `../gateway.py`, and clients of it.

import { execFile, spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

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
  client(key, { base = "/v1", maxRetries = 0, onAnswer = () => {} } = {}) {
    const sent = [];
    const counting = async (url, init) => {
      sent.push(String(url));
      const answer = await fetch(url, init);
      onAnswer(answer);
      return answer;
    };
    const apiKey = this.keys[key]?.key ?? key;
    const client = new OpenAI({ apiKey, baseURL: this.origin + base, maxRetries, fetch: counting });
    return Object.assign(client, { sent });
  }
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
