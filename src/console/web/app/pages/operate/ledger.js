// The ledger of all accounts, and the proof that it is right.
import { get } from "../../api.js";
import { Button } from "../../components/button.js";
import { Banner, ErrorNote } from "../../components/feedback.js";
import { useSending } from "../../components/field.js";
import { Page } from "../../components/page.js";
import { Moment } from "../../components/text.js";
import { count, exact } from "../../format.js";
import { t } from "../../i18n.js";
import { html, signal } from "../../ui.js";
import { LedgerTable } from "../billing.js";

/** The last proof and when it was made: it stays true of that moment while its reader looks at other pages. */
const last = signal(null);

export default function Ledger({ query }) {
  const form = useSending();
  const prove = () => form.send(async () => (last.value = { ...(await get("/api/audit")), at: new Date().toISOString() }));
  const proof = last.value;
  return html`<${Page} title=${t("nav.op.ledger")} lead=${t("op.ledger.lead")} actions=${html`<${Button} kind="primary" icon="shield" busy=${form.busy} onClick=${prove}>${t("op.prove")}<//>`}>
    ${form.error && html`<${ErrorNote} error=${form.error} retry=${prove} />`}
    ${!proof && !form.error && html`<p class="faint">${t("op.never_proved")}</p>`}
    ${proof && html`<${Banner} tone=${proof.ok ? "ok" : "bad"} role="status" title=${t(proof.ok ? "op.proved" : "op.not_proved", { n: proof.differences.length })}>
      <p>${t("op.proof", { accounts: count(proof.accounts), entries: count(proof.entries), requests: count(proof.requests), holds: count(proof.holds), balance: exact(proof.balance) })} <${Moment} at=${proof.at} style="full" /></p>
      ${proof.differences.length > 0 && html`<ul class="differences">${proof.differences.slice(0, 50).map((one) => html`<li key=${one}>${one}</li>`)}</ul>`}
    <//>`}
    <${LedgerTable} everything path="/api/ledger" query=${query} file="tollgate-ledger.csv" />
  <//>`;
}
