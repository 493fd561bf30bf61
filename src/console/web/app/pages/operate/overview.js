// The operator's overview: what comes in, how it goes, who uses most, what needs a hand.
import { useApi } from "../../api.js";
import { Card, Kpi, KpiStrip, Meter } from "../../components/card.js";
import { Banner, Empty, ErrorNote } from "../../components/feedback.js";
import { Segmented } from "../../components/field.js";
import { Page } from "../../components/page.js";
import { RequestState } from "../../components/status.js";
import { Table } from "../../components/table.js";
import { Moment, Money } from "../../components/text.js";
import { NONE, count, duration, exact, money, percent } from "../../format.js";
import { t } from "../../i18n.js";
import { ratio } from "../../money.js";
import { setQuery } from "../../router.js";
import { html } from "../../ui.js";
import { Chart } from "../overview.js";

const RANGES = ["1h", "24h", "7d", "30d"];
const MINUTES = { "1h": 60, "24h": 1_440, "7d": 10_080, "30d": 43_200 };

export default function OperateOverview({ query }) {
  const range = RANGES.includes(query.range) ? query.range : "24h";
  const state = useApi("/api/overview", { query: { range, scope: "all" }, every: 15_000 });
  const { data } = state;
  const loading = !data && state.slow;
  const failed = data && data.requests.total > 0 ? data.requests.errors / data.requests.total : null;
  return html`<${Page} title=${t("op.overview.title")} lead=${t("op.overview.lead")} actions=${html`<${Segmented} value=${range} label=${t("overview.range")} options=${RANGES.map((value) => ({ value, label: value }))} onChange=${(value) => setQuery({ range: value }, { replace: false })} />`}>
    ${state.error && !data && html`<${ErrorNote} error=${state.error} retry=${state.reload} />`}
    ${data && !data.health.storage_ok && html`<${Banner} tone="bad" role="alert" title=${t("op.storage_down")}>${t("op.storage_down.words")}<//>`}
    ${data && data.health.upstreams_down.length > 0 && html`<${Banner} tone="warn" title=${t("op.upstreams_down", { n: data.health.upstreams_down.length })} actions=${html`<a class="button button-plain button-small" href="/operate/upstreams">${t("nav.op.upstreams")}</a>`}>${data.health.upstreams_down.join(", ")}<//>`}
    <${KpiStrip} label=${t("op.overview.title")}>
      <${Kpi} label=${t("op.revenue")} loading=${loading} value=${data ? money(data.spend.range) : NONE} title=${data && exact(data.spend.range)} note=${data ? t("op.before", { amount: money(data.spend.previous_range) }) : NONE} />
      <${Kpi} label=${t("op.margin")} loading=${loading} value=${data ? money(data.margin.range) : NONE} title=${data && exact(data.margin.range)} note=${marginShare(data)} />
      <${Kpi} label=${t("overview.requests")} loading=${loading} value=${data ? count(data.requests.total) : NONE} note=${failed === null ? t("overview.none_yet") : t("op.per_minute", { n: perMinute(data.requests.total / MINUTES[range]) })} />
      <${Kpi} label=${t("op.failed")} loading=${loading} value=${failed === null ? NONE : percent(failed)} note=${failed === null ? t("overview.none_yet") : t("op.n_requests", { n: count(data.requests.errors) })} />
      <${Kpi} label=${t("overview.ttft")} loading=${loading} value=${duration(data?.latency.ttft_p50_ms)} note=${data?.latency.ttft_p95_ms == null ? t("overview.none_yet") : t("overview.p95", { p95: duration(data.latency.ttft_p95_ms) })} />
      <${Kpi} label=${t("op.in_flight")} loading=${loading} value=${data ? count(data.health.in_flight) : NONE} note=${data ? t("op.holds_open", { n: count(data.health.holds_open) }) : NONE} />
      <${Kpi} label=${t("op.balances")} loading=${loading} value=${data ? money(data.standing.balance) : NONE} title=${data && exact(data.standing.balance)} note=${data ? t("op.balances.note", { n: count(data.standing.accounts), codes: money(data.standing.codes_open) }) : NONE} />
    <//>
    ${data && html`<${Chart} data=${data} query=${query} />`}
    <div class="columns">
      <${Tops} title=${t("op.top_accounts")} rows=${data?.top_accounts} total=${data?.spend.range} href=${(row) => `/operate/accounts/${encodeURIComponent(row.name)}`} />
      <${Tops} title=${t("op.top_keys")} rows=${data?.top_keys} total=${data?.spend.range} href=${(row) => `/operate/requests?key=${row.key}`} />
    </div>
    <${Card} flush title=${t("overview.recent")} actions=${html`<a class="button button-ghost" href="/operate/requests">${t("overview.view_all")}</a>`}>
      <${Table} label=${t("overview.recent")} rows=${data?.recent ?? null} state=${state} rowHref=${(row) => `/operate/requests/${row.id}`} empty=${html`<${Empty} title=${t("requests.nothing_yet")} />`} columns=${[
        { id: "time", label: t("requests.time"), quiet: true, cell: (row) => html`<a class="row-open" href=${`/operate/requests/${row.id}`}><${Moment} at=${row.started_at} style="log" /></a>` },
        { id: "account", label: t("requests.account"), cell: (row) => row.account },
        { id: "model", label: t("requests.model"), cell: (row) => html`<code class="mono">${row.model || NONE}</code>` },
        { id: "upstream", label: t("requests.upstream"), quiet: true, cell: (row) => row.upstream },
        { id: "status", label: t("requests.result"), cell: (row) => html`<${RequestState} request=${row} />` },
        { id: "duration", label: t("requests.duration"), align: "end", quiet: true, cell: (row) => duration(row.duration_ms) },
        { id: "cost", label: t("requests.cost"), align: "end", cell: (row) => html`<${Money} value=${row.charge} fine />` },
      ]} />
    <//>
  <//>`;
}

/** How much of what was charged is margin; what it costs by the list where nothing was charged. */
function marginShare(data) {
  if (!data) return NONE;
  const share = ratio(data.margin.range, data.spend.range);
  return share === null ? t("op.margin.list", { amount: money(data.margin.cost) }) : t("op.margin.share", { share: percent(share), amount: money(data.margin.cost) });
}

/** Two digits that count are enough, and a little is not nothing. */
const perMinute = (n) => (n >= 10 ? count(Math.round(n)) : n >= 0.01 ? String(Number(n.toPrecision(2))) : "< 0.01");

function Tops({ title, rows, total, href }) {
  return html`<${Card} title=${title} lead=${t("op.top.note")}>${rows && rows.length === 0 ? html`<p class="faint">${t("chart.nothing")}</p>` : html`<ol class="tops">${(rows ?? []).map((row) => html`<li key=${row.key ?? row.name} class="top-row"><a href=${href(row)}>${row.name}</a><${Meter} share=${ratio(row.charge, total ?? "0") ?? 0} high=${2} label=${percent(ratio(row.charge, total ?? "0"), 1)} /><span class="number">${money(row.charge)}</span><span class="number faint">${t("op.n_requests", { n: count(row.requests) })}</span></li>`)}</ol>`}<//>`;
}
