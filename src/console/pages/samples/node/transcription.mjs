import { createReadStream } from "node:fs";

import OpenAI from "openai";

const client = new OpenAI({ baseURL: "{{base_url}}", apiKey: "{{key}}" });

const answer = await client.audio.transcriptions.create({
  model: "{{model}}",
  file: createReadStream("recording.wav"),
});
console.log(answer.text);
