// One request in full: how it ended, when, what was used, and a bill that adds up before the reader's eyes.
import { useApi } from "../api.js";
import { provedBill } from "../books.js";
import { Facts } from "../components/card.js";
import { CodeBlock } from "../components/copy.js";
import { Drawer } from "../components/dialog.js";
import { ErrorNote, Skeleton } from "../components/feedback.js";
import { Chip, RequestState } from "../components/status.js";
import { Id, Moment, Money } from "../components/text.js";
import { NONE, count, duration, exact } from "../format.js";
import { has, t, word } from "../i18n.js";
import { account, isOperator } from "../session.js";
import { html } from "../ui.js";

export function RequestDrawer({ id, onClose }) {
  const { data, error, slow, reload } = useApi(id ? `/api/requests/${encodeURIComponent(id)}` : null);
  // While another request is fetched, the former one's figures must not stand under its name.
  const request = data?.id === id ? data : null;
  return html`<${Drawer} open=${Boolean(id)} wide onClose=${onClose} title=${t("requests.one")} lead=${html`<${Id} value=${id} label=${t("error.copy_id")} />`}>
    ${error && html`<${ErrorNote} error=${error} retry=${reload} />`}
    ${!request && !error && slow && html`<${Skeleton} lines=${8} />`}
    ${request && html`<${Details} request=${request} />`}
  <//>`;
}

function Details({ request }) {
  const outcome = `requests.outcome.${request.outcome}`;
  return html`<div class="request">
    <div class="request-head"><${RequestState} request=${request} /><code class="mono request-model">${request.model || NONE}</code>${request.estimated && html`<${Chip} tone="warn">${t("requests.estimated")}<//>`}</div>
    ${has(outcome) && html`<p class="request-words">${t(outcome)}</p>`}
    <${Timeline} request=${request} />
    <h3 class="request-title">${t("requests.usage")}</h3>
    <${Usage} request=${request} />
    <h3 class="request-title">${t("requests.bill")}</h3>
    <${Bill} request=${request} />
    <h3 class="request-title">${t("requests.details")}</h3>
    <${Facts} items=${[
      { label: t("requests.started"), value: html`<${Moment} at=${request.started_at} style="full" />` },
      { label: t("requests.key"), value: html`${request.key_name ?? ""} <${Id} value=${request.key_id} />` },
      { label: t("requests.account"), value: request.account },
      { label: t("requests.endpoint"), value: html`<code class="mono">${request.endpoint}</code>` },
      { label: t("requests.streamed"), value: t(request.streamed ? "requests.yes" : "requests.no") },
      isOperator.value && { label: t("requests.upstream"), value: request.upstream ?? NONE },
      { label: t("requests.price_version"), value: html`<code class="mono">${request.price_version || NONE}</code>` },
      request.ledger_seq != null && { label: t("requests.ledger_entry"), value: request.account === account.value?.name ? html`<a href=${`/billing?entry=${request.ledger_seq}`}>#${request.ledger_seq}</a>` : `#${request.ledger_seq}` },
    ]} />
    <details class="request-raw"><summary>${t("requests.raw")}</summary><${CodeBlock} tabs=${[{ id: "json", label: "JSON", code: JSON.stringify(request, null, 2), lang: "json" }]} /></details>
  </div>`;
}

/** From arrival to the last byte: waiting for the first token, then the answer. */
function Timeline({ request }) {
  const { ttft_ms: first, duration_ms: whole } = request;
  // What came in one piece has a first byte, but no time of answering after it.
  const share = request.streamed && first != null && whole > 0 ? Math.min(1, first / whole) : null;
  return html`<div class="timeline">
    <div class="timeline-bar" aria-hidden="true">
      ${share === null ? html`<span class="timeline-rest" style=${{ width: "100%" }}></span>` : html`<span class="timeline-wait" style=${{ width: `${share * 100}%` }}></span><span class="timeline-rest" style=${{ width: `${(1 - share) * 100}%` }}></span>`}
    </div>
    <dl class="timeline-legend">
      ${share !== null && html`<div><dt><span class="timeline-key timeline-wait" aria-hidden="true"></span>${t("requests.wait")}</dt><dd class="number">${duration(first)}</dd></div>`}
      <div><dt><span class="timeline-key timeline-rest" aria-hidden="true"></span>${t(share === null ? "requests.in_all" : "requests.answering")}</dt><dd class="number">${duration(share === null ? whole : whole - first)}</dd></div>
      ${share !== null && html`<div><dt>${t("requests.in_all")}</dt><dd class="number">${duration(whole)}</dd></div>`}
      ${share !== null && whole > first && request.output_tokens > 1 && html`<div><dt>${t("requests.speed")}</dt><dd class="number">${t("playground.tokens_per_second", { n: count(Math.round(((request.output_tokens - 1) * 1_000) / (whole - first))) })}</dd></div>`}
    </dl>
  </div>`;
}

function Usage({ request }) {
  const known = request.input_tokens > 0 || request.output_tokens > 0;
  const tokens = (n) => (known ? count(n) : NONE);
  return html`<${Facts} items=${[
    { label: t("requests.input_tokens"), value: html`<span class="number">${tokens(request.input_tokens)}</span>` },
    { label: t("requests.cached_tokens"), value: html`<span class="number">${tokens(request.cached_input_tokens)}</span>` },
    { label: t("requests.output_tokens"), value: html`<span class="number">${tokens(request.output_tokens)}</span>` },
    { label: t("requests.reasoning_tokens"), value: html`<span class="number">${tokens(request.reasoning_tokens)}</span>` },
  ]} />`;
}

function Bill({ request }) {
  const { bill } = request;
  if (!bill) return html`<p class="request-words">${request.charge === "0" ? t("requests.free") : html`${t("requests.no_bill")} <${Money} value=${request.charge} fine />`}</p>`;
  const { sum, proved } = provedBill(bill, request.charge);
  return html`<div class="table-frame bill" tabindex="0" role="region" aria-label=${t("requests.bill")}><table class="table">
      <thead><tr><th scope="col">${t("bill.item")}</th><th scope="col" class="end">${t("bill.quantity")}</th><th scope="col" class="end">${t("bill.price")}</th><th scope="col" class="end">${t("bill.amount")}</th></tr></thead>
      <tbody>${bill.lines.map(
        (line, index) => html`<tr key=${index}><td>${word("bill.item", line.item)}</td><td class="end number">${count(line.quantity)} <span class="faint">${word("bill.unit", line.unit)}</span></td>
          <td class="end number quiet">${exact(line.unit_price)}${Number(line.per) > 1 ? html` <span class="faint">/ ${per(Number(line.per))}</span>` : null}</td><td class="end number">${exact(line.amount)}</td></tr>`,
      )}</tbody>
      <tfoot>
        ${bill.markup !== "1" && html`<tr><td colspan="3">${t("bill.list_total")}</td><td class="end number">${sum === null ? NONE : exact(sum)}</td></tr><tr><td colspan="3">${t("bill.markup")}</td><td class="end number">× ${bill.markup}</td></tr>`}
        <tr class="bill-total"><td colspan="3">${t("bill.total")}</td><td class="end number">${exact(bill.total)}</td></tr>
      </tfoot>
    </table></div>
    <p class="bill-proof">${proved ? html`<${Chip} tone="ok">${t("bill.proved")}<//>` : html`<${Chip} tone="warn">${t("bill.not_proved", { charge: exact(request.charge) })}<//>`}</p>`;
}

const per = (n) => (n === 1_000_000 ? "1M" : n === 1_000 ? "1K" : count(n));
