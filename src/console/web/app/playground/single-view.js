// Embeddings and images: one question, one answer, what it cost.
import { Button } from "../components/button.js";
import { CopyButton } from "../components/copy.js";
import { Empty } from "../components/feedback.js";
import { count } from "../format.js";
import { t } from "../i18n.js";
import { html, useMemo } from "../ui.js";
import { linesOf, mode, single } from "./chat.js";
import { Composer } from "./conversation-view.js";
import { picturesOf, vectorsOf } from "./results.js";
import { RunError, Strip } from "./run-view.js";

export function Single() {
  const made = single.value[mode.value];
  const run = made?.run;
  run?.tick.value;
  return html`<section class="card chat" aria-label=${t(`playground.mode.${mode.value}`)}>
    <div class="chat-columns"><div class="chat-column">
      <div class="chat-log" role="log" aria-live="polite" aria-busy=${String(run?.state === "waiting" || run?.state === "running")} aria-label=${t("playground.log")} tabindex="0">
        ${!made && html`<${Empty} icon=${mode.value === "images" ? "image" : "hash"} title=${t(`playground.${mode.value}.empty`)}>${t(`playground.${mode.value}.lead`)}<//>`}
        ${run && (run.state === "waiting" || run.state === "running") && html`<p class="faint" role="status">${t("playground.waiting")}</p>`}
        ${run && html`<${RunError} run=${run} />`}
        ${run?.state === "done" && (mode.value === "images" ? html`<${Pictures} whole=${run.whole} prompt=${made.question} />` : html`<${Vectors} whole=${run.whole} lines=${linesOf(made.question)} />`)}
      </div>
      ${run && html`<${Strip} whole run=${run} />`}
    </div></div>
    <${Composer} />
  </section>`;
}

function Vectors({ whole, lines }) {
  const { vectors, closeness } = useMemo(() => vectorsOf(whole), [whole]);
  if (vectors.length === 0) return html`<p class="faint">${t("playground.embeddings.none")}</p>`;
  return html`<div class="vectors">
    ${vectors.map(
      (vector, index) => html`<div key=${index} class="vector">
        <p class="vector-text"><span class="number faint">${index + 1}</span> ${lines[index] ?? ""}</p>
        <p class="vector-values mono">${vector.preview} <span class="faint">${t("playground.embeddings.dimensions", { n: count(vector.dimensions) })}</span></p>
        <${CopyButton} text=${vector.text} label=${t("playground.embeddings.copy")} small />
      </div>`,
    )}
    ${closeness.length > 1 &&
    html`<h3 class="vectors-title">${t("playground.embeddings.closeness")}</h3>
      <div class="table-frame" tabindex="0" role="region" aria-label=${t("playground.embeddings.closeness")}>
        <table class="table closeness"><thead><tr><th></th>${closeness.map((_, index) => html`<th key=${index} scope="col" class="end">${index + 1}</th>`)}</tr></thead>
        <tbody>${closeness.map((row, index) => html`<tr key=${index}><th scope="row">${index + 1}</th>${row.map((value, other) => html`<td key=${other} class="end number">${value === null ? "—" : value.toFixed(3)}</td>`)}</tr>`)}</tbody></table>
      </div>`}
  </div>`;
}

function Pictures({ whole, prompt }) {
  const pictures = useMemo(() => picturesOf(whole), [whole]);
  if (pictures.length === 0) return html`<p class="faint">${t("playground.images.none")}</p>`;
  return html`<div class="pictures">
    ${pictures.map((picture, index) =>
      picture.data
        ? html`<figure key=${index} class="picture"><img src=${picture.data} alt=${prompt} /><figcaption><${Button} small icon="download" href=${picture.data} download=${`picture-${index + 1}.${picture.extension}`}>${t("playground.images.save")}<//></figcaption></figure>`
        : html`<p key=${index} class="picture-address">${t("playground.images.address")} <code class="mono">${picture.address}</code><${CopyButton} text=${picture.address} small /></p>`,
    )}
  </div>`;
}
