// The first call, in the languages that people use: shown beside a new key and in the newcomer's steps.

/** Tabs for a CodeBlock. What is put in are a base URL, a key and a model's id, all of plain characters. */
export function callSnippets({ base, key, model }) {
  return [
    { id: "curl", label: "cURL", lang: "bash", code: `curl ${base}/chat/completions \\\n  -H "Authorization: Bearer ${key}" \\\n  -H "Content-Type: application/json" \\\n  -d '{"model": "${model}", "stream": true, "messages": [{"role": "user", "content": "Hello!"}]}'` },
    { id: "python", label: "Python", lang: "python", code: `from openai import OpenAI\n\nclient = OpenAI(base_url="${base}", api_key="${key}")\nstream = client.chat.completions.create(\n    model="${model}",\n    messages=[{"role": "user", "content": "Hello!"}],\n    stream=True,\n)\nfor chunk in stream:\n    if chunk.choices:\n        print(chunk.choices[0].delta.content or "", end="")` },
    { id: "node", label: "Node", lang: "js", code: `import OpenAI from "openai";\n\nconst client = new OpenAI({ baseURL: "${base}", apiKey: "${key}" });\nconst stream = await client.chat.completions.create({\n  model: "${model}",\n  messages: [{ role: "user", content: "Hello!" }],\n  stream: true,\n});\nfor await (const chunk of stream) {\n  process.stdout.write(chunk.choices[0]?.delta?.content ?? "");\n}` },
    { id: "env", label: ".env", lang: "bash", code: `OPENAI_BASE_URL=${base}\nOPENAI_API_KEY=${key}` },
  ];
}
