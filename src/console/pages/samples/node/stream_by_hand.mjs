// No package: fetch is part of Node and of browsers
const answer = await fetch("{{base_url}}/chat/completions", {
  method: "POST",
  headers: {
    Authorization: "Bearer {{key}}",
    "Content-Type": "application/json",
  },
  body: JSON.stringify({
    model: "{{model}}",
    messages: [{ role: "user", content: "{{hello}}" }],
    stream: true,
  }),
});
if (!answer.ok) throw new Error((await answer.json()).error.message);

// A piece of the body can end anywhere: keep the unfinished line for the next one
let rest = "";
for await (const text of answer.body.pipeThrough(new TextDecoderStream())) {
  const lines = (rest + text).split("\n");
  rest = lines.pop();
  for (const line of lines) {
    if (!line.startsWith("data:")) continue;
    const data = line.slice(5).trim();
    if (data === "[DONE]") continue;
    const event = JSON.parse(data);
    if (event.error) throw new Error(event.error.message);
    for (const choice of event.choices) {
      process.stdout.write(choice.delta.content ?? "");
    }
  }
}
console.log();
