// A model's text as elements. Only what changed is drawn again, so a long answer streams as cheaply as a short one.
import { CopyButton } from "../components/copy.js";
import { tokenise } from "../highlight.js";
import { html, useMemo } from "../ui.js";
import { blocks, spans } from "./prose.js";

const LANGUAGES = { sh: "shell", bash: "shell", shell: "shell", zsh: "shell", py: "python", python: "python", js: "javascript", javascript: "javascript", ts: "javascript", typescript: "javascript", go: "go", json: "json", yaml: "yaml", yml: "yaml" };

export function Prose({ text, going }) {
  const parts = blocks(text);
  return html`<div class="prose">
    ${parts.map((part, index) => html`<${Part} key=${index} kind=${part.kind} language=${part.language} text=${part.text} growing=${going && index === parts.length - 1} />`)}
    ${going && parts.at(-1)?.kind !== "text" && html`<${Caret} />`}
  </div>`;
}

const Caret = () => html`<span class="caret" aria-hidden="true"></span>`;

// The same element as last time tells the renderer that there is nothing to compare.
function Part({ kind, language, text, growing }) {
  return useMemo(
    () =>
      kind === "code"
        ? html`<div class="code-block">
            <div class="code-head"><span class="code-name">${language || " "}</span><${CopyButton} text=${text} small /></div>
            <pre class="code" tabindex="0"><code>${tokenise(text, LANGUAGES[language.toLowerCase()] ?? "text").map((token) => (token.kind ? html`<span class=${`code-${token.kind}`}>${token.text}</span>` : token.text))}</code></pre>
          </div>`
        : html`<p>${spans(text).map((span) => (span.kind === "code" ? html`<code class="mono">${span.text}</code>` : span.kind === "strong" ? html`<strong>${span.text}</strong>` : span.text))}${growing && html`<${Caret} />`}</p>`,
    [kind, language, text, growing],
  );
}
