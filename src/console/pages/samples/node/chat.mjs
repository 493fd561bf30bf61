import OpenAI from "openai";

const client = new OpenAI({ baseURL: "{{base_url}}", apiKey: "{{key}}" });

const answer = await client.chat.completions.create({
  model: "{{model}}",
  messages: [{ role: "user", content: "{{hello}}" }],
});
console.log(answer.choices[0].message.content);
console.log(answer.usage.total_tokens, "tokens");
