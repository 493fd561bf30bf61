import { writeFile } from "node:fs/promises";

import OpenAI from "openai";

const client = new OpenAI({ baseURL: "{{base_url}}", apiKey: "{{key}}" });

const answer = await client.images.generate({
  model: "{{model}}",
  prompt: "A toll gate at dawn",
  size: "1024x1024",
});
await writeFile("gate.png", Buffer.from(answer.data[0].b64_json, "base64"));
console.log("gate.png is written");
