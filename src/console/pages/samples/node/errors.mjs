import OpenAI from "openai";

const client = new OpenAI({ baseURL: "{{base_url}}", apiKey: "{{key}}" });

try {
  await client.chat.completions.create({
    model: "no-such-model",
    messages: [{ role: "user", content: "{{hello}}" }],
  });
} catch (error) {
  if (!(error instanceof OpenAI.APIError)) throw error;
  // Compare the code; the message is for people and may change
  console.log(error.status, error.code, error.requestID);
}
