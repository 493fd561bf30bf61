/**
 * A request as code that somebody pastes into a terminal or an editor.
 *
 * The text inside comes from whoever typed it, or from a model. Pasted code must do what it shows, so: everything is quoted
 * by the rules of its language, and characters that a terminal obeys or an editor hides (controls, bidirectional marks,
 * zero-width ones) are written as escapes. The key is never part of it: it comes from the environment.
 */

/** @typedef {{base: string, path: "/chat/completions"|"/embeddings"|"/images/generations", body: object}} Call */

export const LANGUAGES = [
  { id: "curl", label: "cURL", write: curl },
  { id: "python", label: "Python", write: python },
  { id: "node", label: "Node.js", write: node },
  { id: "go", label: "Go", write: go },
];

export const KEY_VARIABLE = "TOLLGATE_API_KEY";

/** @param {Call} call */
export function curl({ base, path, body }) {
  const flags = body.stream ? "-N " : "";
  return [
    `curl ${flags}${shellQuoted(base + path)} \\`,
    `  -H "Authorization: Bearer $${KEY_VARIABLE}" \\`,
    `  -H 'Content-Type: application/json' \\`,
    `  -d ${shellQuoted(json(body, 2))}`,
    "",
  ].join("\n");
}

/** @param {Call} call */
export function python({ base, path, body }) {
  const known = Object.entries(body).filter(([name]) => PYTHON_PARAMETERS.has(name));
  const other = Object.entries(body).filter(([name]) => !PYTHON_PARAMETERS.has(name));
  const lines = known.map(([name, value]) => `    ${name}=${pythonLiteral(value, 4)},`);
  // The SDK refuses keyword arguments that it does not know; this is its door for them.
  if (other.length > 0) lines.push(`    extra_body=${pythonLiteral(Object.fromEntries(other), 4)},`);
  return [
    "import os",
    "",
    "from openai import OpenAI",
    "",
    "client = OpenAI(",
    `    base_url=${jsonText(base)},`,
    `    api_key=os.environ["${KEY_VARIABLE}"],`,
    ")",
    "",
    `${body.stream ? "stream" : "answer"} = client.${sdkCall(path, ".generate")}(`,
    ...lines,
    ")",
    ...(body.stream
      ? [
          "for chunk in stream:",
          "    if chunk.choices and chunk.choices[0].delta.content:",
          '        print(chunk.choices[0].delta.content, end="", flush=True)',
          "print()",
        ]
      : [`print(${path === "/chat/completions" ? "answer.choices[0].message.content" : "answer"})`]),
    "",
  ].join("\n");
}

/** @param {Call} call */
export function node({ base, path, body }) {
  return [
    'import OpenAI from "openai";',
    "",
    "const client = new OpenAI({",
    `  baseURL: ${jsonText(base)},`,
    `  apiKey: process.env.${KEY_VARIABLE},`,
    "});",
    "",
    `const ${body.stream ? "stream" : "answer"} = await client.${sdkCall(path, ".generate")}(${scriptLiteral(body)});`,
    ...(body.stream
      ? [
          "for await (const chunk of stream) {",
          '  process.stdout.write(chunk.choices[0]?.delta?.content ?? "");',
          "}",
          "console.log();",
        ]
      : [`console.log(${path === "/chat/completions" ? "answer.choices[0].message.content" : "answer"});`]),
    "",
  ].join("\n");
}

/** @param {Call} call */
export function go({ base, path, body }) {
  return [
    "package main",
    "",
    "import (",
    '\t"io"',
    '\t"log"',
    '\t"net/http"',
    '\t"os"',
    '\t"strings"',
    ")",
    "",
    // A raw string holds everything but a backtick; inside JSON that one has another spelling.
    `const body = \`${json(body, 2).replaceAll("`", "\\u0060")}\``,
    "",
    "func main() {",
    `\treq, err := http.NewRequest("POST", ${jsonText(base + path)}, strings.NewReader(body))`,
    "\tif err != nil {",
    "\t\tlog.Fatal(err)",
    "\t}",
    `\treq.Header.Set("Authorization", "Bearer "+os.Getenv("${KEY_VARIABLE}"))`,
    '\treq.Header.Set("Content-Type", "application/json")',
    "\tres, err := http.DefaultClient.Do(req)",
    "\tif err != nil {",
    "\t\tlog.Fatal(err)",
    "\t}",
    "\tdefer res.Body.Close()",
    "\tif _, err := io.Copy(os.Stdout, res.Body); err != nil {",
    "\t\tlog.Fatal(err)",
    "\t}",
    "}",
    "",
  ].join("\n");
}

function sdkCall(path, image) {
  return { "/chat/completions": "chat.completions.create", "/embeddings": "embeddings.create" }[path] ?? `images${image}`;
}

/** JSON in which nothing hides. Such characters stand only inside strings, so an escape says the same. */
function json(value, indent) {
  return visible(JSON.stringify(value, null, indent));
}

/** A string literal that JSON, Python, JavaScript and Go (for text without lone surrogates) read alike. */
function jsonText(text) {
  return json(text, 0);
}

function visible(text) {
  return text.replace(
    // All in the basic plane: four hexadecimal digits say any of them, in each of the languages.
    /[\u007f-\u009f\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]/g,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}

/** POSIX: between single quotes everything is itself; a quote ends them, stands escaped, and opens them again. */
function shellQuoted(text) {
  return `'${visible(text).replaceAll("'", "'\\''")}'`;
}

/** JSON with Python's three words. Python reads JSON's strings and numbers as they are. */
function pythonLiteral(value, indent) {
  const inner = " ".repeat(indent + 4);
  const close = " ".repeat(indent);
  if (value === null) return "None";
  if (typeof value === "boolean") return value ? "True" : "False";
  if (Array.isArray(value)) {
    if (value.length === 0) return "[]";
    return `[\n${value.map((item) => `${inner}${pythonLiteral(item, indent + 4)},\n`).join("")}${close}]`;
  }
  if (typeof value === "object") {
    const entries = Object.entries(value);
    if (entries.length === 0) return "{}";
    const flat = `{${entries.map(([name, item]) => `${jsonText(name)}: ${scalar(item)}`).join(", ")}}`;
    if (entries.every(([, item]) => scalar(item) !== null) && flat.length <= 72) return flat;
    return `{\n${entries.map(([name, item]) => `${inner}${jsonText(name)}: ${pythonLiteral(item, indent + 4)},\n`).join("")}${close}}`;
  }
  return jsonText(value);
}

function scalar(value) {
  return typeof value === "object" && value !== null ? null : pythonLiteral(value, 0);
}

/** JSON is JavaScript, but for one name: `"__proto__": …` in a literal would set the prototype instead of a field. */
function scriptLiteral(value) {
  return json(value, 2).replace(/^(\s*)"__proto__":/gm, '$1["__proto__"]:');
}

const PYTHON_PARAMETERS = new Set([
  "model",
  "messages",
  "temperature",
  "top_p",
  "max_tokens",
  "max_completion_tokens",
  "response_format",
  "stream",
  "stream_options",
  "stop",
  "seed",
  "n",
  "presence_penalty",
  "frequency_penalty",
  "tools",
  "tool_choice",
  "user",
  "input",
  "dimensions",
  "encoding_format",
  "prompt",
  "size",
  "quality",
]);
