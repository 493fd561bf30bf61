import OpenAI from "openai";

const client = new OpenAI({ baseURL: "{{base_url}}", apiKey: "{{key}}" });

const answer = await client.embeddings.create({
  model: "{{model}}",
  input: ["a toll gate", "a barrier across a road"],
});
for (const item of answer.data) {
  console.log(item.index, item.embedding.length, "numbers");
}
