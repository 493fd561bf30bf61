// A key's whole text, the one time that it can be seen.
import { Button } from "../components/button.js";
import { CodeBlock, CopyField } from "../components/copy.js";
import { Dialog } from "../components/dialog.js";
import { Banner } from "../components/feedback.js";
import { Checkbox } from "../components/field.js";
import { t } from "../i18n.js";
import { baseUrl } from "../site.js";
import { callSnippets, useSampleModel } from "../snippets.js";
import { html, useEffect, useState } from "../ui.js";

export function NewKeyNote({ made, onClose }) {
  const [stored, setStored] = useState(false);
  const sample = useSampleModel(Boolean(made?.key));
  useEffect(() => setStored(false), [made?.id]);
  if (made && !made.key) {
    return html`<${Dialog} open=${true} onClose=${onClose} title=${t("keys.made.title", { name: made.name })} footer=${html`<${Button} kind="primary" onClick=${onClose}>${t("close")}<//>`}><p class="modal-words">${t("keys.made.again")}</p><//>`;
  }
  return html`<${Dialog} open=${Boolean(made)} wide onClose=${() => stored && onClose()} title=${made && t("keys.made.title", { name: made.name })}
    footer=${html`<${Checkbox} checked=${stored} onChange=${setStored} label=${t("keys.made.stored")} /><${Button} kind="primary" disabled=${!stored} onClick=${onClose}>${t("keys.made.done")}<//>`}>
    ${made && html`<${Banner} tone="warn" title=${t("keys.made.once")}>${t("keys.made.once.words")}<//>
      <${CopyField} primary value=${made.key} label=${t("keys.made.label")} />
      <h3 class="request-title">${t("keys.made.use")}</h3>
      <${CodeBlock} remember="call" tabs=${callSnippets({ key: made.key, model: made.models?.[0] ?? sample })} />
      <ul class="recipes">${["sdk", "chat", "cursor"].map((name) => html`<li key=${name}>${t(`keys.made.in.${name}`, { base: baseUrl() })}</li>`)}</ul>`}
  <//>`;
}
