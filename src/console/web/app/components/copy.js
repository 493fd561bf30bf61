// Copying: a button, a field with a button, and code in several languages.
import { t } from "../i18n.js";
import { recall, remember } from "../preferences.js";
import { tokenise } from "../highlight.js";
import { cls, html, useEffect, useRef, useState } from "../ui.js";
import { IconButton, Button } from "./button.js";
import { Segmented } from "./field.js";
import { toast } from "./toast.js";

/** Copies text; true if it worked. The clipboard API is missing on plain HTTP, where the old command still works. */
export async function copyText(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    const area = document.createElement("textarea");
    area.value = text;
    area.className = "visually-hidden";
    // Inside an open dialog everything else is inert and could not be selected.
    (document.querySelector("dialog[open]") ?? document.body).append(area);
    area.select();
    const done = document.execCommand("copy");
    area.remove();
    return done;
  }
}

/** `text` is copied; with `children` a button with words, else an icon. */
export function CopyButton({ text, label, small, kind, children }) {
  const [done, setDone] = useState(false);
  const timer = useRef(0);
  useEffect(() => () => clearTimeout(timer.current), []);
  const copy = async (event) => {
    event.stopPropagation();
    if (!(await copyText(text))) {
      toast(t("copy.failed"), { kind: "bad" });
      return;
    }
    setDone(true);
    clearTimeout(timer.current);
    timer.current = setTimeout(() => setDone(false), 1600);
  };
  const said = html`<span class="visually-hidden" role="status">${done ? t("copy.done") : ""}</span>`;
  if (children) return html`<${Button} kind=${kind} small=${small} icon=${done ? "check" : "copy"} onClick=${copy}>${done ? t("copy.done") : children}<//>${said}`;
  return html`<${IconButton} icon=${done ? "check" : "copy"} label=${label ?? t("copy.copy")} small=${small} onClick=${copy} />${said}`;
}

/** A text that is there to be taken: a new key, a link. `primary` where taking it is what the view is for. */
export function CopyField({ value, label, primary }) {
  const input = useRef(null);
  return html`<div class="copy-field">
    <input class="input mono" readonly value=${value} aria-label=${label} ref=${input} onFocus=${() => input.current.select()} />
    <${CopyButton} text=${value} kind=${primary ? "primary" : "plain"}>${t("copy.copy")}<//>
  </div>`;
}

/**
 * Code with language tabs. `tabs`: `[{id, label, code, lang}]`, lang as in highlight.js; `remember` names the choice so
 * that every block shows the same language next time.
 */
export function CodeBlock({ tabs, remember: memory, label }) {
  const [chosen, setChosen] = useState(() => (memory && recall(`tollgate_code_${memory}`)) || tabs[0].id);
  const tab = tabs.find((one) => one.id === chosen) ?? tabs[0];
  const choose = (id) => {
    setChosen(id);
    if (memory) remember(`tollgate_code_${memory}`, id);
  };
  return html`<div class="code-block">
    <div class="code-head">
      ${tabs.length > 1 ? html`<${Segmented} small value=${tab.id} label=${t("code.language")} options=${tabs.map((one) => ({ value: one.id, label: one.label }))} onChange=${choose} />` : html`<span class="code-name">${tab.label}</span>`}
      <${CopyButton} text=${tab.code} small />
    </div>
    <pre class="code" tabindex="0" role="region" aria-label=${label ?? t("code.example", { language: tab.label })}><code>${tokenise(tab.code, tab.lang).map((token) => (token.kind ? html`<span class=${`code-${token.kind}`}>${token.text}</span>` : token.text))}</code></pre>
  </div>`;
}
