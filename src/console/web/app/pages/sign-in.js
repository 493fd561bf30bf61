// Signing in. Password managers and pasting are welcome; nothing is asked that a person must solve.
import { post } from "../api.js";
import { Banner, ErrorNote } from "../components/feedback.js";
import { Button } from "../components/button.js";
import { Field, Input, Password, useSending } from "../components/field.js";
import { t } from "../i18n.js";
import { navigate } from "../router.js";
import { me } from "../session.js";
import { site } from "../site.js";
import { html, useEffect, useState } from "../ui.js";

/** Only a path of our own: an address in the query must not lead anybody elsewhere. */
export const safeNext = (next) => (typeof next === "string" && /^\/(?![/\\])/.test(next) ? next : "/overview");

export default function SignIn({ query }) {
  const form = useSending();
  const [missing, setMissing] = useState([]);
  const next = safeNext(query.next);
  useEffect(() => {
    document.title = `${t("signin.title")} · Tollgate`;
    if (me.value) navigate(next, { replace: true });
  }, [me.value]);
  const submit = (event) => {
    event.preventDefault();
    // Read from the form itself: browsers do not announce what a password manager filled in.
    const fields = event.currentTarget.elements;
    const [login, password] = [fields.username.value.trim(), fields.password.value];
    const empty = [!login && "username", !password && "password"].filter(Boolean);
    setMissing(empty);
    if (empty.length) {
      fields[empty[0]].focus();
      return;
    }
    form.send(async () => {
      me.value = await post("/api/session", { login, password });
      navigate(next, { replace: true });
    });
  };
  return html`<div class="sign-card card">
    <div><h1 class="page-title">${t("signin.title")}</h1><p class="page-lead">${t("signin.lead")}</p></div>
    ${site.value?.needs_operator && html`<${Banner} tone="info" title=${t("signin.first.title")}>${t("signin.first.words")}<//>`}
    <form class="form" novalidate onSubmit=${submit}>
      <${Field} label=${t("signin.login")} error=${missing.includes("username") && t("form.required")}><${Input} name="username" autocomplete="username" autocapitalize="none" autofocus required /><//>
      <${Field} label=${t("signin.password")} error=${missing.includes("password") && t("form.required")}><${Password} name="password" autocomplete="current-password" required /><//>
      ${form.error && html`<${ErrorNote} error=${form.error} />`}
      <${Button} type="submit" kind="primary" busy=${form.busy}>${t("signin.submit")}<//>
    </form>
    ${site.value?.sign_up === "open" && html`<p class="sign-more">${t("signin.new")} <a href="/sign-up">${t("signup.title")}</a></p>`}
    <p class="sign-more faint">${t("signin.lost")}</p>
  </div>`;
}
