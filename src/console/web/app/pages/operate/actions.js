// The action log: who did what by hand, and what it changed.
import { usePages } from "../../api.js";
import { Button } from "../../components/button.js";
import { Empty } from "../../components/feedback.js";
import { exportCsv } from "../../components/export.js";
import { Page } from "../../components/page.js";
import { Chip } from "../../components/status.js";
import { Table } from "../../components/table.js";
import { Moment } from "../../components/text.js";
import { NONE } from "../../format.js";
import { t, word } from "../../i18n.js";
import { html } from "../../ui.js";

const shown = (value) => (value === undefined ? null : typeof value === "string" ? value : JSON.stringify(value));

/** Field by field: before → after. */
function Changes({ row }) {
  const names = [...new Set([...Object.keys(row.before ?? {}), ...Object.keys(row.after ?? {})])];
  if (names.length === 0) return NONE;
  return html`<dl class="diff">${names.map((name) => {
    const [before, after] = [shown(row.before?.[name]), shown(row.after?.[name])];
    return html`<div key=${name}><dt>${name}</dt><dd>${before !== null && html`<del>${before}</del>`}${before !== null && after !== null && " → "}${after !== null && html`<ins>${after}</ins>`}</dd></div>`;
  })}</dl>`;
}

export default function Actions() {
  const list = usePages("/api/actions");
  const csv = () => exportCsv("/api/actions", {}, "tollgate-actions.csv");
  return html`<${Page} title=${t("nav.op.actions")} lead=${t("op.actions.lead")} actions=${html`<${Button} icon="download" disabled=${!list.rows} onClick=${csv}>CSV<//>`}>
    <div class="card card-flush"><${Table} label=${t("nav.op.actions")} rows=${list.rows} state=${list} rowKey=${(row) => row.seq} empty=${html`<${Empty} icon="history" title=${t("table.nothing")} />`} columns=${[
      { id: "at", label: t("ledger.at"), quiet: true, cell: (row) => html`<${Moment} at=${row.at} style="log" />` },
      { id: "who", label: t("op.actions.who"), cell: (row) => html`${row.actor.name ?? t("op.actions.command_line")} ${row.actor.kind !== "person" && html`<${Chip} dot=${false}>${word("op.actor", row.actor.kind)}<//>`}${row.address && html`<span class="cell-sub mono">${row.address}</span>`}` },
      { id: "what", label: t("op.actions.what"), cell: (row) => html`<code class="mono">${row.action}</code>` },
      { id: "target", label: t("op.actions.target"), quiet: true, cell: (row) => html`<code class="mono id-short" title=${row.target}>${row.target}</code>` },
      { id: "changes", label: t("op.actions.changes"), wide: true, cell: (row) => html`<${Changes} row=${row} />` },
    ]} /></div>
  <//>`;
}
