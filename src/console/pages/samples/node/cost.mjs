import OpenAI from "openai";

const client = new OpenAI({ baseURL: "{{base_url}}", apiKey: "{{key}}" });

const { data, request_id } = await client.chat.completions
  .create({
    model: "{{model}}",
    messages: [{ role: "user", content: "{{hello}}" }],
  })
  .withResponse();
console.log(data.choices[0].message.content);

// It is charged when its answer has ended
await new Promise((resolve) => setTimeout(resolve, 1000));
const record = await client.get(`/requests/${request_id}`);
console.log(record.outcome, record.charge);
