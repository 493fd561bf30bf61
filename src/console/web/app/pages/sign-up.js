// Becoming somebody here: by a link, whose token stands behind # and so reaches no log, or openly where that is allowed.
import { post } from "../api.js";
import { Button } from "../components/button.js";
import { Empty, ErrorNote, Skeleton } from "../components/feedback.js";
import { Field, Input, Password, useSending } from "../components/field.js";
import { moment } from "../format.js";
import { t } from "../i18n.js";
import { navigate } from "../router.js";
import { me } from "../session.js";
import { site } from "../site.js";
import { html, useEffect, useState } from "../ui.js";

export default function SignUp() {
  const [token] = useState(() => location.hash.slice(1));
  const [invitation, setInvitation] = useState(null);
  const [failure, setFailure] = useState(null);
  const [login, setLogin] = useState("");
  const [password, setPassword] = useState("");
  const form = useSending();
  useEffect(() => {
    document.title = `${t("signup.title")} · Tollgate`;
    if (!token) return;
    post("/api/invitation", { token }).then(setInvitation, setFailure);
  }, []);
  const open = !token && site.value?.sign_up === "open";
  if (!token && !open) {
    return html`<div class="sign-card card"><h1 class="page-title">${t("signup.title")}</h1><${Empty} icon="ticket" title=${t("signup.closed")} actions=${html`<${Button} href="/sign-in">${t("signin.title")}<//>`} /></div>`;
  }
  if (failure) return html`<div class="sign-card card"><h1 class="page-title">${t("signup.title")}</h1><${ErrorNote} error=${failure} /><${Button} href="/sign-in">${t("signin.title")}<//></div>`;
  if (token && !invitation) return html`<div class="sign-card card"><${Skeleton} lines=${4} /></div>`;
  const resets = invitation?.resets ?? null;
  const submit = (event) => {
    event.preventDefault();
    form.send(async () => {
      me.value = await post("/api/sign-up", { ...(token ? { invitation: token } : {}), login: resets ? "" : login.trim(), password });
      navigate(me.value.role === "operator" && !resets ? "/overview?welcome=1" : "/overview", { replace: true });
    });
  };
  const lead = resets ? t("signup.reset.lead", { login: resets }) : invitation?.role === "operator" ? t("signup.operator.lead") : invitation?.account ? t("signup.account.lead", { account: invitation.account }) : t("signup.lead");
  return html`<div class="sign-card card">
    <div><h1 class="page-title">${t(resets ? "signup.reset.title" : "signup.title")}</h1><p class="page-lead">${lead}</p></div>
    <form class="form" onSubmit=${submit}>
      ${resets
        ? html`<input class="visually-hidden" type="text" name="username" autocomplete="username" value=${resets} readonly tabindex="-1" aria-hidden="true" />`
        : html`<${Field} label=${t("signin.login")} hint=${t("signup.login.hint")} error=${form.fault("login")}><${Input} name="username" autocomplete="username" autocapitalize="none" value=${login} onChange=${setLogin} autofocus required /><//>`}
      <${Field} label=${t(resets ? "signup.new_password" : "signin.password")} hint=${t("signup.password.hint")} error=${form.fault("password")}><${Password} name="new-password" autocomplete="new-password" value=${password} onChange=${setPassword} required /><//>
      ${form.error && !form.fault("login") && !form.fault("password") && html`<${ErrorNote} error=${form.error} />`}
      <${Button} type="submit" kind="primary" busy=${form.busy} disabled=${(!resets && !login.trim()) || password.length < 10}>${t(resets ? "signup.reset.submit" : "signup.submit")}<//>
    </form>
    ${invitation && html`<p class="sign-more faint">${t("signup.valid", { at: moment(invitation.expires_at) })}</p>`}
  </div>`;
}
