// The first call, in the languages that people use: shown beside a new key and in the newcomer's steps.
import { useApi } from "./api.js";
import { KEY_VARIABLE, LANGUAGES } from "./playground/code.js";
import { purposeOf } from "./playground/purpose.js";
import { baseUrl } from "./site.js";

const COLOURS = { curl: "shell", python: "python", node: "javascript", go: "go" };

/** The id of a model that answers chats, for samples that work when they are pasted; "…" until one is known. */
export function useSampleModel(wanted = true) {
  const models = useApi(wanted ? "/api/models" : null).data?.data ?? [];
  const chats = models.filter((model) => purposeOf(model) === "chat");
  return (chats.find((model) => model.available) ?? chats[0])?.id ?? "…";
}

/** Tabs for a CodeBlock. The key stands in the environment, where it belongs, and in no program's text. */
export function callSnippets({ key, model }) {
  const call = { base: baseUrl(), path: "/chat/completions", body: { model, messages: [{ role: "user", content: "Hello!" }], stream: true } };
  const tabs = LANGUAGES.map(({ id, label, write }) => ({ id, label, code: write(call).trimEnd(), lang: COLOURS[id] }));
  tabs[0].code = `export ${KEY_VARIABLE}=${key}\n\n${tabs[0].code}`;
  return [...tabs, { id: "env", label: ".env", lang: "shell", code: `OPENAI_BASE_URL=${baseUrl()}\nOPENAI_API_KEY=${key}\n${KEY_VARIABLE}=${key}` }];
}
