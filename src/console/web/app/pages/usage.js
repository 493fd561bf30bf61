// Usage: what was used and spent, by day, model or key; every figure leads to the requests behind it.
import { saveFile, useApi } from "../api.js";
import { TimeChart } from "../charts.js";
import { Button } from "../components/button.js";
import { Kpi, KpiStrip, Meter } from "../components/card.js";
import { exportCsv } from "../components/export.js";
import { Empty, ErrorNote } from "../components/feedback.js";
import { Segmented } from "../components/field.js";
import { FilterBar } from "../components/filters.js";
import { Page } from "../components/page.js";
import { Table } from "../components/table.js";
import { Money } from "../components/text.js";
import { NONE, compact, count, exact, money, percent } from "../format.js";
import { t } from "../i18n.js";
import { pixels, ratio, sum } from "../money.js";
import { navigate, setQuery } from "../router.js";
import { accountAsked, accountFilter, requestsHref, seesAll } from "../scope.js";
import { isOperator } from "../session.js";
import { html, useMemo, useState } from "../ui.js";
import { dayAfter, span } from "../usage/span.js";

const METRICS = ["charge", "requests", "tokens"];

export default function Usage({ query }) {
  const { from, to } = span(query, new Date());
  const by = (isOperator.value ? ["day", "model", "key", "account", "upstream"] : ["day", "model", "key"]).includes(query.by) ? query.by : "model";
  const metric = METRICS.includes(query.metric) ? query.metric : "charge";
  const account = accountAsked(query);
  const accounts = useApi(isOperator.value ? "/api/accounts" : null, { query: { limit: 200 } });
  const table = useApi("/api/usage", { query: { by, account, from, to } });
  // The chart's parts are the table's, where a chart can have them; else one bar a day.
  const parts = by === "model" || by === "key" || by === "upstream" ? by : "total";
  const series = useApi("/api/usage/series", { query: { by: parts, account, since: `${from}T00:00:00Z`, until: `${dayAfter(to)}T00:00:00Z`, bucket: "1d" } });
  const keys = useApi(by === "key" ? "/api/keys" : null, { query: { account, limit: 200 } });
  const total = table.data?.total;
  // While another grouping is fetched, the former one's rows are no rows of this one.
  const rows = table.data?.data.every((row) => by in row) ? table.data.data : null;
  const names = useMemo(() => new Map((keys.data?.data ?? []).map((key) => [key.id, key.name])), [keys.data]);

  const csv = () => exportCsv("/api/usage", { by, account, from, to }, `tollgate-usage-by-${by}-${from}-${to}.csv`);
  const json = () => saveFile(`tollgate-usage-by-${by}-${from}-${to}.json`, JSON.stringify(table.data, null, 2), "application/json");
  const groups = ["day", "model", "key", ...(isOperator.value ? [...(seesAll(query) ? ["account"] : []), "upstream"] : [])];
  return html`<${Page} title=${t("usage.title")} lead=${t("usage.lead")}
    actions=${html`<${Segmented} value=${query.from || query.to ? "" : (query.range ?? "30d")} label=${t("usage.range")} onChange=${(range) => setQuery({ range, from: null, to: null }, { replace: false })} options=${["7d", "30d", "90d", "month"].map((value) => ({ value, label: t(`usage.range.${value}`) }))} />
      <${Button} icon="download" disabled=${!rows} onClick=${csv}>CSV<//><${Button} icon="download" disabled=${!rows} onClick=${json}>JSON<//>`}>
    <${Totals} total=${total} loading=${!total && table.slow} />
    <${FilterBar} label=${t("usage.filters")} filters=${[{ name: "from", label: t("usage.from"), type: "date" }, { name: "to", label: t("usage.to"), type: "date" }, ...accountFilter(accounts.data?.data)]}>
      <${Segmented} value=${by} label=${t("usage.by")} onChange=${(value) => setQuery({ by: value })} options=${groups.map((value) => ({ value, label: t(`usage.by.${value}`) }))} />
    <//>
    ${table.error && !rows && html`<${ErrorNote} error=${table.error} retry=${table.reload} />`}
    ${series.error ? html`<${ErrorNote} error=${series.error} retry=${series.reload} />` : html`<${Bars} data=${series.data} metric=${metric} names=${names} query=${query} by=${by} />`}
    <div class="card card-flush"><${Groups} by=${by} rows=${rows} total=${total} state=${table} metric=${metric} query=${query} from=${from} to=${to} /></div>
    <p class="faint usage-note">${t("usage.utc_note")}</p>
  <//>`;
}

function Totals({ total, loading }) {
  const good = total && total.requests > 0 ? (total.requests - total.errors) / total.requests : null;
  const none = !total || total.requests === 0;
  return html`<${KpiStrip} label=${t("usage.totals")}>
    <${Kpi} label=${t("usage.spend")} loading=${loading} value=${total ? money(total.charge) : NONE} title=${total && exact(total.charge)} note=${total && total.requests > 0 ? t("usage.per_request", { amount: perRequest(total) }) : NONE} />
    <${Kpi} label=${t("usage.requests")} loading=${loading} value=${total ? count(total.requests) : NONE} note=${good === null ? NONE : t("usage.successful", { share: percent(good) })} />
    <${Kpi} label=${t("usage.input")} loading=${loading} value=${none ? NONE : compact(total.input_tokens)} title=${total && count(total.input_tokens)} note=${!none && total.input_tokens > 0 ? t("usage.cached_share", { share: percent(total.cached_input_tokens / total.input_tokens, 1) }) : NONE} />
    <${Kpi} label=${t("usage.output")} loading=${loading} value=${none ? NONE : compact(total.output_tokens)} title=${total && count(total.output_tokens)} note=${none ? NONE : total.reasoning_tokens > 0 ? t("usage.reasoning_share", { n: compact(total.reasoning_tokens) }) : t("usage.per_request", { amount: count(Math.round(total.output_tokens / total.requests)) })} />
  <//>`;
}

function Bars({ data, metric, names, query, by }) {
  const series = useMemo(() => {
    if (!data) return [];
    const tokens = (one) => one.input_tokens.map((n, i) => n + one.output_tokens[i]);
    return data.series.map((one) => ({
      name: one.name,
      label: one.name === "total" ? t("usage.all") : one.name === "other" ? t("usage.other") : (names.get(one.name) ?? (one.name || t("usage.none"))),
      values: metric === "charge" ? one.charge.map(pixels) : metric === "tokens" ? tokens(one) : one.requests,
      show: metric === "charge" ? (i) => money(one.charge[i]) : undefined,
    }));
  }, [data, metric, names]);
  if (!data) return html`<section class="card chart-card chart-waiting" aria-busy="true"></section>`;
  const total = (i) => (metric === "charge" ? money(sum(data.series.map((one) => one.charge[i]))) : count(series.reduce((all, one) => all + one.values[i], 0)));
  const pick = (i) => navigate(requestsHref(query, { since: data.at[i], until: data.at[i + 1] ?? data.until }));
  return html`<${TimeChart} title=${t(`usage.chart.${metric}`, { by: t(`usage.by.${by}`) })} kind="bars" at=${data.at} bucketS=${data.bucket_s} series=${series} format=${METRIC_AXIS[metric]} total=${total} onPick=${pick}
    actions=${html`<${Segmented} small value=${metric} label=${t("usage.metric")} onChange=${(value) => setQuery({ metric: value })} options=${METRICS.map((value) => ({ value, label: t(`usage.metric.${value}`) }))} />`} />`;
}

// Named once: a new function at every drawing would build the chart anew.
const axisMoney = (n) => money(n.toFixed(n !== 0 && Math.abs(n) < 0.1 ? 4 : 2));
const METRIC_AXIS = { charge: axisMoney, requests: compact, tokens: compact };

function Groups({ by, rows, total, state, metric, query, from, to }) {
  const [now] = useState(() => new Date().toISOString().slice(0, 10));
  const share = (row) =>
    metric === "charge" ? ratio(row.charge, total.charge) : metric === "requests" ? part(row.requests, total.requests) : part(tokensOf(row), tokensOf(total));
  // What never reached a model counted nothing: that is no zero.
  const tokens = (row, field) => (row.requests > row.errors || row[field] > 0 ? count(row[field]) : NONE);
  const href = (row) => {
    const when = { since: `${from}T00:00:00Z`, until: to === now ? null : `${dayAfter(to)}T00:00:00Z` };
    if (by === "day") return requestsHref(query, { since: `${row.day}T00:00:00Z`, until: `${dayAfter(row.day)}T00:00:00Z` });
    if (by === "account") return requestsHref({}, { ...when, account: row.account });
    return requestsHref(query, { ...when, [by]: row[by] });
  };
  const name = (row) => (by === "key" ? (row.name ?? row.key) : by === "upstream" ? row.upstream || t("usage.none") : row[by]);
  const columns = [
    { id: "name", label: t(`usage.by.${by}`), sort: name, cell: (row) => html`<a class="row-open" href=${href(row)} title=${by === "key" ? row.key : undefined}>${by === "model" ? html`<code class="mono">${name(row)}</code>` : name(row)}</a>` },
    { id: "share", label: t("usage.share"), cell: (row) => html`<span class="share"><${Meter} share=${share(row)} high=${null} label=${percent(share(row), 1)} /><span class="number quiet">${percent(share(row), 1)}</span></span>` },
    { id: "requests", label: t("usage.requests"), align: "end", sort: (row) => row.requests, cell: (row) => count(row.requests) },
    { id: "errors", label: t("usage.errors"), align: "end", quiet: true, sort: (row) => row.errors, cell: (row) => (row.errors > 0 ? html`<a href=${`${href(row)}&result=failed`}>${count(row.errors)}</a>` : count(0)) },
    { id: "input", label: t("usage.input"), align: "end", sort: (row) => row.input_tokens, cell: (row) => tokens(row, "input_tokens") },
    { id: "cached", label: t("usage.cached"), align: "end", quiet: true, sort: (row) => row.cached_input_tokens, cell: (row) => tokens(row, "cached_input_tokens") },
    { id: "output", label: t("usage.output"), align: "end", sort: (row) => row.output_tokens, cell: (row) => tokens(row, "output_tokens") },
    { id: "reasoning", label: t("usage.reasoning"), align: "end", quiet: true, sort: (row) => row.reasoning_tokens, cell: (row) => tokens(row, "reasoning_tokens") },
    { id: "charge", label: t("usage.spend"), align: "end", sort: (row) => Number(row.charge), cell: (row) => html`<${Money} value=${row.charge} />` },
  ];
  const foot = total && {
    name: t("usage.sum"), requests: count(total.requests), errors: count(total.errors), input: count(total.input_tokens), cached: count(total.cached_input_tokens),
    output: count(total.output_tokens), reasoning: count(total.reasoning_tokens), charge: html`<${Money} value=${total.charge} />`,
  };
  return html`<${Table} label=${t("usage.table")} columns=${columns} rows=${rows} state=${state} rowKey=${(row) => row[by]} rowHref=${href} foot=${foot}
    empty=${html`<${Empty} icon="chart-line" title=${t("usage.nothing")}>${t("usage.nothing.lead")}<//>`} />`;
}

const tokensOf = (row) => row.input_tokens + row.output_tokens;
const part = (n, all) => (all > 0 ? n / all : null);
const perRequest = (total) => money((Number(total.charge) / total.requests).toFixed(9));
