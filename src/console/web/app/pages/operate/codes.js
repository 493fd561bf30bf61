// Redeem codes: made in batches, downloaded once, taken back while nobody has used them.
import { del, newIdempotencyKey, post, saveFile, sentence, usePages } from "../../api.js";
import { Button } from "../../components/button.js";
import { CopyButton } from "../../components/copy.js";
import { Dialog, Drawer, confirm } from "../../components/dialog.js";
import { Banner, Empty, ErrorNote } from "../../components/feedback.js";
import { Checkbox, Field, Input, Select, useSending } from "../../components/field.js";
import { FilterBar } from "../../components/filters.js";
import { Page } from "../../components/page.js";
import { State } from "../../components/status.js";
import { Table } from "../../components/table.js";
import { Moment, Money } from "../../components/text.js";
import { toast } from "../../components/toast.js";
import { exact, money } from "../../format.js";
import { t } from "../../i18n.js";
import { site } from "../../site.js";
import { html, useEffect, useMemo, useState } from "../../ui.js";

export default function Codes({ query }) {
  const list = usePages("/api/redeem-codes", { query: { state: query.state, name: query.name } });
  const [making, setMaking] = useState(false);
  const [batch, setBatch] = useState(null);
  const take = async (row) => {
    if (!(await confirm({ title: t("op.codes.void.title", { ending: row.ending }), body: t("op.codes.void.words"), action: t("op.codes.void"), danger: true }))) return;
    try {
      const now = await del(`/api/redeem-codes/${row.id}`);
      list.set((rows) => rows.map((one) => (one.id === row.id ? (now ?? { ...one, state: "void" }) : one)));
      toast(t("op.codes.voided"));
    } catch (error) {
      toast(sentence(error), { kind: "bad" });
    }
  };
  return html`<${Page} title=${t("nav.op.codes")} lead=${t("op.codes.lead")} actions=${html`<${Button} kind="primary" icon="plus" onClick=${() => setMaking(true)}>${t("op.codes.make")}<//>`}>
    <${FilterBar} label=${t("nav.op.codes")} filters=${[
      { name: "state", label: t("keys.state"), type: "select", options: ["open", "redeemed", "expired", "void"].map((value) => ({ value, label: t(`state.code.${value}`) })) },
      { name: "name", label: t("op.codes.batch"), type: "text" },
    ]} />
    <div class="card card-flush"><${Table} label=${t("nav.op.codes")} rows=${list.rows} state=${list} empty=${html`<${Empty} icon="gift" title=${t("op.codes.none")} actions=${html`<${Button} kind="primary" onClick=${() => setMaking(true)}>${t("op.codes.make")}<//>`}>${t("op.codes.none.lead")}<//>`} columns=${[
      { id: "code", label: t("billing.code"), cell: (row) => html`<code class="mono">TG-…-${row.ending}</code>` },
      { id: "name", label: t("op.codes.batch"), cell: (row) => row.name },
      { id: "amount", label: t("ledger.amount"), align: "end", cell: (row) => html`<${Money} value=${row.amount} />` },
      { id: "state", label: t("keys.state"), cell: (row) => html`<${State} kind="code" value=${row.state} />` },
      { id: "who", label: t("op.codes.redeemed_by"), cell: (row) => row.redeemed_by && html`<a href=${`/operate/accounts/${encodeURIComponent(row.redeemed_by)}`}>${row.redeemed_by}</a> <span class="faint"><${Moment} at=${row.redeemed_at} style="date" /></span>` },
      { id: "until", label: t("op.valid_until"), quiet: true, cell: (row) => (row.expires_at ? html`<${Moment} at=${row.expires_at} style="date" />` : t("keys.never")) },
      { id: "created", label: t("op.created"), quiet: true, cell: (row) => html`<${Moment} at=${row.created_at} style="date" />` },
      { id: "do", label: t("keys.actions"), srOnly: true, align: "end", cell: (row) => row.state === "open" && html`<${Button} small onClick=${() => take(row)}>${t("op.codes.void")}<//>` },
    ]} /></div>
    <${NewBatch} key=${String(making)} open=${making} onClose=${() => setMaking(false)} onDone=${(made) => (setMaking(false), setBatch(made), list.reload())} />
    <${Made} batch=${batch} onClose=${() => setBatch(null)} />
  <//>`;
}

function NewBatch({ open, onClose, onDone }) {
  const [values, setValues] = useState({ name: "", amount: "", count: "10", expires_in: "90d", note: "" });
  const form = useSending();
  const once = useMemo(newIdempotencyKey, [open]);
  const set = (change) => setValues((old) => ({ ...old, ...change }));
  const many = /^\d{1,4}$/.test(values.count.trim()) ? Number(values.count) : 0;
  const submit = () =>
    form.send(async () => {
      const body = { name: values.name.trim(), amount: values.amount.trim(), count: many };
      if (values.expires_in) body.expires_in = values.expires_in;
      if (values.note.trim()) body.note = values.note.trim();
      onDone((await post("/api/redeem-codes", body, { idempotencyKey: once })).data);
    });
  return html`<${Drawer} open=${open} onClose=${onClose} onSubmit=${submit} title=${t("op.codes.make")} lead=${t("op.codes.make.lead")} footer=${html`<${Button} onClick=${onClose}>${t("cancel")}<//><${Button} type="submit" kind="primary" busy=${form.busy} disabled=${!values.name.trim() || !values.amount.trim() || many < 1 || many > 1000}>${t("op.codes.make")}<//>`}>
    <div class="form">
      <${Field} label=${t("op.codes.batch")} error=${form.fault("name")}><${Input} value=${values.name} maxlength="128" onChange=${(name) => set({ name })} autofocus required /><//>
      <${Field} label=${t("op.codes.worth")} error=${form.fault("amount")}><${Input} inputmode="decimal" suffix=${site.value?.currency} value=${values.amount} onChange=${(amount) => set({ amount })} required /><//>
      <${Field} label=${t("op.codes.count")} hint=${t("op.codes.count.hint")} error=${form.fault("count")}><${Input} inputmode="numeric" value=${values.count} onChange=${(count) => set({ count })} required /><//>
      <${Field} label=${t("op.valid_for")}><${Select} value=${values.expires_in} options=${["", "30d", "90d", "365d"].map((value) => ({ value, label: t(`keys.ends.${value || "never"}`) }))} onChange=${(expires_in) => set({ expires_in })} /><//>
      <${Field} label=${t("op.note")} optional error=${form.fault("note")}><${Input} value=${values.note} maxlength="500" onChange=${(note) => set({ note })} /><//>
      ${form.error && html`<${ErrorNote} error=${form.error} />`}
    </div>
  <//>`;
}

/** The codes themselves, the one time that they can be seen. */
function Made({ batch, onClose }) {
  const [stored, setStored] = useState(false);
  useEffect(() => setStored(false), [batch]);
  const codes = batch?.map((row) => row.code).filter(Boolean) ?? [];
  // The answer to a repeated request has no texts: there is nothing to lose.
  const may = stored || codes.length === 0;
  const text = codes.join("\n");
  const name = batch?.[0]?.name.replace(/[^\p{L}\p{N}_-]+/gu, "-") || "codes";
  const csv = () => saveFile(`${name}.csv`, `code,amount\r\n${batch.map((row) => `${row.code},${row.amount}`).join("\r\n")}\r\n`, "text/csv;charset=utf-8");
  return html`<${Dialog} open=${batch !== null} wide onClose=${() => may && onClose()} title=${t("op.codes.made", { n: batch?.length ?? 0 })} footer=${html`<${Button} icon="download" onClick=${() => saveFile(`${name}.txt`, `${text}\n`)}>${t("op.codes.text")}<//><${Button} icon="download" onClick=${csv}>CSV<//><${CopyButton} text=${text}>${t("op.codes.copy")}<//><${Checkbox} checked=${stored} onChange=${setStored} label=${t("op.codes.stored")} /><${Button} kind="primary" disabled=${!may} onClick=${onClose}>${t("keys.made.done")}<//>`}>
    ${batch && html`<${Banner} tone="warn" title=${t("op.codes.once")}>${t("op.codes.each", { amount: exact(batch[0].amount), total: money(String(Number(batch[0].amount) * batch.length)) })}<//>
      <pre class="code codes" tabindex="0" role="region" aria-label=${t("nav.op.codes")}>${text}</pre>`}
  <//>`;
}
