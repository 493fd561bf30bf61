// What a call measured and cost, and what went wrong with it.
import { IconButton } from "../components/button.js";
import { CopyButton } from "../components/copy.js";
import { Banner } from "../components/feedback.js";
import { Id, Money } from "../components/text.js";
import { NONE, count, duration } from "../format.js";
import { has, t } from "../i18n.js";
import { me } from "../session.js";
import { html } from "../ui.js";
import { tokensPerSecond } from "./call.js";

/** `whole`: an answer that comes in one piece, where first token and speed would say nothing. */
export function Strip({ run, onEvents, whole }) {
  run.tick.value;
  const { record, answer } = run;
  const input = record?.input_tokens ?? answer.usage?.input;
  const output = record?.output_tokens ?? answer.usage?.output;
  const going = run.state === "waiting" || run.state === "running";
  const speed = tokensPerSecond(run);
  // While it runs, pieces are the best guess at tokens; it is marked as one.
  const outputs = output != null ? count(output) : answer.pieces > 0 ? `≈${count(answer.pieces)}` : pending(run);
  return html`<dl class="strip" aria-live="off">
    ${!whole &&
    html`<${Measure} label=${t("playground.ttft")} value=${run.ttftMs === null ? (going ? "…" : NONE) : duration(run.ttftMs)} />
      <${Measure} label=${t("playground.speed")} value=${speed === null ? (going ? "…" : NONE) : t("playground.tokens_per_second", { n: count(speed) })} />`}
    <${Measure} label=${t("playground.in_out")} value=${`${input != null ? count(input) : pending(run)} / ${outputs}`} />
    <${Measure} label=${t("playground.cost")} value=${record ? html`${record.estimated ? "≈" : ""}<${Money} value=${record.charge} fine />` : pending(run)} />
    ${!going && html`<${Measure} label=${t("playground.total_time")} value=${duration(run.totalMs)} />`}
    <div class="strip-end">
      ${run.requestId && (me.value ? html`<a class="mono strip-id" href=${`/requests/${encodeURIComponent(run.requestId)}`} title=${t("playground.open_request")}>${run.requestId}</a><${CopyButton} text=${run.requestId} label=${t("error.copy_id")} small />` : html`<${Id} value=${run.requestId} />`)}
      ${onEvents && run.eventCount > 0 && html`<${IconButton} icon="list" label=${t("playground.events", { n: count(run.eventCount) })} small onClick=${onEvents} />`}
    </div>
  </dl>`;
}

// Until the books have been asked, a dash would claim that there is nothing to know.
const pending = (run) => (run.settled ? NONE : "…");

const Measure = ({ label, value }) => html`<div class="measure"><dt>${label}</dt><dd class="number">${value}</dd></div>`;

/** The error in the place where the answer would have been: what it means, what the server said, where to look. */
export function RunError({ run }) {
  const { error } = run;
  if (!error) return null;
  const known = has(`playground.error.${error.code}`);
  const title = known ? t(`playground.error.${error.code}`) : error.message || t("playground.error.other");
  return html`<${Banner} tone="bad" role="alert" title=${title}>
    ${known && error.message && html`<p class="error-message">${error.message}</p>`}
    ${run.retryAfter && !error.message && html`<p>${t("playground.retry_after", { n: run.retryAfter })}</p>`}
    <span class="error-trace"><code class="mono">${error.status ? `${error.status} ` : ""}${error.code}</code>${run.requestId && html`<span class="error-id"><${Id} value=${run.requestId} /></span>`}</span>
  <//>`;
}
