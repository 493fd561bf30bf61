// Keys in a table, with all that can be done to one. The same for a customer, an account's page and the operator's list.
import { del, newIdempotencyKey, patch, post, sentence, usePages } from "../api.js";
import { Button, IconButton } from "../components/button.js";
import { Meter } from "../components/card.js";
import { CopyField } from "../components/copy.js";
import { Dialog, confirm } from "../components/dialog.js";
import { Empty, ErrorNote } from "../components/feedback.js";
import { Field, Select, useSending } from "../components/field.js";
import { FilterBar } from "../components/filters.js";
import { Menu } from "../components/menu.js";
import { Page } from "../components/page.js";
import { State, keyState } from "../components/status.js";
import { countKeys } from "../components/shell.js";
import { Table } from "../components/table.js";
import { Moment } from "../components/text.js";
import { toast } from "../components/toast.js";
import { money, moment } from "../format.js";
import { t } from "../i18n.js";
import { ratio } from "../money.js";
import { setQuery } from "../router.js";
import { withoutSecrets } from "../secrets.js";
import { baseUrl } from "../site.js";
import { html, useMemo, useState } from "../ui.js";
import { KeyDrawer } from "./drawer.js";
import { NewKeyNote } from "./shown.js";

/** `account`: whose keys new ones become; `asked`: what the list is narrowed to; `bare`: without the page's head. */
export function KeyList({ title, lead, account, asked, query, bare, everything }) {
  const list = usePages("/api/keys", { query: { account: asked, q: query.q && withoutSecrets(query.q) } });
  const [editing, setEditing] = useState(null);
  const [shown, setShown] = useState(null);
  const [rotating, setRotating] = useState(null);
  const creating = query.new === "1";

  const replace = (key) => list.set((rows) => rows?.map((row) => (row.id === key.id ? key : row)) ?? null);
  const turn = async (key, status) => {
    replace({ ...key, status }); // at once; the server's answer follows
    try {
      replace(await patch(`/api/keys/${key.id}`, { status }));
      return true;
    } catch (error) {
      replace(key);
      toast(sentence(error), { kind: "bad" });
      return false;
    }
  };
  const disable = async (key) => {
    if (await turn(key, "disabled")) toast(t("keys.disabled", { name: key.name }), { undo: () => turn({ ...key, status: "disabled" }, "active") });
  };
  const remove = async (key) => {
    if (!(await confirm({ title: t("keys.delete.title", { name: key.name }), body: t("keys.delete.words"), action: t("keys.delete"), typed: key.name }))) return;
    try {
      await del(`/api/keys/${key.id}`);
      list.set((rows) => rows?.filter((row) => row.id !== key.id) ?? null);
      countKeys();
      toast(t("keys.deleted", { name: key.name }));
    } catch (error) {
      toast(sentence(error), { kind: "bad" });
    }
  };
  const made = (key) => {
    setShown(key);
    list.reload();
    countKeys();
  };
  const actions = html`${account && html`<${Button} kind="primary" icon="plus" onClick=${() => setQuery({ new: "1" }, { replace: false })}>${t("keys.create")}<//>`}`;
  const menu = (key) => [
    { label: t("keys.edit"), icon: "pencil", onSelect: () => setEditing(key) },
    key.status === "active" ? { label: t("keys.disable"), icon: "power", onSelect: () => disable(key) } : { label: t("keys.enable"), icon: "power", onSelect: () => turn(key, "active") },
    { label: t("keys.rotate"), icon: "rotate-cw", onSelect: () => setRotating(key) },
    { label: t("keys.requests"), icon: "list", href: `${everything ? "/operate/requests" : "/requests"}?key=${key.id}` },
    null,
    { label: t("keys.delete"), icon: "trash-2", danger: true, onSelect: () => remove(key) },
  ];
  const inside = html`
    ${(everything || (list.rows?.length ?? 0) > 8 || query.q) && html`<${FilterBar} label=${t("keys.filters")} filters=${[{ name: "q", label: t(everything ? "keys.search.any" : "keys.search"), type: "search" }]} />`}
    <div class="card card-flush">
      <${Table} label=${title} rows=${list.rows} state=${list} columns=${columns(everything, menu, setEditing)}
        empty=${query.q ? html`<${Empty} icon="search" title=${t("keys.nothing_matches")} />` : html`<${Empty} icon="key-round" title=${t("keys.none")} actions=${actions}>${t("keys.none.lead")}<//>`} />
    </div>
    <${KeyDrawer} open=${creating || editing !== null} key=${editing?.id ?? "new"} edited=${editing} account=${account}
      onClose=${() => (setEditing(null), creating && setQuery({ new: null }))}
      onDone=${(key) => (editing ? (replace(key), toast(t("keys.saved", { name: key.name }))) : made(key))} />
    <${Rotation} key=${rotating?.id} target=${rotating} onClose=${() => setRotating(null)} onDone=${(key) => (setRotating(null), made(key))} />
    <${NewKeyNote} made=${shown} onClose=${() => setShown(null)} />`;
  if (bare) return html`<div class="stack">${account && html`<div class="stack-actions">${actions}</div>`}${inside}</div>`;
  return html`<${Page} title=${title} lead=${lead} actions=${actions}>
    ${!everything && html`<div class="base-url"><span class="base-label">${t("keys.base_url")}</span><${CopyField} value=${baseUrl()} label=${t("keys.base_url")} /></div>`}
    ${inside}
  <//>`;
}

const columns = (everything, menu, edit) => [
  { id: "name", label: t("keys.name"), sort: (key) => key.name, cell: (key) => html`<button class="row-open link" type="button" onClick=${() => edit(key)}>${key.name}</button><span class="cell-sub mono">${key.prefix}</span>` },
  everything && { id: "account", label: t("requests.account"), sort: (key) => key.account, cell: (key) => key.account },
  { id: "state", label: t("keys.state"), cell: (key) => html`<${State} kind="key" value=${keyState(key)} />` },
  { id: "budget", label: t("keys.spent"), sort: (key) => Number(key.spent), cell: (key) => (key.budget === null ? html`<span class="number">${money(key.spent)}</span>` : html`<span class="budget"><span class="number">${money(key.spent)} <span class="faint">/ ${money(key.budget)}</span></span><${Meter} share=${ratio(key.spent, key.budget) ?? 1} label=${t("keys.spent_of", { spent: money(key.spent), budget: money(key.budget) })} /></span>`) },
  { id: "models", label: t("keys.models"), quiet: true, cell: (key) => (key.models.length === 0 ? t("keys.all_models") : html`<span title=${key.models.join(", ")}>${key.models.length === 1 ? key.models[0] : t("keys.n_models", { n: key.models.length })}</span>`) },
  { id: "expires", label: t("keys.expires"), quiet: true, sort: (key) => key.expires_at, cell: (key) => (key.expires_at ? html`<${Moment} at=${key.expires_at} style="date" />` : t("keys.never")) },
  { id: "used", label: t("keys.last_used"), quiet: true, sort: (key) => key.last_used_at, cell: (key) => (key.last_used_at ? html`<span title=${moment(key.last_used_at, "full")}>${moment(key.last_used_at, "relative")}</span>` : t("keys.unused")) },
  { id: "menu", label: t("keys.actions"), srOnly: true, align: "end", cell: (key) => html`<${Menu} end label=${t("keys.actions_of", { name: key.name })} items=${menu(key)} button=${(props) => html`<${IconButton} icon="ellipsis" small label=${t("keys.actions_of", { name: key.name })} ...${props} />`} />` },
].filter(Boolean);

/** A new text for the same key; the old one goes on to work for as long as its users need to change over. */
function Rotation({ target, onClose, onDone }) {
  const [keep, setKeep] = useState("24h");
  const form = useSending();
  // Sent twice by a line that broke, it must not make two new texts of which the first is lost.
  const once = useMemo(newIdempotencyKey, [target?.id, keep]);
  const submit = () => form.send(async () => onDone(await post(`/api/keys/${target.id}/rotate`, keep ? { keep_old: keep } : {}, { idempotencyKey: once })));
  return html`<${Dialog} open=${Boolean(target)} onClose=${onClose} onSubmit=${submit} title=${target && t("keys.rotate.title", { name: target.name })} lead=${t("keys.rotate.words")}
    footer=${html`<${Button} onClick=${onClose}>${t("cancel")}<//><${Button} type="submit" kind="primary" busy=${form.busy}>${t("keys.rotate")}<//>`}>
    <${Field} label=${t("keys.rotate.keep")}><${Select} value=${keep} onChange=${setKeep} options=${["", "1h", "24h", "7d"].map((value) => ({ value, label: t(`keys.rotate.keep.${value || "none"}`) }))} /><//>
    ${form.error && html`<${ErrorNote} error=${form.error} />`}
  <//>`;
}
