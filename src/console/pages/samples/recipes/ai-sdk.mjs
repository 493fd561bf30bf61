// npm install ai @ai-sdk/openai-compatible
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { generateText } from "ai";

const gateway = createOpenAICompatible({
  name: "tollgate",
  baseURL: "{{base_url}}",
  apiKey: "{{key}}",
});
const { text } = await generateText({
  model: gateway("{{model}}"),
  prompt: "{{hello}}",
});
console.log(text);
