// Upstreams: how they are doing, and a probe by hand.
import { post, sentence, useApi } from "../../api.js";
import { Button } from "../../components/button.js";
import { Page } from "../../components/page.js";
import { Chip, State } from "../../components/status.js";
import { Table } from "../../components/table.js";
import { Moment } from "../../components/text.js";
import { toast } from "../../components/toast.js";
import { NONE, count, duration, percent } from "../../format.js";
import { t } from "../../i18n.js";
import { html, useState } from "../../ui.js";

export default function Upstreams() {
  const state = useApi("/api/upstreams", { every: 5_000 });
  const [asking, setAsking] = useState(null);
  const probe = async (row) => {
    setAsking(row.name);
    try {
      const result = await post(`/api/upstreams/${encodeURIComponent(row.name)}/probe`, {});
      toast(`${row.name}: ${result.message}`, { kind: result.ok ? "ok" : "bad" });
      state.reload();
    } catch (error) {
      toast(sentence(error), { kind: "bad" });
    }
    setAsking(null);
  };
  return html`<${Page} title=${t("nav.op.upstreams")} lead=${t("op.upstreams.lead")}>
    <div class="card card-flush"><${Table} label=${t("nav.op.upstreams")} rows=${state.data?.data ?? null} state=${state} rowKey=${(row) => row.name} columns=${[
      { id: "name", label: t("op.name"), cell: (row) => html`<strong>${row.name}</strong><span class="cell-sub mono">${row.kind === "demo" ? t("op.upstreams.inside") : row.base_url}</span>` },
      { id: "kind", label: t("op.kind"), quiet: true, cell: (row) => row.kind },
      { id: "state", label: t("op.breaker"), cell: (row) => html`<${State} kind="breaker" value=${row.state} />${!row.address_known ? html` <${Chip} tone="bad">${t("op.upstreams.no_address")}<//>` : null}` },
      { id: "keys", label: t("op.upstreams.keys"), align: "end", cell: (row) => (row.keys.resting > 0 ? html`<span class="tone-warn">${t("op.upstreams.resting", { resting: row.keys.resting, total: row.keys.total })}</span>` : count(row.keys.total)) },
      { id: "requests", label: t("op.requests_24h"), align: "end", cell: (row) => html`<a href=${`/operate/requests?upstream=${encodeURIComponent(row.name)}`}>${count(row.requests_24h)}</a>` },
      { id: "errors", label: t("op.errors_24h"), align: "end", quiet: true, cell: (row) => (row.requests_24h ? `${count(row.errors_24h)} · ${percent(row.errors_24h / row.requests_24h, 1)}` : NONE) },
      { id: "models", label: t("op.models"), quiet: true, wide: true, cell: (row) => html`<span class="clip" title=${row.models.join(", ")}>${row.models.join(", ")}</span>` },
      { id: "probe", label: t("op.last_probe"), cell: (row) => row.last_probe && html`<span title=${row.last_probe.message}><${Chip} tone=${row.last_probe.ok ? "ok" : "bad"}>${row.last_probe.status ?? t("op.no_answer")}<//> <span class="number faint">${duration(row.last_probe.latency_ms)}</span> <${Moment} at=${row.last_probe.at} style="relative" /></span>` },
      { id: "do", label: t("keys.actions"), srOnly: true, align: "end", cell: (row) => html`<${Button} small icon="activity" busy=${asking === row.name} onClick=${() => probe(row)}>${t("op.probe")}<//>` },
    ]} /></div>
    <p class="faint usage-note">${t("op.upstreams.note")}</p>
  <//>`;
}
