// The card at the side: which model, whose key, and everything else that a request can say.
import { IconButton } from "../components/button.js";
import { CodeBlock } from "../components/copy.js";
import { Field, Input, Password, Range, Select, Switch, Textarea } from "../components/field.js";
import { t } from "../i18n.js";
import { me } from "../session.js";
import { html } from "../ui.js";
import { readExtra } from "./body.js";
import { chosen, comparing, keyId, mode, pastedKey, set, settings } from "./chat.js";
import { codeTabs } from "./code-tabs.js";
import { PASTE, asking, chooseKey, chooseModel, keyFault, keyOptions, modelOptions, pasteText } from "./choices.js";

const SIZES = ["1024x1024", "1024x1536", "1536x1024"];
const QUALITIES = ["standard", "hd", "low", "medium", "high"];

export function Settings() {
  const now = settings.value;
  const extra = readExtra(now.extra);
  const own = (value) => [{ value: "", label: t("playground.default") }, ...value.map((one) => ({ value: one, label: one }))];
  return html`<section class="card settings" aria-label=${t("playground.settings")}>
    <${ModelField} side=${0} label=${t(comparing.value && mode.value === "chat" ? "playground.model_a" : "playground.model")} />
    ${comparing.value && mode.value === "chat" && html`<${ModelField} side=${1} label=${t("playground.model_b")} />`}
    <${KeyField} />
    ${mode.value === "chat" &&
    html`<${Field} label=${t("playground.system")} optional>
        <${Textarea} rows="2" value=${now.system} onChange=${(system) => set({ system })} placeholder=${t("playground.system.placeholder")} />
      <//>
      <${Slider} label=${t("playground.temperature")} value=${now.temperature} max=${2} start=${1} onChange=${(temperature) => set({ temperature })} />
      <${Slider} label=${t("playground.top_p")} value=${now.topP} max=${1} start=${1} onChange=${(topP) => set({ topP })} />
      <${Field} label=${t("playground.max_tokens")}>
        <${Input} inputmode="numeric" value=${now.maxTokens ?? ""} placeholder=${t("playground.default")} onChange=${(text) => set({ maxTokens: whole(text) })} />
      <//>
      <div class="settings-switches">
        <${Switch} checked=${now.stream} onChange=${(stream) => set({ stream })} label=${t("playground.stream")} />
        <${Switch} checked=${now.json} onChange=${(json) => set({ json })} label=${t("playground.json")} />
      </div>`}
    ${mode.value === "images" &&
    html`<${Field} label=${t("playground.size")}><${Select} value=${now.size} options=${own(SIZES)} onChange=${(size) => set({ size })} /><//>
      <${Field} label=${t("playground.quality")}><${Select} value=${now.quality} options=${own(QUALITIES)} onChange=${(quality) => set({ quality })} /><//>`}
    <details class="settings-more" open=${extra.fault !== null || undefined}>
      <summary>${t("playground.extra")}</summary>
      <${Field} label=${t("playground.extra.label")} hint=${t("playground.extra.hint")} error=${extra.fault && t(`playground.extra.fault.${extra.fault}`, { at: extra.at ?? "" })}>
        <${Textarea} class="mono" rows="3" value=${now.extra} onChange=${(text) => set({ extra: text })} placeholder=${'{"seed": 7}'} />
      <//>
    </details>
    <div class="settings-code"><${CodeBlock} remember="playground" tabs=${codeTabs()} label=${t("playground.code")} /></div>
  </section>`;
}

function ModelField({ side, label }) {
  const options = modelOptions();
  return html`<${Field} label=${label}>
    <${Select} class="mono" value=${chosen.value[side]} disabled=${options.length === 0}
      options=${options.length === 0 ? [{ value: "", label: t(asking.value ? "loading" : "playground.no_models") }] : options}
      onChange=${(model) => chooseModel(side, model)} />
  <//>`;
}

function KeyField() {
  const pasting = keyId.value === null;
  return html`${me.value && html`<${Field} label=${t("playground.key")} error=${!pasting && keyFault.value}><${Select} value=${keyId.value ?? PASTE} options=${keyOptions()} onChange=${chooseKey} /><//>`}
    ${pasting &&
    html`<${Field} label=${t("playground.pasted_key")} hint=${t("playground.pasted_key.hint")} error=${keyFault.value}>
      <${Password} class="mono" value=${pastedKey.value} onChange=${pasteText} placeholder="sk-tg-…" autocomplete="off" />
    <//>`}`;
}

/** A number that is only sent once somebody has moved it. */
function Slider({ label, value, max, start, onChange }) {
  return html`<${Field} label=${label} aside=${value === null ? html`<span class="faint">${t("playground.default")}</span>` : html`<span class="number">${value}</span><${IconButton} small icon="undo-2" label=${t("playground.reset", { name: label })} onClick=${() => onChange(null)} />`}>
    <${Range} class=${value === null ? "range-unset" : undefined} min=${0} max=${max} step=${max > 1 ? 0.1 : 0.05} value=${value ?? start} onChange=${(next) => onChange(Math.round(next * 100) / 100)} />
  <//>`;
}

function whole(text) {
  const digits = text.replace(/\D/g, "").slice(0, 9);
  return digits === "" || Number(digits) === 0 ? null : Number(digits);
}
