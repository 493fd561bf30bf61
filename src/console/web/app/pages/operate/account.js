// One account: its money, its keys, its people's use; crediting, suspending, moving to another group.
import { newIdempotencyKey, patch, post, sentence, useApi } from "../../api.js";
import { Button } from "../../components/button.js";
import { Kpi, KpiStrip } from "../../components/card.js";
import { Drawer, confirm } from "../../components/dialog.js";
import { ErrorNote, Skeleton } from "../../components/feedback.js";
import { Field, Input, Segmented, Textarea, useSending } from "../../components/field.js";
import { Page } from "../../components/page.js";
import { State } from "../../components/status.js";
import { Id } from "../../components/text.js";
import { toast } from "../../components/toast.js";
import { exact, money, moment } from "../../format.js";
import { t } from "../../i18n.js";
import { KeyList } from "../../keys/list.js";
import { setQuery } from "../../router.js";
import { me, refreshMe } from "../../session.js";
import { site } from "../../site.js";
import { html, useMemo, useState } from "../../ui.js";
import { LedgerTable } from "../billing.js";

const TABS = ["ledger", "keys", "requests"];

export default function AccountPage({ params, query }) {
  const state = useApi(`/api/accounts/${encodeURIComponent(params.id)}`, { every: 15_000 });
  const [crediting, setCrediting] = useState(false);
  const row = state.data;
  const tab = TABS.includes(query.tab) ? query.tab : "ledger";
  if (!row) return html`<${Page} title=${t("requests.account")}>${state.error ? html`<${ErrorNote} error=${state.error} retry=${state.reload} />` : state.slow && html`<${Skeleton} lines=${6} />`}<//>`;
  const change = async (body, said, undo) => {
    try {
      state.set(await patch(`/api/accounts/${row.id}`, body));
      toast(said, undo ? { undo: () => change(undo, t("op.undone")) } : {});
    } catch (error) {
      toast(sentence(error), { kind: "bad" });
    }
  };
  const suspend = async () => {
    if (row.status === "suspended") return change({ status: "active" }, t("op.resumed", { name: row.name }), { status: "suspended" });
    if (await confirm({ title: t("op.suspend.title", { name: row.name }), body: t("op.suspend.words"), action: t("op.suspend"), danger: true })) change({ status: "suspended" }, t("op.suspended", { name: row.name }), { status: "active" });
  };
  const credited = () => {
    state.reload();
    if (me.value?.account?.id === row.id) refreshMe();
    setCrediting(false);
  };
  return html`<${Page} title=${row.name} lead=${html`<span class="page-facts"><${State} kind="account" value=${row.status} /> <${Id} value=${row.id} /> <span class="faint">${t("op.in_group", { group: row.group })} · ${t("op.since", { at: moment(row.created_at, "date") })}</span></span>`}
    actions=${html`<${Button} icon="power" onClick=${suspend}>${t(row.status === "active" ? "op.suspend" : "op.resume")}<//><${Button} kind="primary" icon="coins" onClick=${() => setCrediting(true)}>${t("op.credit")}<//>`}>
    <${KpiStrip} label=${row.name}>
      <${Kpi} label=${t("billing.available")} value=${money(row.available)} title=${exact(row.available)} tone=${Number(row.available) <= 0 ? "bad" : undefined} note=${t("billing.available.note")} />
      <${Kpi} label=${t("billing.balance")} value=${money(row.balance)} title=${exact(row.balance)} note=${t("billing.balance.note")} />
      <${Kpi} label=${t("billing.held")} value=${money(row.held)} title=${exact(row.held)} note=${t("billing.held.note")} />
    <//>
    <${Segmented} value=${tab} label=${t("op.show")} options=${TABS.map((value) => ({ value, label: t(`op.tab.${value}`) }))} onChange=${(value) => setQuery({ tab: value }, { replace: false })} />
    ${tab === "ledger" && html`<${LedgerTable} key=${row.balance} path=${`/api/accounts/${row.id}/ledger`} query=${query} file=${`ledger-${row.name}.csv`} />`}
    ${tab === "keys" && html`<${KeyList} bare title=${t("op.tab.keys")} account=${row.id} asked=${row.id} query=${query} />`}
    ${tab === "requests" && html`<p><a class="button button-plain" href=${`/operate/requests?account=${row.id}`}>${t("op.all_requests")}</a></p>`}
    <${Credit} key=${String(crediting)} open=${crediting} account=${row} onClose=${() => setCrediting(false)} onDone=${credited} />
  <//>`;
}

/** Money in, or a correction: a reason is asked for, as it will stand in the ledger for ever. */
function Credit({ open, account, onClose, onDone }) {
  const [values, setValues] = useState({ kind: "credit", amount: "", note: "", ref: "" });
  const form = useSending();
  const once = useMemo(newIdempotencyKey, [open]);
  const set = (change) => setValues((old) => ({ ...old, ...change }));
  const submit = () =>
    form.send(async () => {
      const body = { kind: values.kind, amount: values.amount.trim(), note: values.note.trim() };
      if (values.ref.trim()) body.ref = values.ref.trim();
      const entry = await post(`/api/accounts/${account.id}/credits`, body, { idempotencyKey: once });
      toast(t("op.credit.done", { amount: exact(entry.amount), balance: exact(entry.balance_after) }));
      onDone();
    });
  return html`<${Drawer} open=${open} onClose=${onClose} onSubmit=${submit} title=${t("op.credit.title", { name: account.name })} lead=${t("op.credit.lead")}
    footer=${html`<${Button} onClick=${onClose}>${t("cancel")}<//><${Button} type="submit" kind="primary" busy=${form.busy} disabled=${!values.amount.trim() || !values.note.trim()}>${t("op.credit.submit")}<//>`}>
    <div class="form">
      <div class="field"><span class="field-label">${t("ledger.kind")}</span><${Segmented} value=${values.kind} label=${t("ledger.kind")} options=${["credit", "adjust", "refund"].map((value) => ({ value, label: t(`ledger.kind.${value}`) }))} onChange=${(kind) => set({ kind })} /></div>
      <${Field} label=${t("ledger.amount")} hint=${t(values.kind === "adjust" ? "op.credit.adjust_hint" : "op.credit.hint")} error=${form.fault("amount")}><${Input} inputmode="decimal" suffix=${site.value?.currency} value=${values.amount} onChange=${(amount) => set({ amount })} autofocus required /><//>
      <${Field} label=${t("op.reason")} hint=${t("op.reason.hint")} error=${form.fault("note")}><${Textarea} rows="2" maxlength="500" value=${values.note} onChange=${(note) => set({ note })} required /><//>
      <${Field} label=${t("op.ref")} hint=${t("op.ref.hint")} optional error=${form.fault("ref")}><${Input} value=${values.ref} onChange=${(ref) => set({ ref })} /><//>
      ${form.error && html`<${ErrorNote} error=${form.error} />`}
    </div>
  <//>`;
}
