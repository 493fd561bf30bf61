// Accounts: who pays, and what they have.
import { newIdempotencyKey, post, usePages } from "../../api.js";
import { Button } from "../../components/button.js";
import { Drawer } from "../../components/dialog.js";
import { Empty, ErrorNote } from "../../components/feedback.js";
import { Field, Input, useSending } from "../../components/field.js";
import { FilterBar } from "../../components/filters.js";
import { Page } from "../../components/page.js";
import { State } from "../../components/status.js";
import { Table } from "../../components/table.js";
import { Moment, Money } from "../../components/text.js";
import { toast } from "../../components/toast.js";
import { t } from "../../i18n.js";
import { navigate } from "../../router.js";
import { site } from "../../site.js";
import { cls, html, useMemo, useState } from "../../ui.js";

export default function Accounts({ query }) {
  const list = usePages("/api/accounts", { query: { q: query.q, status: query.status, group: query.group } });
  const [creating, setCreating] = useState(false);
  const href = (row) => `/operate/accounts/${row.id}`;
  return html`<${Page} title=${t("nav.op.accounts")} lead=${t("op.accounts.lead")} actions=${html`<${Button} kind="primary" icon="plus" onClick=${() => setCreating(true)}>${t("op.accounts.create")}<//>`}>
    <${FilterBar} label=${t("op.accounts.filters")} filters=${[
      { name: "q", label: t("op.accounts.search"), type: "search" },
      { name: "status", label: t("keys.state"), type: "select", options: ["active", "suspended"].map((value) => ({ value, label: t(`state.account.${value}`) })) },
      { name: "group", label: t("op.group"), type: "text" },
    ]} />
    <div class="card card-flush"><${Table} label=${t("nav.op.accounts")} rows=${list.rows} state=${list} rowHref=${href} empty=${html`<${Empty} icon="landmark" title=${t("op.accounts.none")} />`} columns=${[
      { id: "name", label: t("op.name"), sort: (row) => row.name, cell: (row) => html`<a class="row-open" href=${href(row)}>${row.name}</a>` },
      { id: "status", label: t("keys.state"), cell: (row) => html`<${State} kind="account" value=${row.status} />` },
      { id: "group", label: t("op.group"), quiet: true, sort: (row) => row.group, cell: (row) => row.group },
      { id: "available", label: t("billing.available"), align: "end", sort: (row) => Number(row.available), cell: (row) => html`<span class=${cls(Number(row.available) <= 0 && "tone-bad")}><${Money} value=${row.available} /></span>` },
      { id: "held", label: t("billing.held"), align: "end", quiet: true, cell: (row) => html`<${Money} value=${row.held} />` },
      { id: "created", label: t("op.created"), quiet: true, cell: (row) => html`<${Moment} at=${row.created_at} style="date" />` },
    ]} /></div>
    <${NewAccount} key=${String(creating)} open=${creating} onClose=${() => setCreating(false)} />
  <//>`;
}

function NewAccount({ open, onClose }) {
  const [values, setValues] = useState({ name: "", group: "", credit: "" });
  const form = useSending();
  const once = useMemo(newIdempotencyKey, [open]);
  const set = (change) => setValues((old) => ({ ...old, ...change }));
  const submit = () =>
    form.send(async () => {
      const body = { name: values.name.trim() };
      if (values.group.trim()) body.group = values.group.trim();
      if (values.credit.trim()) body.credit = values.credit.trim();
      const made = await post("/api/accounts", body, { idempotencyKey: once });
      onClose();
      toast(t("op.accounts.created", { name: made.name }));
      navigate(`/operate/accounts/${made.id}`);
    });
  return html`<${Drawer} open=${open} onClose=${onClose} onSubmit=${submit} title=${t("op.accounts.create")} footer=${html`<${Button} onClick=${onClose}>${t("cancel")}<//><${Button} type="submit" kind="primary" busy=${form.busy} disabled=${!values.name.trim()}>${t("op.accounts.create")}<//>`}>
    <div class="form">
      <${Field} label=${t("op.name")} hint=${t("signup.login.hint")} error=${form.fault("name")}><${Input} value=${values.name} onChange=${(name) => set({ name })} autofocus required /><//>
      <${Field} label=${t("op.group")} hint=${t("op.group.hint")} optional error=${form.fault("group")}><${Input} value=${values.group} placeholder="default" onChange=${(group) => set({ group })} /><//>
      <${Field} label=${t("op.credit.first")} optional error=${form.fault("credit")}><${Input} inputmode="decimal" suffix=${site.value?.currency} value=${values.credit} onChange=${(credit) => set({ credit })} /><//>
      ${form.error && html`<${ErrorNote} error=${form.error} />`}
    </div>
  <//>`;
}
