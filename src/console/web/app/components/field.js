// Form controls. Every one takes `value` and `onChange(value)`; inside a Field it gets its label, hint and fault by itself.
import { t } from "../i18n.js";
import { cls, createContext, html, useContext, useEffect, useId, useRef, useState } from "../ui.js";
import { Icon } from "./icon.js";

const FieldContext = createContext(null);

/** A label over one control, with a hint and a fault under it. `optional` says so; `aside` stands right of the label. */
export function Field({ label, hint, error, optional, aside, children }) {
  const id = useId();
  const described = cls(hint && `${id}-hint`, error && `${id}-error`) || undefined;
  return html`<div class=${cls("field", error && "field-wrong")}>
    <div class="field-head">
      <label class="field-label" for=${id}>${label}</label>
      ${optional && html`<span class="field-optional">${t("form.optional")}</span>`}
      ${aside && html`<span class="field-aside">${aside}</span>`}
    </div>
    <${FieldContext.Provider} value=${{ id, described, wrong: Boolean(error) }}>${children}<//>
    ${hint && html`<p class="field-hint" id=${`${id}-hint`}>${hint}</p>`}
    ${error && html`<p class="field-error" id=${`${id}-error`} role="alert"><${Icon} name="circle-alert" size=${14} /> ${error}</p>`}
  </div>`;
}

function useField(own) {
  const field = useContext(FieldContext);
  return field ? { id: field.id, "aria-describedby": field.described, "aria-invalid": field.wrong ? "true" : undefined, ...own } : own;
}

/** A single line. `icon` stands inside at the start, `suffix` at the end. */
export function Input({ onChange, icon, suffix, class: extra, inputRef, ...rest }) {
  const field = useField(rest);
  const control = html`<input class=${cls("input", extra)} type="text" autocomplete="off" spellcheck=${false} ...${field} ref=${inputRef} onInput=${(event) => onChange?.(event.currentTarget.value)} />`;
  if (!icon && !suffix) return control;
  return html`<span class=${cls("input-frame", icon && "input-iconed")}>${icon && html`<${Icon} name=${icon} />`}${control}${suffix && html`<span class="input-suffix">${suffix}</span>`}</span>`;
}

/** A password that can be looked at. Pasting and password managers stay welcome. */
export function Password(props) {
  const [shown, setShown] = useState(false);
  return html`<span class="input-frame input-suffixed">
    <${Input} ...${props} type=${shown ? "text" : "password"} />
    <button class="icon-button icon-button-small input-eye" type="button" aria-label=${t(shown ? "form.hide" : "form.show")} aria-pressed=${String(shown)} onClick=${() => setShown(!shown)}><${Icon} name=${shown ? "eye-off" : "eye"} /></button>
  </span>`;
}

export function Textarea({ onChange, class: extra, inputRef, ...rest }) {
  const field = useField(rest);
  return html`<textarea class=${cls("input textarea", extra)} spellcheck=${false} ...${field} ref=${inputRef} onInput=${(event) => onChange?.(event.currentTarget.value)}></textarea>`;
}

/** `options`: `[{value, label, disabled?}]`. */
export function Select({ value, options, onChange, class: extra, ...rest }) {
  const field = useField(rest);
  return html`<span class=${cls("select-frame", extra)}>
    <select class="input select" ...${field} value=${value} onChange=${(event) => onChange?.(event.currentTarget.value)}>
      ${options.map((option) => html`<option key=${option.value} value=${option.value} disabled=${option.disabled} selected=${option.value === value}>${option.label}</option>`)}
    </select>
    <${Icon} name="chevron-down" size=${14} />
  </span>`;
}

/** On or off, at once. */
export function Switch({ checked, onChange, label, ...rest }) {
  const field = useField(rest);
  return html`<label class="switch"><input type="checkbox" role="switch" ...${field} checked=${checked} onChange=${(event) => onChange?.(event.currentTarget.checked)} /><span class="switch-track" aria-hidden="true"></span>${label && html`<span>${label}</span>`}</label>`;
}

export function Checkbox({ checked, onChange, label, ...rest }) {
  const field = useField(rest);
  return html`<label class="checkbox"><input type="checkbox" ...${field} checked=${checked} onChange=${(event) => onChange?.(event.currentTarget.checked)} /><span>${label}</span></label>`;
}

/** A slider; its value is a number. Show the number beside the label with the Field's `aside`. */
export function Range({ value, min = 0, max = 1, step = 0.1, onChange, class: extra, ...rest }) {
  const field = useField(rest);
  const share = max > min ? ((Number(value) - min) / (max - min)) * 100 : 0;
  return html`<input class=${cls("range", extra)} type="range" ...${field} min=${min} max=${max} step=${step} value=${value} style=${{ "--share": `${share}%` }} onInput=${(event) => onChange?.(Number(event.currentTarget.value))} />`;
}

/** One of a few, side by side. `options`: `[{value, label, title?}]`; `label` names the group. */
export function Segmented({ value, options, onChange, label, small }) {
  const group = useId();
  return html`<div class=${cls("segmented", small && "segmented-small")} role="radiogroup" aria-label=${label}>
    ${options.map(
      (option) => html`<label key=${option.value} class=${cls("segment", option.value === value && "segment-on")} title=${option.title}>
        <input type="radio" class="hidden-input" name=${group} value=${option.value} checked=${option.value === value} onChange=${() => onChange?.(option.value)} /><span>${option.label}</span>
      </label>`,
    )}
  </div>`;
}

/**
 * Any number out of many: chips of what is chosen, a list to tick with a search field. `value` is an array of strings,
 * `options` `[{value, label}]`; `empty` says what choosing none means.
 */
export function MultiSelect({ value, options, onChange, empty, label, ...rest }) {
  const field = useField(rest);
  const [open, setOpen] = useState(false);
  const [search, setSearch] = useState("");
  const root = useRef(null);
  const list = useId();
  useEffect(() => {
    if (!open) return undefined;
    const away = (event) => !root.current?.contains(event.target) && setOpen(false);
    addEventListener("pointerdown", away);
    addEventListener("focusin", away);
    return () => {
      removeEventListener("pointerdown", away);
      removeEventListener("focusin", away);
    };
  }, [open]);
  const chosen = new Set(value);
  // What was chosen stays in the list even when the server no longer offers it.
  const all = [...options, ...value.filter((one) => !options.some((option) => option.value === one)).map((one) => ({ value: one, label: one }))];
  const seen = all.filter((option) => option.label.toLowerCase().includes(search.trim().toLowerCase()));
  // The name says what is chosen too: it stands in for the words inside.
  const name = `${label}: ${value.length ? value.join(", ") : empty}`;
  const toggle = (one) => onChange(chosen.has(one) ? value.filter((other) => other !== one) : [...value, one]);
  const onKeyDown = (event) => {
    if (event.key === "Escape" && open) {
      event.stopPropagation();
      event.preventDefault(); // else the drawer around it would close as well
      setOpen(false);
      root.current.querySelector("button").focus();
    }
  };
  return html`<div class="multi" ref=${root} onKeyDown=${onKeyDown}>
    <button class="input multi-button" type="button" ...${field} aria-label=${name} aria-expanded=${String(open)} aria-controls=${list} onClick=${() => setOpen(!open)}>
      ${value.length ? html`<span class="multi-chips">${value.map((one) => html`<span key=${one} class="tag">${one}</span>`)}</span>` : html`<span class="faint">${empty}</span>`}
      <${Icon} name="chevron-down" size=${14} />
    </button>
    ${open &&
    html`<div class="multi-list" id=${list}>
      ${all.length > 6 && html`<input class="input" type="search" autocomplete="off" aria-label=${t("form.search")} placeholder=${t("form.search")} value=${search} onInput=${(event) => setSearch(event.currentTarget.value)} />`}
      <div class="multi-options" role="group" aria-label=${label}>
        ${seen.map((option) => html`<label key=${option.value} class="checkbox multi-option"><input type="checkbox" checked=${chosen.has(option.value)} onChange=${() => toggle(option.value)} /><span>${option.label}</span></label>`)}
        ${seen.length === 0 && html`<p class="faint multi-none">${t("form.nothing_found")}</p>`}
      </div>
    </div>`}
  </div>`;
}

/**
 * State of a form that is sent: `{busy, error, fault(name), send}`. `send(f)` runs the async `f` once at a time and keeps
 * the ApiError; `fault(name)` is that error's message for one field.
 */
export function useSending() {
  const [state, setState] = useState({ busy: false, error: null });
  const running = useRef(false);
  const send = async (work) => {
    if (running.current) return undefined;
    running.current = true;
    setState({ busy: true, error: null });
    try {
      const result = await work();
      setState({ busy: false, error: null });
      return result;
    } catch (error) {
      setState({ busy: false, error });
      return undefined;
    } finally {
      running.current = false;
    }
  };
  return { ...state, send, fault: (name) => state.error?.field?.(name), clear: () => setState({ busy: false, error: null }) };
}
