// Overview: what is left, what was spent, how well it goes; and for a newcomer, the three steps to a first answer.
import { useApi } from "../api.js";
import { TimeChart } from "../charts.js";
import { Button } from "../components/button.js";
import { Card, Kpi, KpiStrip } from "../components/card.js";
import { CodeBlock } from "../components/copy.js";
import { Banner, Empty, ErrorNote } from "../components/feedback.js";
import { Segmented } from "../components/field.js";
import { Icon } from "../components/icon.js";
import { Page } from "../components/page.js";
import { RequestState } from "../components/status.js";
import { Table } from "../components/table.js";
import { Moment, Money } from "../components/text.js";
import { NONE, compact, count, duration, exact, money, percent } from "../format.js";
import { t } from "../i18n.js";
import { isZero, pixels, ratio, subtract, sum } from "../money.js";
import { setQuery } from "../router.js";
import { account, isOperator, me } from "../session.js";
import { site } from "../site.js";
import { callSnippets, useSampleModel } from "../snippets.js";
import { cls, html, useMemo } from "../ui.js";

const RANGES = ["1h", "24h", "7d", "30d"];
const METRICS = ["requests", "charge", "tokens"];

export default function Overview({ query }) {
  const range = RANGES.includes(query.range) ? query.range : "24h";
  const own = account.value?.id ?? null;
  const state = useApi(own ? "/api/overview" : null, { query: { range }, every: 15_000 });
  const keys = useApi(own ? "/api/keys" : null, { query: { account: isOperator.value ? own : null, limit: 200 }, every: 15_000 });
  const { data } = state;
  if (!own) {
    return html`<${Page} title=${t("overview.title")} lead=${t("overview.lead")}>
      <${Empty} icon="landmark" title=${t("overview.no_account")} actions=${isOperator.value && html`<${Button} kind="primary" href="/operate">${t("nav.op.overview")}<//>`}>${t("overview.no_account.lead")}<//>
    <//>`;
  }
  const names = new Map((keys.data?.data ?? []).map((key) => [key.id, key.name]));
  const fresh = data && keys.data && (keys.data.data.length === 0 || data.recent.length === 0);
  const silent = data && data.recent.length === 0; // an empty chart and an empty table tell a newcomer nothing
  return html`<${Page} title=${t("overview.title")} lead=${t("overview.lead")}
    actions=${html`<${Segmented} value=${range} label=${t("overview.range")} options=${RANGES.map((value) => ({ value, label: value }))} onChange=${(value) => setQuery({ range: value }, { replace: false })} /><${Button} kind="primary" icon="plus" href="/keys?new=1">${t("keys.create")}<//>`}>
    ${site.value?.demo && fresh && html`<${Banner} tone="info" title=${t("overview.demo.title")}>${t("overview.demo.words")}<//>`}
    ${state.error && !data && html`<${ErrorNote} error=${state.error} retry=${state.reload} />`}
    ${fresh && html`<${Steps} data=${data} keys=${keys.data.data} />`}
    <${Figures} data=${data} fresh=${fresh} loading=${!data && state.slow} />
    ${data && !silent && html`<${Chart} data=${data} query=${query} />`}
    ${!silent && html`<${Card} flush title=${t("overview.recent")} actions=${html`<${Button} kind="ghost" href="/requests">${t("overview.view_all")}<//>`}>
      <${Table} label=${t("overview.recent")} rows=${data?.recent ?? null} state=${state} rowHref=${(row) => `/requests/${row.id}`} columns=${recentColumns(names)}
        empty=${html`<${Empty} icon="list" title=${t("requests.nothing_yet")}>${t("requests.nothing_yet.lead")}<//>`} />
    <//>`}
  <//>`;
}

/** How one figure stands to the one before it, in words and with an arrow; nothing where there is nothing to compare. */
function change(now, before) {
  if (isZero(before)) return null;
  const part = ratio(subtract(now, before), before);
  if (part === null || part === 0) return null;
  return html`<span class=${cls("change", part > 0 ? "change-up" : "change-down")}><${Icon} name=${part > 0 ? "arrow-up" : "arrow-down"} size=${12} />${percent(Math.abs(part), 1)}</span>`;
}

function Figures({ data, fresh, loading }) {
  const good = data && data.requests.total > 0 ? (data.requests.total - data.requests.errors) / data.requests.total : null;
  const { latency } = data ?? {};
  const days = data?.days_left;
  return html`<${KpiStrip} label=${t("overview.figures")}>
    <${Kpi} label=${t("overview.balance")} loading=${loading} value=${data ? money(data.account.available) : NONE} title=${data && `${exact(data.account.available)} · ${t("overview.held", { amount: exact(data.account.held) })}`} tone=${data && !fresh && Number(data.account.available) <= 0 ? "bad" : undefined}
      note=${!data ? NONE : days == null ? t("overview.no_pace") : t("overview.days_left", { n: days < 10 ? days.toFixed(1).replace(".0", "") : days > 999 ? "999+" : count(Math.floor(days)) })} />
    <${Kpi} label=${t("overview.spend_today")} loading=${loading} value=${data ? money(data.spend.today) : NONE} title=${data && exact(data.spend.today)}
      note=${data ? html`${change(data.spend.today, data.spend.yesterday)} ${t("overview.yesterday", { amount: money(data.spend.yesterday) })}` : NONE} />
    <${Kpi} label=${t("overview.requests")} loading=${loading} value=${data ? count(data.requests.total) : NONE} note=${good === null ? t("overview.none_yet") : t("usage.successful", { share: percent(good) })} />
    <${Kpi} label=${t("overview.ttft")} loading=${loading} value=${latency?.ttft_p50_ms == null ? NONE : duration(latency.ttft_p50_ms, 2)} note=${latency?.ttft_p95_ms == null ? t("overview.none_yet") : t("overview.p95", { p95: duration(latency.ttft_p95_ms, 2) })} />
  <//>`;
}

export function Chart({ data, query }) {
  const metric = METRICS.includes(query.metric) ? query.metric : "requests";
  const series = useMemo(
    () =>
      data.series.series.map((one) => ({
        name: one.name,
        label: one.name === "other" ? t("usage.other") : one.name || t("usage.none"),
        values: metric === "charge" ? one.charge.map(pixels) : metric === "tokens" ? one.input_tokens.map((n, i) => n + one.output_tokens[i]) : one.requests,
        show: metric === "charge" ? (i) => money(one.charge[i]) : undefined,
      })),
    [data.series, metric],
  );
  // Curves through scattered single requests would show traffic between them that never was.
  const busy = data.series.at.filter((_, i) => series.some((one) => one.values[i])).length / data.series.at.length;
  const total = (i) => (metric === "charge" ? money(sum(data.series.series.map((one) => one.charge[i]))) : count(series.reduce((all, one) => all + (one.values[i] ?? 0), 0)));
  return html`<${TimeChart} title=${t(`overview.by_model.${metric}`)} at=${data.series.at} bucketS=${data.series.bucket_s} series=${series} kind=${busy < 0.75 ? "bars" : "area"} format=${AXIS[metric]} total=${total}
    actions=${html`<${Segmented} small value=${metric} label=${t("usage.metric")} options=${METRICS.map((value) => ({ value, label: t(`usage.metric.${value}`) }))} onChange=${(value) => setQuery({ metric: value })} />`} />`;
}

// Named once: a new function at every drawing would build the chart anew.
const axisMoney = (n) => money(n.toFixed(n !== 0 && Math.abs(n) < 0.1 ? 4 : 2));
const AXIS = { charge: axisMoney, requests: compact, tokens: compact };

const recentColumns = (names) => [
  { id: "time", label: t("requests.time"), quiet: true, cell: (row) => html`<a class="row-open" href=${`/requests/${row.id}`}><${Moment} at=${row.started_at} style="log" /></a>` },
  { id: "model", label: t("requests.model"), cell: (row) => html`<code class="mono">${row.model || NONE}</code>` },
  { id: "key", label: t("requests.key"), cell: (row) => names.get(row.key_id) ?? html`<code class="mono id-short">${row.key_id}</code>` },
  { id: "status", label: t("requests.result"), cell: (row) => html`<${RequestState} request=${row} />` },
  { id: "tokens", label: t("requests.tokens"), align: "end", cell: (row) => (row.input_tokens || row.output_tokens ? `${count(row.input_tokens)} / ${count(row.output_tokens)}` : NONE) },
  { id: "ttft", label: t("requests.ttft"), align: "end", quiet: true, cell: (row) => duration(row.ttft_ms) },
  { id: "duration", label: t("requests.duration"), align: "end", quiet: true, cell: (row) => duration(row.duration_ms) },
  { id: "cost", label: t("requests.cost"), align: "end", cell: (row) => (row.charge === "0" && !row.input_tokens ? NONE : html`<${Money} value=${row.charge} fine />`) },
];

/** Three steps to the first answer; each ticks itself off as it becomes true. */
function Steps({ data, keys }) {
  const model = useSampleModel();
  const funded = Number(data.account.available) > 0;
  const called = data.recent.length > 0;
  // One thing to do next: only its button stands out.
  const kind = (here) => (here ? "primary" : "plain");
  const steps = [
    { done: funded, title: t("steps.money"), words: t(isOperator.value ? "steps.money.operator" : "steps.money.customer"), action: html`<${Button} small kind=${kind(!funded)} href=${isOperator.value ? `/operate/accounts/${me.value.account.id}` : "/billing"}>${t("nav.top_up")}<//>` },
    { done: keys.length > 0, title: t("steps.key"), words: t("steps.key.words"), action: html`<${Button} small kind=${kind(funded && !keys.length)} href="/keys?new=1">${t("keys.create")}<//>` },
    { done: called, title: t("steps.call"), words: t("steps.call.words"), action: html`<${Button} small kind=${kind(funded && keys.length > 0 && !called)} href="/playground">${t("nav.playground")}<//>` },
  ];
  return html`<${Card} title=${t("steps.title")}>
    <ol class="steps">${steps.map((step, i) => html`<li key=${i} class=${cls("step", step.done && "step-done")}>
      <span class="step-mark" aria-hidden="true">${step.done ? html`<${Icon} name="check" size=${14} />` : i + 1}</span>
      <div class="step-text"><p class="step-title">${step.title}${step.done && html` <span class="visually-hidden">${t("steps.done")}</span>`}</p><p class="step-words">${step.words}</p></div>${step.action}</li>`)}</ol>
    <${CodeBlock} remember="call" tabs=${callSnippets({ key: "sk-tg-…", model })} />
  <//>`;
}
