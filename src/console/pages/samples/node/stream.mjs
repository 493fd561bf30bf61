import OpenAI from "openai";

const client = new OpenAI({ baseURL: "{{base_url}}", apiKey: "{{key}}" });

const stream = await client.chat.completions.create({
  model: "{{model}}",
  messages: [{ role: "user", content: "{{hello}}" }],
  stream: true,
  stream_options: { include_usage: true },
});
for await (const chunk of stream) {
  process.stdout.write(chunk.choices[0]?.delta.content ?? "");
  if (chunk.usage) console.log(`\n${chunk.usage.total_tokens} tokens`);
}
