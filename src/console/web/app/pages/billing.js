// Money: what is there, every movement of it, and codes to redeem.
import { downloadCsv, newIdempotencyKey, post, sentence, useApi, usePages } from "../api.js";
import { redeemCode, balanceOverTime } from "../books.js";
import { TimeChart } from "../charts.js";
import { Button } from "../components/button.js";
import { Card, Kpi, KpiStrip } from "../components/card.js";
import { Empty, ErrorNote } from "../components/feedback.js";
import { Field, Input, useSending } from "../components/field.js";
import { FilterBar } from "../components/filters.js";
import { Page } from "../components/page.js";
import { Chip } from "../components/status.js";
import { Table } from "../components/table.js";
import { Id, Moment } from "../components/text.js";
import { toast } from "../components/toast.js";
import { NONE, exact, money, movement } from "../format.js";
import { t, word } from "../i18n.js";
import { isNegative, pixels } from "../money.js";
import { account, isOperator, refreshMe } from "../session.js";
import { cls, html, useMemo, useState } from "../ui.js";

export default function Billing({ query }) {
  const own = account.value;
  if (!own) return html`<${Page} title=${t("billing.title")}><${Empty} icon="landmark" title=${t("overview.no_account")}>${t("overview.no_account.lead")}<//><//>`;
  return html`<${Page} title=${t("billing.title")} lead=${t("billing.lead")}>
    <${KpiStrip} label=${t("billing.title")}>
      <${Kpi} label=${t("billing.available")} value=${money(own.available)} title=${exact(own.available)} tone=${Number(own.available) <= 0 ? "bad" : undefined} note=${t("billing.available.note")} />
      <${Kpi} label=${t("billing.balance")} value=${money(own.balance)} title=${exact(own.balance)} note=${t("billing.balance.note")} />
      <${Kpi} label=${t("billing.held")} value=${money(own.held)} title=${exact(own.held)} note=${t("billing.held.note")} />
    <//>
    <${Redeem} />
    <${BalanceChart} account=${own} />
    <${LedgerTable} path=${`/api/accounts/${own.id}/ledger`} query=${query} file="tollgate-ledger.csv" />
  <//>`;
}

function Redeem() {
  const [typed, setTyped] = useState("");
  const form = useSending();
  const code = redeemCode(typed);
  const submit = (event) => {
    event.preventDefault();
    form.send(async () => {
      const entry = await post("/api/redeem", { code }, { idempotencyKey: newIdempotencyKey() });
      setTyped("");
      await refreshMe();
      toast(t("billing.redeemed", { amount: money(entry.amount) }));
    });
  };
  return html`<${Card} title=${t("billing.redeem")} lead=${t(isOperator.value ? "billing.redeem.operator" : "billing.redeem.lead")}>
    <form class="inline-form" onSubmit=${submit}>
      <${Field} label=${t("billing.code")} error=${form.error ? sentence(form.error) : undefined}><${Input} class="mono" value=${typed} placeholder="TG-XXXXX-XXXXX-XXXXX-XXXXX" maxlength="64" onChange=${(text) => (setTyped(text), form.clear())} /><//>
      <${Button} type="submit" kind="primary" icon="ticket" busy=${form.busy} disabled=${!code}>${t("billing.redeem.submit")}<//>
    </form>
  <//>`;
}

/** Thirty days of balance, reckoned backwards from today's by what the books hold. */
function BalanceChart({ account: own }) {
  const series = useApi("/api/usage/series", { query: { by: "total", range: "30d", account: isOperator.value ? own.id : null } });
  const entries = useApi(`/api/accounts/${own.id}/ledger`, { query: { kind: "credit", limit: 200 } });
  const data = series.data;
  const shown = useMemo(() => {
    if (!data || !entries.data) return null;
    const charges = data.at.map((_, i) => data.series[0]?.charge[i] ?? "0");
    const since = Date.parse(data.since);
    const points = balanceOverTime(own.balance, data.at, charges, entries.data.data.filter((entry) => Date.parse(entry.at) >= since));
    return [{ name: "balance", label: t("billing.balance"), values: points.slice(1).map(pixels), show: (i) => money(points[i + 1]) }];
  }, [data, entries.data, own.balance]);
  if (!shown) return html`<section class="card chart-card chart-waiting" aria-busy="true"></section>`;
  return html`<${TimeChart} title=${t("billing.over_time")} at=${data.at} bucketS=${data.bucket_s} series=${shown} format=${axis} height=${180} />`;
}
const axis = (n) => money(n.toFixed(2));

const KINDS = ["credit", "charge", "adjust", "refund"];

/** Every movement of money. `everything`: over all accounts, each row with its account. */
export function LedgerTable({ path, query, file, everything }) {
  const list = usePages(path, { query: { kind: KINDS.includes(query.kind) ? query.kind : null } });
  const columns = [
    { id: "at", label: t("ledger.at"), quiet: true, cell: (row) => html`<${Moment} at=${row.at} style="log" />` },
    everything && { id: "account", label: t("requests.account"), cell: (row) => html`<a href=${`/operate/accounts/${encodeURIComponent(row.account)}`}>${row.account}</a>` },
    { id: "kind", label: t("ledger.kind"), cell: (row) => html`<${Chip} tone=${{ credit: "ok", refund: "ok", adjust: "warn" }[row.kind] ?? "none"}>${word("ledger.kind", row.kind)}<//>` },
    { id: "amount", label: t("ledger.amount"), align: "end", cell: (row) => html`<span class=${cls("number", !isNegative(row.amount) && "tone-ok")}>${movement(row.amount)}</span>` },
    { id: "after", label: t("ledger.after"), align: "end", quiet: true, cell: (row) => exact(row.balance_after) },
    { id: "why", label: t("ledger.why"), wide: true, cell: (row) => (row.request_id ? html`<a class="mono" href=${`${everything ? "/operate/requests" : "/requests"}/${row.request_id}`}>${row.request_id}</a>` : (row.note ?? row.ref ?? NONE)) },
    { id: "seq", label: t("ledger.seq"), align: "end", quiet: true, cell: (row) => html`<span class="number">#${row.seq}</span>` },
  ].filter(Boolean);
  const csv = async () => {
    try {
      await downloadCsv(path, { kind: query.kind }, file);
    } catch (error) {
      toast(sentence(error), { kind: "bad" });
    }
  };
  return html`<${FilterBar} label=${t("ledger.filters")} filters=${[{ name: "kind", label: t("ledger.kind"), type: "select", options: KINDS.map((value) => ({ value, label: word("ledger.kind", value) })) }]}><${Button} icon="download" disabled=${!list.rows} onClick=${csv}>CSV<//><//>
    <div class="card card-flush"><${Table} label=${t("ledger.title")} columns=${columns} rows=${list.rows} state=${list} rowKey=${(row) => row.seq} isSelected=${(row) => String(row.seq) === query.entry}
      empty=${html`<${Empty} icon="scroll-text" title=${t("ledger.none")}>${t("ledger.none.lead")}<//>`} /></div>`;
}
