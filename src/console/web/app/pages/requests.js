// Requests: every call as the books have it, filtered in the address, followed live, opened in a drawer.
import { address, get, useApi, usePages } from "../api.js";
import { Button } from "../components/button.js";
import { exportCsv } from "../components/export.js";
import { Empty } from "../components/feedback.js";
import { FilterBar } from "../components/filters.js";
import { Page } from "../components/page.js";
import { Chip, RequestState } from "../components/status.js";
import { Table } from "../components/table.js";
import { Id, Moment, Money } from "../components/text.js";
import { NONE, count, duration, moment } from "../format.js";
import { t, word } from "../i18n.js";
import { freshRows } from "../paging.js";
import { navigate, setQuery } from "../router.js";
import { ColumnPicker, useColumns } from "../requests/columns.js";
import { RequestDrawer } from "../requests/drawer.js";
import { accountAsked, accountFilter, seesAll } from "../scope.js";
import { isOperator } from "../session.js";
import { site } from "../site.js";
import { html, useEffect, useMemo, useRef, useState } from "../ui.js";

const RANGES = { "1h": 3_600e3, "24h": 86_400e3, "7d": 604_800e3, "30d": 2_592_000e3 };
const OUTCOMES = ["client_gone", "upstream_cut", "upstream_failed", "rejected", "refused", "interrupted"];
const STATUSES = ["429", "402", "401", "400", "500"];
const LIVE_EVERY_MS = 2_000;
/** While rows stream in, old ones leave at the bottom: the page must not grow for as long as it is open. */
const LIVE_ROWS_MAX = 300;

export default function Requests({ params, query }) {
  return html`<${RequestList} base="/requests" title=${t("requests.title")} lead=${t("requests.lead")} id=${params.id} query=${query} />`;
}

/** `base` is the page's path, `id` the request whose drawer is open. `everything`: over all accounts unless filtered. */
export function RequestList({ base, title, lead, id, query, everything }) {
  const asked = everything ? query.account || null : accountAsked(query);
  const all = everything ? asked === null : seesAll(query);
  const accounts = useApi(isOperator.value ? "/api/accounts" : null, { query: { limit: 200 } });
  const models = useApi("/api/models");
  const keys = useApi("/api/keys", { query: { limit: 200, account: asked } });
  const [live, setLive] = useState(false);
  const [exporting, setExporting] = useState(false);

  // "The last hour" is fixed when it is chosen: pages of one list must not slide under each other.
  const since = useMemo(() => query.since ?? (RANGES[query.range] ? new Date(Date.now() - RANGES[query.range]).toISOString() : null), [query.since, query.range, live]);
  const wanted = { account: asked, key: query.key, model: query.model, upstream: query.upstream, endpoint: query.endpoint, ...resultQuery(query.result), since, until: query.until };
  const one = query.id?.trim();
  const list = usePages(one ? null : "/api/requests", { query: wanted });
  const found = useApi(one ? `/api/requests/${encodeURIComponent(one)}` : null);
  const state = one ? { ...found, more: false, error: found.error?.status === 404 ? null : found.error } : list;
  const rows = one ? (found.error?.status === 404 ? [] : found.data && [found.data]) : list.rows;

  const stop = one ? "requests.live.not_for_one" : query.until ? "requests.live.not_for_past" : null;
  useLive(live && !stop && !id, address("/api/requests", { ...wanted, limit: 50 }), list);

  const names = useMemo(() => new Map((keys.data?.data ?? []).map((key) => [key.id, key.name])), [keys.data]);
  const href = (request) => `${base}/${encodeURIComponent(request.id)}${location.search}`;
  const columns = requestColumns({ all, names, href });
  const [shown, choose] = useColumns("requests", columns);

  const filtered = ["key", "model", "upstream", "endpoint", "result", "range", "since", "until", "id"].some((name) => query[name]);
  const save = async () => {
    setExporting(true);
    await exportCsv("/api/requests", wanted, "tollgate-requests.csv");
    setExporting(false);
  };
  return html`<${Page} title=${title} lead=${lead}
    actions=${html`<${Button} icon=${live ? "square" : "play"} aria-pressed=${String(live)} disabled=${stop !== null} title=${stop ? t(stop) : undefined} onClick=${() => setLive(!live)}>${t(live ? "requests.live.stop" : "requests.live.start")}<//>
      <${Button} icon="download" busy=${exporting} disabled=${Boolean(one)} onClick=${save}>CSV<//>`}>
    <${FilterBar} label=${t("requests.filters")}
      filters=${[
        { name: "id", label: t("requests.filter.id"), type: "search", placeholder: t("requests.filter.id_hint") },
        { name: "model", label: t("requests.model"), type: "select", options: (models.data?.data ?? models.data ?? []).map((model) => ({ value: model.id, label: model.id })) },
        { name: "key", label: t("requests.key"), type: "select", options: (keys.data?.data ?? []).map((key) => ({ value: key.id, label: all ? `${key.name} · ${key.account}` : key.name })) },
        { name: "result", label: t("requests.result"), type: "select", options: resultOptions() },
        { name: "endpoint", label: t("requests.endpoint"), type: "select", options: (site.value?.endpoints ?? []).map((value) => ({ value, label: value })) },
        { name: "range", label: t("requests.time"), type: "select", options: Object.keys(RANGES).map((value) => ({ value, label: t(`requests.range.${value}`) })) },
        ...accountFilter(accounts.data?.data),
      ]}>
      <${ColumnPicker} columns=${columns} shown=${shown} onChange=${choose} />
    <//>
    <${Narrowed} query=${query} />
    <div class="card card-flush">
      ${live && !stop && html`<p class="live-note" role="status"><span class="live-dot" aria-hidden="true"></span>${t("requests.live.on")}</p>`}
      <${Table} label=${title} columns=${columns.map((column) => ({ ...column, hidden: !shown.has(column.id) }))} rows=${rows} state=${state} rowHref=${href} isSelected=${(row) => row.id === id} noteAfter=${(row) => row.gap && t("requests.live.gap")}
        empty=${filtered ? html`<${Empty} icon="list-filter" title=${t("requests.nothing_matches")} actions=${html`<${Button} onClick=${() => navigate(base)}>${t("filter.clear")}<//>`}>${one ? t("requests.no_such_id") : null}<//>` : html`<${Empty} icon="list" title=${t("requests.nothing_yet")} actions=${html`<${Button} kind="primary" href="/playground">${t("requests.try_playground")}<//><${Button} href="/docs">${t("nav.docs")}<//>`}>${t("requests.nothing_yet.lead")}<//>`} />
    </div>
    <${RequestDrawer} id=${id} onClose=${() => navigate(base + location.search, { keepScroll: true })} />
  <//>`;
}

/** A stretch of time or an upstream that came from a chart: it has no field of its own, so it is shown as a tag. */
function Narrowed({ query }) {
  const tags = [
    (query.since || query.until) && { text: `${query.since ? moment(query.since) : "…"} – ${query.until ? moment(query.until) : t("requests.now")}`, clear: { since: null, until: null } },
    query.upstream && { text: `${t("requests.upstream")}: ${query.upstream}`, clear: { upstream: null } },
  ].filter(Boolean);
  if (tags.length === 0) return null;
  return html`<div class="narrowed">${tags.map((tag) => html`<${Button} key=${tag.text} small icon="x" title=${t("filter.clear")} onClick=${() => setQuery(tag.clear, { replace: false })}>${tag.text}<//>`)}</div>`;
}

/** One choice in the list of results is a status, an outcome, or everything that went wrong. */
function resultQuery(result) {
  if (!result) return {};
  if (/^\d{3}$/.test(result)) return { status: result };
  return result === "failed" ? { failed: 1 } : { outcome: result };
}

const resultOptions = () => [
  { value: "ok", label: word("state.request", "ok") },
  { value: "failed", label: t("requests.all_failed") },
  ...OUTCOMES.map((value) => ({ value, label: word("state.request", value) })),
  ...STATUSES.map((value) => ({ value, label: `HTTP ${value}` })),
];

/** Asks for the newest rows again and again while somebody looks, and puts the new ones on top. */
function useLive(on, path, list) {
  const target = useRef(list);
  target.current = list;
  useEffect(() => {
    if (!on) return undefined;
    let gone = false;
    let busy = false;
    const ask = async () => {
      const { rows } = target.current;
      if (busy || !rows || document.visibilityState !== "visible") return;
      busy = true;
      try {
        const found = await freshRows((after) => get(path, { query: { after } }), new Set(rows.map((row) => row.id)));
        if (!gone && found.rows.length) {
          target.current.set((now) => {
            const known = new Set((now ?? []).map((row) => row.id));
            const fresh = found.rows.filter((row) => !known.has(row.id));
            if (found.gap && fresh.length) fresh.push({ ...fresh.pop(), gap: true });
            return [...fresh, ...(now ?? [])].slice(0, Math.max(LIVE_ROWS_MAX, fresh.length));
          });
        }
      } catch {
        // The next round asks again; a line that is down for two seconds is no news.
      }
      busy = false;
    };
    const timer = setInterval(ask, LIVE_EVERY_MS);
    ask();
    return () => {
      gone = true;
      clearInterval(timer);
    };
  }, [on, path]);
}

/** `first`: shown until somebody chooses. Nothing was measured or counted for what never reached a model. */
function requestColumns({ all, names, href }) {
  const reached = (request) => request.input_tokens > 0 || request.output_tokens > 0;
  return [
    { id: "time", label: t("requests.time"), first: true, fixed: true, quiet: true, cell: (request) => html`<a class="row-open" href=${href(request)}><${Moment} at=${request.started_at} style="log" /></a>` },
    { id: "id", label: t("requests.id"), cell: (request) => html`<${Id} value=${request.id} />` },
    { id: "model", label: t("requests.model"), first: true, cell: (request) => html`<code class="mono">${request.model || NONE}</code>` },
    { id: "key", label: t("requests.key"), first: true, cell: (request) => html`<span title=${request.key_id}>${names.get(request.key_id) ?? html`<span class="mono id-short">${request.key_id}</span>`}</span>` },
    { id: "account", label: t("requests.account"), first: all, cell: (request) => request.account },
    { id: "endpoint", label: t("requests.endpoint"), cell: (request) => html`<code class="mono quiet">${request.endpoint}</code>` },
    isOperator.value && { id: "upstream", label: t("requests.upstream"), first: all, cell: (request) => request.upstream },
    { id: "status", label: t("requests.result"), first: true, cell: (request) => html`<${RequestState} request=${request} />` },
    { id: "tokens", label: t("requests.tokens"), first: true, align: "end", cell: (request) => (reached(request) ? `${count(request.input_tokens)} / ${count(request.output_tokens)}` : NONE) },
    { id: "cached", label: t("requests.cached"), align: "end", cell: (request) => (reached(request) ? count(request.cached_input_tokens) : NONE) },
    { id: "streamed", label: t("requests.streamed"), cell: (request) => (request.streamed ? html`<${Chip} dot=${false}>${t("requests.stream")}<//>` : null) },
    { id: "ttft", label: t("requests.ttft"), first: true, align: "end", quiet: true, cell: (request) => duration(request.ttft_ms) },
    { id: "duration", label: t("requests.duration"), first: true, align: "end", quiet: true, cell: (request) => duration(request.duration_ms) },
    { id: "cost", label: t("requests.cost"), first: true, align: "end", cell: (request) => (reached(request) || request.charge !== "0" ? html`${request.estimated ? "≈" : ""}<${Money} value=${request.charge} fine />` : NONE) },
  ].filter(Boolean);
}
