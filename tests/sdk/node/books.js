// What the gateway's books say about a request, and what they have to say: worked out here a second time.

import { eventually } from "./gateway.js";

// Picos per token: what a million tokens cost, times a million.
const DEMO = { input: 150_000n, cached: 75_000n, output: 600_000n };
const SCRIPTED = { input: 123_457n, cached: 61_729n, write: 154_321n, writeLong: 246_913n, output: 987_653n };
const PRICES = {
  "demo-chat": DEMO,
  "over-chat": DEMO,
  "over-messages": DEMO,
  counted: SCRIPTED,
  "counted-anthropic": SCRIPTED,
};

// The gateway's own record of a finished request, by the id that the SDK showed; `client` is one of OpenAI's SDK.
export const recordOf = (client, id) =>
  eventually(async () => {
    try {
      const found = await client.get(`/requests/${id}`);
      return found.duration_ms !== undefined && found.outcome ? found : null;
    } catch (error) {
      if (error.status === 404) return null;
      throw error;
    }
  });

// The tokens by their prices, from a usage in OpenAI's two shapes or in Anthropic's.
function counts(usage) {
  const output = usage.completion_tokens ?? usage.output_tokens;
  if ("cache_read_input_tokens" in usage) {
    const writeLong = usage.cache_creation?.ephemeral_1h_input_tokens ?? 0;
    const write = (usage.cache_creation_input_tokens ?? 0) - writeLong;
    return { input: usage.input_tokens, cached: usage.cache_read_input_tokens ?? 0, write, writeLong, output };
  }
  const cached = (usage.prompt_tokens_details ?? usage.input_tokens_details)?.cached_tokens ?? 0;
  return { input: (usage.prompt_tokens ?? usage.input_tokens) - cached, cached, output };
}

// The charge in nanos for a usage: exact, and rounded once, up. The markup is in millionths.
export function nanos(model, usage, markup = 1_000_000n) {
  const prices = PRICES[model];
  const kinds = Object.entries(counts(usage)).filter(([, count]) => count > 0);
  const picos = kinds.reduce((sum, [kind, count]) => sum + BigInt(count) * prices[kind], 0n);
  const divisor = 1_000n * 1_000_000n;
  return (picos * markup + divisor - 1n) / divisor;
}

export function nanosOf(decimal) {
  const [units, rest = ""] = decimal.split(".");
  return BigInt(units + rest.padEnd(9, "0"));
}

export const CREDIT = 10_000_000_000n;
