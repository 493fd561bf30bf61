// The person: password, sessions, language, theme, shortcuts.
import { del, patch, sentence, useApi } from "../api.js";
import { browserOf } from "../browser.js";
import { Button } from "../components/button.js";
import { Card, Facts } from "../components/card.js";
import { ErrorNote } from "../components/feedback.js";
import { Field, Password, Segmented, Switch, useSending } from "../components/field.js";
import { Page } from "../components/page.js";
import { Chip } from "../components/status.js";
import { Table } from "../components/table.js";
import { Moment } from "../components/text.js";
import { toast } from "../components/toast.js";
import { t } from "../i18n.js";
import { lang, shortcutsOn, theme } from "../preferences.js";
import { isOperator, me } from "../session.js";
import { html, useState } from "../ui.js";

export default function Account() {
  const who = me.value;
  const sessions = useApi("/api/sessions");
  // This browser first: the others are the ones to look at, and to end.
  const list = sessions.data?.data.toSorted((a, b) => Number(b.current) - Number(a.current)) ?? null;
  const close = async (session) => {
    try {
      await del(`/api/sessions/${session.id}`);
      sessions.reload();
      toast(t("account.session_ended"));
    } catch (error) {
      toast(sentence(error), { kind: "bad" });
    }
  };
  return html`<${Page} title=${t("nav.account")} lead=${t("account.lead")}>
    <div class="columns">
      <${Card} title=${t("account.you")}><${Facts} items=${[
        { label: t("signin.login"), value: who.person?.login },
        { label: t("account.role"), value: t(`role.${who.role}`) },
        { label: t("requests.account"), value: who.account?.name ?? "—" },
        { label: t("account.since"), value: html`<${Moment} at=${who.person?.created_at} style="date" />` },
      ]} />${isOperator.value && html`<p class="card-more"><a href="/operate/people">${t("account.people")}</a></p>`}<//>
      <${Card} title=${t("account.looks")}><div class="form">
        <div class="field"><span class="field-label">${t("account.language")}</span><${Segmented} value=${lang.value} label=${t("account.language")} onChange=${(value) => (lang.value = value)} options=${[{ value: "en", label: "English" }, { value: "zh", label: "中文" }]} /></div>
        <div class="field"><span class="field-label">${t("theme.label")}</span><${Segmented} value=${theme.value} label=${t("theme.label")} onChange=${(value) => (theme.value = value)} options=${["system", "light", "dark"].map((value) => ({ value, label: t(`theme.${value}`) }))} /></div>
        <${Switch} checked=${shortcutsOn.value} onChange=${(on) => (shortcutsOn.value = on)} label=${t("shortcuts.switch")} />
      </div><//>
      <${ChangePassword} login=${who.person?.login} onDone=${sessions.reload} />
    </div>
    <${Card} flush title=${t("account.sessions")} lead=${t("account.sessions.lead")}>
      <${Table} label=${t("account.sessions")} rows=${list} state=${sessions} columns=${[
        { id: "agent", label: t("account.browser"), wide: true, cell: (row) => html`<span title=${row.agent}>${browserName(row.agent)}</span>` },
        { id: "address", label: t("account.address"), quiet: true, cell: (row) => html`<span class="mono">${row.address ?? "—"}</span>` },
        { id: "created", label: t("account.signed_in"), quiet: true, cell: (row) => html`<${Moment} at=${row.created_at} />` },
        { id: "seen", label: t("account.last_seen"), quiet: true, cell: (row) => html`<${Moment} at=${row.last_seen_at} style="relative" />` },
        { id: "end", label: t("keys.actions"), srOnly: true, align: "end", cell: (row) => (row.current ? html`<${Chip} tone="ok">${t("account.this_one")}<//>` : html`<${Button} small onClick=${() => close(row)}>${t("account.end")}<//>`) },
      ]} />
    <//>
  <//>`;
}

/** What a person would call the browser that described itself so; the description itself is in the title. */
function browserName(agent) {
  const { browser, system } = browserOf(agent);
  if (browser && system) return t("account.sessions.agent", { browser, system });
  return browser ?? system ?? (agent || t("account.sessions.unknown"));
}

function ChangePassword({ login, onDone }) {
  const [current, setCurrent] = useState("");
  const [next, setNext] = useState("");
  const form = useSending();
  const submit = (event) => {
    event.preventDefault();
    form.send(async () => {
      await patch("/api/me", { password: { current, new: next } });
      setCurrent("");
      setNext("");
      onDone();
      toast(t("account.password_changed"));
    });
  };
  return html`<${Card} title=${t("account.password")} lead=${t("account.password.lead")}><form class="form" onSubmit=${submit}>
    <input class="visually-hidden" type="text" name="username" autocomplete="username" value=${login} readonly tabindex="-1" aria-hidden="true" />
    <${Field} label=${t("account.password.current")} error=${form.fault("password.current") && t("account.password.wrong")}><${Password} autocomplete="current-password" value=${current} onChange=${setCurrent} /><//>
    <${Field} label=${t("signup.new_password")} hint=${t("signup.password.hint")} error=${form.fault("password.new")}><${Password} autocomplete="new-password" value=${next} onChange=${setNext} /><//>
    ${form.error && form.error.errors?.length === 0 && html`<${ErrorNote} error=${form.error} />`}
    <div><${Button} type="submit" busy=${form.busy} disabled=${!current || next.length < 10}>${t("account.password.change")}<//></div>
  </form><//>`;
}
