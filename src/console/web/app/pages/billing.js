// Money: what is there, every movement of it, and codes to redeem.
import { ApiError, get, newIdempotencyKey, post, sentence, useApi, usePages } from "../api.js";
import { redeemCode, balanceOverTime } from "../books.js";
import { TimeChart } from "../charts.js";
import { Button } from "../components/button.js";
import { Card, Facts, Kpi, KpiStrip } from "../components/card.js";
import { exportCsv } from "../components/export.js";
import { Empty, ErrorNote } from "../components/feedback.js";
import { Field, Input, useSending } from "../components/field.js";
import { FilterBar } from "../components/filters.js";
import { Page } from "../components/page.js";
import { Chip } from "../components/status.js";
import { Table } from "../components/table.js";
import { Moment } from "../components/text.js";
import { toast } from "../components/toast.js";
import { NONE, count, exact, money, movement } from "../format.js";
import { t, word } from "../i18n.js";
import { isNegative, pixels } from "../money.js";
import { setQuery } from "../router.js";
import { account, isOperator, refreshMe } from "../session.js";
import { cls, html, useEffect, useMemo, useState } from "../ui.js";

export default function Billing({ query }) {
  const own = account.value;
  const overview = useApi(own ? "/api/overview" : null, { query: { range: "30d" } });
  // The balance in memory is from the sign-in or the last change made here; other programs spend too.
  useEffect(() => {
    refreshMe().catch(() => {});
  }, []);
  const spend = overview.data?.spend;
  const days = overview.data?.days_left;
  if (!own) return html`<${Page} title=${t("billing.title")}><${Empty} icon="landmark" title=${t("overview.no_account")}>${t("overview.no_account.lead")}<//><//>`;
  return html`<${Page} title=${t("billing.title")} lead=${t("billing.lead")}>
    <${KpiStrip} label=${t("billing.title")}>
      <${Kpi} label=${t("billing.available")} value=${money(own.available)} title=${exact(own.available)} tone=${Number(own.available) <= 0 ? "bad" : undefined} note=${days == null ? t("billing.available.note") : t("billing.days_left", { n: count(Math.floor(days)) })} />
      <${Kpi} label=${t("billing.balance")} value=${money(own.balance)} title=${exact(own.balance)} note=${t("billing.balance.note")} />
      <${Kpi} label=${t("billing.held")} value=${money(own.held)} title=${exact(own.held)} note=${t("billing.held.note")} />
      <${Kpi} label=${t("billing.this_month")} loading=${overview.slow} value=${spend ? money(spend.this_month) : NONE} title=${spend && exact(spend.this_month)} note=${spend ? t("billing.last_month", { amount: money(spend.last_month) }) : NONE} />
    <//>
    <${Redeem} />
    <${BalanceChart} account=${own} />
    <${Entry} account=${own} seq=${query.entry} />
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

/** The ledger entry that a request's bill points to, however far back it lies. */
function Entry({ account: own, seq }) {
  const wanted = /^\d{1,15}$/.test(seq ?? "") ? Number(seq) : null;
  const found = useApi(wanted === null ? null : `/api/accounts/${own.id}/ledger`, { query: { after: wanted + 1, limit: 1 } });
  const entry = found.data?.data[0];
  if (wanted === null || entry?.seq !== wanted) return html`<${ErrorNote} error=${found.error} />`;
  return html`<${Card} title=${t("billing.entry", { n: seq })} actions=${html`<${Button} kind="ghost" icon="x" onClick=${() => setQuery({ entry: null }, { replace: false })}>${t("billing.entry.all")}<//>`}>
    <${Facts} items=${[
      { label: t("ledger.at"), value: html`<${Moment} at=${entry.at} style="full" />` },
      { label: t("ledger.kind"), value: word("ledger.kind", entry.kind) },
      { label: t("ledger.amount"), value: html`<span class="number">${movement(entry.amount)}</span>` },
      { label: t("ledger.after"), value: html`<span class="number">${exact(entry.balance_after)}</span>` },
      entry.request_id && { label: t("requests.one"), value: html`<a class="mono" href=${`/requests/${entry.request_id}`}>${entry.request_id}</a>` },
      (entry.note || entry.ref) && { label: t("ledger.why"), value: [entry.note, entry.ref].filter(Boolean).join(" · ") },
    ]} />
  <//>`;
}

/** Thirty days of balance, reckoned backwards from today's by what the books hold. */
function BalanceChart({ account: own }) {
  const series = useApi("/api/usage/series", { query: { by: "total", range: "30d", account: isOperator.value ? own.id : null } });
  const data = series.data;
  const [moved, setMoved] = useState(null);
  useEffect(() => {
    if (!data) return undefined;
    const abort = new AbortController();
    movementsSince(own.id, Date.parse(data.since), abort.signal).then(setMoved, (error) => error.name !== "AbortError" && setMoved({ error }));
    return () => abort.abort();
  }, [own.id, own.balance, data]);
  const shown = useMemo(() => {
    if (!data || !Array.isArray(moved)) return null;
    const charges = data.at.map((_, i) => data.series[0]?.charge[i] ?? "0");
    const points = balanceOverTime(own.balance, data.at, charges, moved);
    return [{ name: "balance", label: t("billing.balance"), values: points.slice(1).map(pixels), show: (i) => money(points[i + 1]) }];
  }, [data, moved, own.balance]);
  const error = series.error ?? moved?.error;
  if (error) return html`<${ErrorNote} error=${error} retry=${series.reload} />`;
  if (!shown) return html`<section class="card chart-card chart-waiting" aria-busy="true"></section>`;
  return html`<${TimeChart} title=${t("billing.over_time")} kind="steps" at=${data.at} bucketS=${data.bucket_s} series=${shown} format=${axis} height=${180} />`;
}
const axis = (n) => money(n.toFixed(2));

/** What changed the balance by hand since then. Charges are left out: the series has them by the day. */
async function movementsSince(accountId, since, abort) {
  const kinds = KINDS.filter((kind) => kind !== "charge");
  const lists = await Promise.all(
    kinds.map(async (kind) => {
      const found = [];
      let after = null;
      for (let pages = 0; pages < MOVEMENT_PAGES_MAX; pages += 1) {
        const page = await get(`/api/accounts/${accountId}/ledger`, { query: { kind, after, limit: 200 }, signal: abort });
        found.push(...page.data.filter((entry) => Date.parse(entry.at) >= since));
        after = page.data.every((entry) => Date.parse(entry.at) >= since) ? page.next : null;
        if (after === null) return found;
      }
      // A chart that knew only some of the movements would show balances that never were.
      throw new ApiError({ status: 0, code: "too_many_movements" });
    }),
  );
  return lists.flat();
}
const MOVEMENT_PAGES_MAX = 10;

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
  const csv = () => exportCsv(path, { kind: query.kind }, file);
  return html`<${FilterBar} label=${t("ledger.filters")} filters=${[{ name: "kind", label: t("ledger.kind"), type: "select", options: KINDS.map((value) => ({ value, label: word("ledger.kind", value) })) }]}><${Button} icon="download" disabled=${!list.rows} onClick=${csv}>CSV<//><//>
    <div class="card card-flush"><${Table} label=${t("ledger.title")} columns=${columns} rows=${list.rows} state=${list} rowKey=${(row) => row.seq} isSelected=${(row) => String(row.seq) === query.entry}
      empty=${html`<${Empty} icon="scroll-text" title=${t("ledger.none")}>${t("ledger.none.lead")}<//>`} /></div>`;
}
