// Making a key, and changing one: name, end, budget, models, limits, addresses.
import { newIdempotencyKey, patch, post, useApi } from "../api.js";
import { Button } from "../components/button.js";
import { Drawer } from "../components/dialog.js";
import { ErrorNote } from "../components/feedback.js";
import { Field, Input, MultiSelect, Segmented, Textarea, useSending } from "../components/field.js";
import { moment } from "../format.js";
import { t } from "../i18n.js";
import { site } from "../site.js";
import { html, useMemo, useState } from "../ui.js";

const ENDS = ["never", "1d", "30d", "90d", "365d"];
const number = (text) => (/^\d{1,15}$/.test(text.trim()) ? Number(text.trim()) : text.trim() === "" ? null : NaN);

export function KeyDrawer({ open, edited, account, onClose, onDone }) {
  const models = useApi(open ? "/api/models" : null);
  const form = useSending();
  const once = useMemo(newIdempotencyKey, [open]);
  const [values, setValues] = useState(() => start(edited));
  const set = (change) => setValues((old) => ({ ...old, ...change }));
  const limits = { rpm: number(values.rpm), tpm: number(values.tpm), concurrency: number(values.concurrency) };
  const wrong = Object.values(limits).some(Number.isNaN);
  const submit = () =>
    form.send(async () => {
      const body = {
        name: values.name.trim(),
        models: values.models,
        limits,
        budget: values.budget.trim() || null,
        allow_ips: values.addresses.split(/[\s,]+/).filter(Boolean),
      };
      if (edited) {
        if (values.end !== "keep") body[values.end === "never" ? "expires_at" : "expires_in"] = values.end === "never" ? null : values.end;
        onDone(await patch(`/api/keys/${edited.id}`, body));
      } else {
        if (body.budget === null) delete body.budget;
        if (values.end !== "never") body.expires_in = values.end;
        onDone(await post("/api/keys", { ...body, ...(account ? { account } : {}) }, { idempotencyKey: once }));
      }
      onClose();
    });
  const ends = edited ? ["keep", ...ENDS] : ENDS;
  return html`<${Drawer} open=${open} onClose=${onClose} onSubmit=${submit} title=${edited ? t("keys.edit.title", { name: edited.name }) : t("keys.create")} lead=${edited ? undefined : t("keys.create.lead")}
    footer=${html`<${Button} onClick=${onClose}>${t("cancel")}<//><${Button} type="submit" kind="primary" busy=${form.busy} disabled=${!values.name.trim() || wrong}>${t(edited ? "keys.save" : "keys.create")}<//>`}>
    <div class="form">
      <${Field} label=${t("keys.name")} hint=${t("keys.name.hint")} error=${form.fault("name")}><${Input} value=${values.name} maxlength="128" onChange=${(name) => set({ name })} autofocus required /><//>
      <div class="field"><span class="field-label">${t("keys.expires")}</span>
        <${Segmented} value=${values.end} label=${t("keys.expires")} onChange=${(end) => set({ end })} options=${ends.map((value) => ({ value, label: value === "keep" ? (edited.expires_at ? moment(edited.expires_at, "date") : t("keys.unchanged")) : t(`keys.ends.${value}`) }))} /></div>
      <${Field} label=${t("keys.budget")} hint=${t("keys.budget.hint")} optional error=${form.fault("budget")}><${Input} inputmode="decimal" suffix=${site.value?.currency} value=${values.budget} onChange=${(budget) => set({ budget })} /><//>
      <${Field} label=${t("keys.models")} hint=${t("keys.models.hint")} optional error=${form.fault("models")}><${MultiSelect} value=${values.models} empty=${t("keys.all_models")} label=${t("keys.models")} options=${(models.data?.data ?? []).map((model) => ({ value: model.id, label: model.id }))} onChange=${(chosen) => set({ models: chosen })} /><//>
      <fieldset class="form-row"><legend class="field-label">${t("keys.limits")}</legend>
        ${["rpm", "tpm", "concurrency"].map((name) => html`<${Field} key=${name} label=${t(`keys.limits.${name}`)} error=${Number.isNaN(limits[name]) ? t("form.whole_number") : form.fault(`limits.${name}`)}><${Input} inputmode="numeric" placeholder=${t("keys.no_limit")} value=${values[name]} onChange=${(text) => set({ [name]: text })} /><//>`)}
      </fieldset>
      <${Field} label=${t("keys.addresses")} hint=${t("keys.addresses.hint")} optional error=${form.fault("allow_ips")}><${Textarea} class="mono" rows="2" value=${values.addresses} placeholder="203.0.113.0/24" onChange=${(addresses) => set({ addresses })} /><//>
      ${form.error && html`<${ErrorNote} error=${form.error} />`}
    </div>
  <//>`;
}

const text = (value) => (value === null || value === undefined ? "" : String(value));
const start = (key) => ({
  name: key?.name ?? "",
  end: key ? "keep" : "never",
  budget: text(key?.budget),
  models: key?.models ?? [],
  rpm: text(key?.limits.rpm),
  tpm: text(key?.limits.tpm),
  concurrency: text(key?.limits.concurrency),
  addresses: (key?.allow_ips ?? []).join("\n"),
});
