// What is on the page, as code in each language.
import { baseUrl } from "../site.js";
import { PATHS, currentBody, mode } from "./chat.js";
import { LANGUAGES } from "./code.js";

const COLOURS = { curl: "shell", python: "python", node: "javascript", go: "go" };

export function codeTabs() {
  const call = { base: baseUrl(), path: PATHS[mode.value], body: currentBody() };
  return LANGUAGES.map(({ id, label, write }) => ({ id, label, code: write(call), lang: COLOURS[id] }));
}
