// Health: listeners, storage, ledger; and the configuration in effect.
import { ApiError, post, useApi } from "../../api.js";
import { Button } from "../../components/button.js";
import { Card, Facts, Kpi, KpiStrip } from "../../components/card.js";
import { Banner, ErrorNote } from "../../components/feedback.js";
import { useSending } from "../../components/field.js";
import { Page } from "../../components/page.js";
import { Chip } from "../../components/status.js";
import { Moment } from "../../components/text.js";
import { toast } from "../../components/toast.js";
import { NONE, bytes, count, duration } from "../../format.js";
import { t } from "../../i18n.js";
import { html } from "../../ui.js";

export default function Health() {
  const state = useApi("/api/health", { every: 5_000 });
  const config = useApi("/api/config");
  const form = useSending();
  const health = state.data;
  const reload = () =>
    form.send(async () => {
      await post("/api/config/reload", {});
      config.reload();
      state.reload();
      toast(t("op.reloaded"));
    });
  const mono = (text) => html`<code class="mono">${text}</code>`;
  return html`<${Page} title=${t("nav.op.health")} lead=${t("op.health.lead")} actions=${html`<${Button} icon="refresh-cw" busy=${form.busy} onClick=${reload}>${t("op.reload")}<//>`}>
    ${state.error && !health && html`<${ErrorNote} error=${state.error} retry=${state.reload} />`}
    ${form.error && html`<${Banner} tone="bad" role="alert" title=${t("op.not_reloaded")}>${form.error instanceof ApiError && form.error.errors.length > 0 ? html`<ul class="differences">${form.error.errors.map((one, i) => html`<li key=${i}><code class="mono">${one.message}</code></li>`)}</ul>` : form.error.message}<//>`}
    ${health && health.config.warnings.length > 0 && html`<${Banner} tone="warn" title=${t("op.warnings")}><ul class="differences">${health.config.warnings.map((one, i) => html`<li key=${i}>${one}</li>`)}</ul><//>`}
    <${KpiStrip} label=${t("nav.op.health")}>
      <${Kpi} label=${t("op.storage")} loading=${!health && state.slow} value=${health ? html`<${Chip} tone=${health.storage.ok ? "ok" : "bad"}>${t(health.storage.ok ? "op.storage.ok" : "op.storage.bad")}<//>` : NONE} note=${health ? `${bytes(health.storage.file_bytes)} + ${bytes(health.storage.log_bytes)}` : NONE} />
      <${Kpi} label=${t("op.in_flight")} loading=${!health && state.slow} value=${count(health?.requests_in_flight)} note=${health ? t("op.holds_open", { n: count(health.ledger.holds_open) }) : NONE} />
      <${Kpi} label=${t("op.queue")} loading=${!health && state.slow} value=${count(health?.ledger.queue_entries)} note=${health ? t("op.commits", { n: count(health.ledger.commits), failed: count(health.ledger.commit_failures) }) : NONE} />
      <${Kpi} label=${t("op.uptime")} loading=${!health && state.slow} value=${health ? duration(health.uptime_s * 1000) : NONE} note=${health ? `Tollgate ${health.version}` : NONE} />
    <//>
    ${health && html`<div class="columns">
      <${Card} title=${t("op.listeners")}><${Facts} items=${[
        { label: t("op.listeners.edge"), value: html`<span class="stack-small">${health.listeners.edge.map((one) => html`<span key=${one}>${mono(one)}</span>`)}</span>` },
        { label: t("op.listeners.console"), value: mono(health.listeners.console) },
        { label: t("op.listeners.metrics"), value: health.listeners.metrics ? mono(health.listeners.metrics) : NONE },
        { label: t("op.draining"), value: t(health.draining ? "requests.yes" : "requests.no") },
      ]} /><//>
      <${Card} title=${t("op.books")}><${Facts} items=${[
        { label: t("nav.op.accounts"), value: count(health.storage.accounts) },
        { label: t("nav.op.keys"), value: count(health.storage.keys) },
        { label: t("nav.op.people"), value: count(health.storage.people) },
        { label: t("op.entries"), value: count(health.storage.ledger_entries) },
        { label: t("op.beyond_hold"), value: count(health.ledger.charges_beyond_hold) },
        { label: t("op.anomalous"), value: count(health.ledger.charges_anomalous) },
      ]} /><//>
      <${Card} title=${t("op.config")}><${Facts} items=${[
        { label: t("op.config.file"), value: mono(health.config.path) },
        { label: t("op.config.reloaded"), value: health.config.last_reload ? html`<${Chip} tone=${health.config.last_reload.ok ? "ok" : "bad"} title=${health.config.last_reload.message}><${Moment} at=${health.config.last_reload.at} style="relative" /><//>` : t("op.config.never") },
      ]} /><//>
    </div>`}
    <${Card} title=${t("op.effective")} lead=${t("op.effective.lead")}>
      ${config.error && html`<${ErrorNote} error=${config.error} retry=${config.reload} />`}
      ${config.data && html`<pre class="code config" tabindex="0" role="region" aria-label=${t("op.effective")}>${JSON.stringify(config.data, null, 2)}</pre>`}
    <//>
  <//>`;
}
