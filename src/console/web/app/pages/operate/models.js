// Models and prices: what is sold, for how much, and who serves it.
import { useApi } from "../../api.js";
import { Empty } from "../../components/feedback.js";
import { FilterBar } from "../../components/filters.js";
import { Page } from "../../components/page.js";
import { Chip } from "../../components/status.js";
import { Table } from "../../components/table.js";
import { NONE, count, exact } from "../../format.js";
import { t, word } from "../../i18n.js";
import { html } from "../../ui.js";

export default function Models({ query }) {
  const state = useApi("/api/models", { every: 15_000 });
  const wanted = (query.q ?? "").toLowerCase();
  const rows = state.data?.data.filter((model) => [model.id, ...model.aliases].some((name) => name.toLowerCase().includes(wanted))) ?? null;
  const price = (value) => (value === undefined ? NONE : exact(value));
  const base = (model) => model.pricing.rates?.find((rate) => rate.tier === "standard" && rate.above_prompt_tokens === 0 && !rate.off_peak) ?? model.pricing.rates?.[0];
  return html`<${Page} title=${t("nav.op.models")} lead=${t("op.models.lead")}>
    <${FilterBar} filters=${[{ name: "q", label: t("op.models.search"), type: "search" }]} label=${t("op.models.search")} />
    <div class="card card-flush"><${Table} label=${t("nav.op.models")} rows=${rows} state=${state} empty=${html`<${Empty} icon="box" title=${t("keys.nothing_matches")} />`} columns=${[
      { id: "id", label: t("requests.model"), sort: (model) => model.id, cell: (model) => html`<code class="mono">${model.id}</code>${model.aliases.length > 0 && html`<span class="cell-sub">${model.aliases.join(", ")}</span>`}` },
      { id: "up", label: t("keys.state"), cell: (model) => html`<${Chip} tone=${model.available ? "ok" : "bad"}>${t(model.available ? "op.available" : "op.unavailable")}<//>` },
      { id: "in", label: t("op.price.input"), align: "end", cell: (model) => price(base(model)?.input) },
      { id: "cached", label: t("op.price.cached"), align: "end", quiet: true, cell: (model) => price(base(model)?.cached_input) },
      { id: "out", label: t("op.price.output"), align: "end", cell: (model) => price(base(model)?.output) },
      { id: "more", label: t("op.price.more"), quiet: true, cell: (model) => more(model) },
      { id: "max", label: t("op.max_output"), align: "end", quiet: true, cell: (model) => count(model.max_output_tokens) },
      { id: "route", label: t("op.route"), wide: true, cell: (model) => html`<span class="route">${(model.upstreams ?? []).map((one, i) => html`<${Chip} key=${i} tone=${one.up ? "ok" : "bad"} title=${t("op.route.title", { model: one.model, priority: one.priority, weight: one.weight })}>${one.name}${one.model !== model.id ? html` <span class="faint mono">${one.model}</span>` : null}<//>`)}</span>` },
      { id: "version", label: t("requests.price_version"), quiet: true, cell: (model) => html`<code class="mono">${model.price_version}</code>` },
    ]} /></div>
    <p class="faint usage-note">${t("op.models.note")}</p>
  <//>`;
}

function more(model) {
  const { rates = [], images, per_image: each, per_request: call } = model.pricing;
  const parts = [
    ...rates.filter((rate) => rate.tier !== "standard" || rate.above_prompt_tokens > 0 || rate.off_peak).map((rate) => `${rate.tier !== "standard" ? word("op.tier", rate.tier) : rate.off_peak ? t("op.off_peak") : `> ${count(rate.above_prompt_tokens)}`}: ${exact(rate.input)} / ${exact(rate.output)}`),
    ...Object.entries(images ?? {}).map(([kind, amount]) => `${kind}: ${exact(amount)}`),
    each && `${t("op.per_image")}: ${exact(each)}`,
    call && `${t("op.per_request")}: ${exact(call)}`,
  ].filter(Boolean);
  if (parts.length === 0) return NONE;
  return html`<span title=${parts.join("\n")}>${parts.length === 1 ? parts[0] : t("op.n_more", { first: parts[0], n: parts.length - 1 })}</span>`;
}
