import { writeFile } from "node:fs/promises";

import OpenAI from "openai";

const client = new OpenAI({ baseURL: "{{base_url}}", apiKey: "{{key}}" });

const answer = await client.audio.speech.create({
  model: "{{model}}",
  input: "The gate is open.",
  voice: "alloy",
});
await writeFile("gate.audio", Buffer.from(await answer.arrayBuffer()));
console.log("gate.audio is written");
