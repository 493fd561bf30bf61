// People who sign in, and the links that let them in.
import { del, patch, post, sentence, usePages } from "../../api.js";
import { Button, IconButton } from "../../components/button.js";
import { Card } from "../../components/card.js";
import { CopyField } from "../../components/copy.js";
import { Dialog, Drawer, confirm } from "../../components/dialog.js";
import { Banner, Empty, ErrorNote } from "../../components/feedback.js";
import { Field, Input, Segmented, Select, useSending } from "../../components/field.js";
import { Menu } from "../../components/menu.js";
import { Page } from "../../components/page.js";
import { Chip, State } from "../../components/status.js";
import { Table } from "../../components/table.js";
import { Moment } from "../../components/text.js";
import { toast } from "../../components/toast.js";
import { moment } from "../../format.js";
import { t } from "../../i18n.js";
import { me } from "../../session.js";
import { html, useState } from "../../ui.js";

export default function People() {
  const people = usePages("/api/people");
  const links = usePages("/api/invitations");
  const [inviting, setInviting] = useState(false);
  const [link, setLink] = useState(null);
  const act = async (work, said) => {
    try {
      const result = await work();
      people.reload();
      links.reload();
      if (said) toast(said);
      return result;
    } catch (error) {
      toast(sentence(error), { kind: "bad" });
      return null;
    }
  };
  const turn = (row, status) => act(() => patch(`/api/people/${row.id}`, { status }), t(status === "active" ? "op.people.enabled" : "op.people.disabled", { name: row.login }));
  const disable = async (row) => {
    if (await confirm({ title: t("op.people.disable.title", { name: row.login }), body: t("op.people.disable.words"), action: t("keys.disable"), danger: true })) turn(row, "disabled");
  };
  const role = (row) => (row.role === "operator" ? "customer" : "operator");
  const promote = async (row) => {
    if (await confirm({ title: t(`op.people.make.${role(row)}`, { name: row.login }), body: t(`op.people.make.${role(row)}.words`), action: t("op.people.change") })) act(() => patch(`/api/people/${row.id}`, { role: role(row) }), t("op.people.changed", { name: row.login }));
  };
  const reset = async (row) => setLink(await act(() => post(`/api/people/${row.id}/reset`, {})));
  const menu = (row) => [
    { label: t("op.people.reset"), icon: "key-round", onSelect: () => reset(row) },
    { label: t(row.role === "operator" ? "op.people.to_customer" : "op.people.to_operator"), icon: "shield", onSelect: () => promote(row) },
    row.status === "active" ? { label: t("keys.disable"), icon: "power", danger: true, onSelect: () => disable(row) } : { label: t("keys.enable"), icon: "power", onSelect: () => turn(row, "active") },
  ];
  return html`<${Page} title=${t("nav.op.people")} lead=${t("op.people.lead")} actions=${html`<${Button} kind="primary" icon="plus" onClick=${() => setInviting(true)}>${t("op.people.invite")}<//>`}>
    <div class="card card-flush"><${Table} label=${t("nav.op.people")} rows=${people.rows} state=${people} empty=${html`<${Empty} icon="users" title=${t("table.nothing")} />`} columns=${[
      { id: "login", label: t("signin.login"), cell: (row) => html`<strong>${row.login}</strong>${row.id === me.value?.person?.id ? html` <span class="faint">${t("op.people.you")}</span>` : null}` },
      { id: "role", label: t("account.role"), cell: (row) => html`<${Chip} dot=${false} tone=${row.role === "operator" ? "info" : "none"}>${t(`role.${row.role}`)}<//>` },
      { id: "status", label: t("keys.state"), cell: (row) => html`<${State} kind="person" value=${row.status} />` },
      { id: "account", label: t("requests.account"), cell: (row) => row.account && html`<a href=${`/operate/accounts/${row.account.id}`}>${row.account.name}</a>` },
      { id: "seen", label: t("account.last_seen"), quiet: true, cell: (row) => row.last_seen_at && html`<${Moment} at=${row.last_seen_at} style="relative" />` },
      { id: "menu", label: t("keys.actions"), srOnly: true, align: "end", cell: (row) => html`<${Menu} end label=${t("keys.actions_of", { name: row.login })} items=${menu(row)} button=${(props) => html`<${IconButton} icon="ellipsis" small label=${t("keys.actions_of", { name: row.login })} ...${props} />`} />` },
    ]} /></div>
    <${Card} flush title=${t("op.people.links")} lead=${t("op.people.links.lead")}>
      <${Table} label=${t("op.people.links")} rows=${links.rows} state=${links} empty=${html`<${Empty} icon="ticket" title=${t("op.people.no_links")} />`} columns=${[
        { id: "for", label: t("op.people.for"), cell: (row) => (row.resets ? t("op.people.resets", { name: row.resets }) : t(`role.${row.role}`)) },
        { id: "account", label: t("requests.account"), cell: (row) => row.account?.name },
        { id: "note", label: t("op.note"), wide: true, cell: (row) => row.note },
        { id: "status", label: t("keys.state"), cell: (row) => html`<${State} kind="invitation" value=${row.status} />` },
        { id: "until", label: t("op.valid_until"), quiet: true, cell: (row) => html`<${Moment} at=${row.expires_at} />` },
        { id: "end", label: t("keys.actions"), srOnly: true, align: "end", cell: (row) => row.status === "open" && html`<${Button} small onClick=${() => act(() => del(`/api/invitations/${row.id}`), t("op.people.revoked"))}>${t("op.people.revoke")}<//>` },
      ]} />
    <//>
    <${Invite} key=${String(inviting)} open=${inviting} onClose=${() => setInviting(false)} onDone=${(made) => (setInviting(false), setLink(made), links.reload())} />
    <${Dialog} open=${link !== null} onClose=${() => setLink(null)} title=${t("op.people.link")} footer=${html`<${Button} kind="primary" onClick=${() => setLink(null)}>${t("keys.made.done")}<//>`}>
      ${link && html`<${Banner} tone="warn" title=${t("op.people.link.once")}>${t("op.people.link.words", { at: moment(link.expires_at) })}<//><${CopyField} primary value=${link.url} label=${t("op.people.link")} />`}
    <//>
  <//>`;
}

function Invite({ open, onClose, onDone }) {
  const [values, setValues] = useState({ role: "customer", account: "", note: "", expires_in: "7d" });
  const form = useSending();
  const set = (change) => setValues((old) => ({ ...old, ...change }));
  const submit = () => form.send(async () => onDone(await post("/api/invitations", Object.fromEntries(Object.entries({ ...values, account: values.account.trim(), note: values.note.trim() }).filter(([, value]) => value)))));
  return html`<${Drawer} open=${open} onClose=${onClose} onSubmit=${submit} title=${t("op.people.invite")} lead=${t("op.people.invite.lead")} footer=${html`<${Button} onClick=${onClose}>${t("cancel")}<//><${Button} type="submit" kind="primary" busy=${form.busy}>${t("op.people.make_link")}<//>`}>
    <div class="form">
      <div class="field"><span class="field-label">${t("account.role")}</span><${Segmented} value=${values.role} label=${t("account.role")} options=${["customer", "operator"].map((value) => ({ value, label: t(`role.${value}`) }))} onChange=${(role) => set({ role })} /></div>
      <${Field} label=${t("requests.account")} hint=${t("op.people.account.hint")} optional error=${form.fault("account")}><${Input} value=${values.account} onChange=${(account) => set({ account })} /><//>
      <${Field} label=${t("op.note")} optional error=${form.fault("note")}><${Input} value=${values.note} maxlength="500" onChange=${(note) => set({ note })} /><//>
      <${Field} label=${t("op.valid_for")}><${Select} value=${values.expires_in} options=${["24h", "7d", "30d"].map((value) => ({ value, label: t(`op.for.${value}`) }))} onChange=${(expires_in) => set({ expires_in })} /><//>
      ${form.error && html`<${ErrorNote} error=${form.error} />`}
    </div>
  <//>`;
}
