// Drawers, dialogs and the question before an act. The browser's own <dialog> keeps focus inside and gives it back.
import { t } from "../i18n.js";
import { cls, html, signal, useEffect, useId, useRef, useState } from "../ui.js";
import { Button, IconButton } from "./button.js";
import { Field, Input } from "./field.js";

function Modal({ shape, open, onClose, title, lead, footer, children, onSubmit, wide }) {
  const dialog = useRef(null);
  const heading = useId();
  const close = useRef(onClose);
  close.current = onClose;
  useEffect(() => {
    const element = dialog.current;
    if (open && !element.open) element.showModal();
    if (!open && element.open) element.close();
  }, [open]);
  // Unmounting (another page) must not leave the document inert.
  useEffect(() => () => dialog.current?.open && dialog.current.close(), []);
  const onCancel = (event) => {
    event.preventDefault();
    close.current?.();
  };
  // A press that began outside: a selection that ends there must not close it.
  const onPointerDown = (event) => {
    if (event.target === dialog.current) close.current?.();
  };
  const inside = html`
    <div class="modal-head"><div><h2 class="modal-title" id=${heading}>${title}</h2>${lead && html`<p class="modal-lead">${lead}</p>`}</div><${IconButton} icon="x" label=${t("close")} onClick=${() => close.current?.()} /></div>
    <div class="modal-body">${children}</div>
    ${footer && html`<div class="modal-foot">${footer}</div>`}`;
  return html`<dialog class=${cls(shape, wide && "modal-wide")} ref=${dialog} aria-labelledby=${heading} onCancel=${onCancel} onPointerDown=${onPointerDown}>
    ${open && (onSubmit ? html`<form class="modal-inner" novalidate onSubmit=${(event) => (event.preventDefault(), onSubmit(event))}>${inside}</form>` : html`<div class="modal-inner">${inside}</div>`)}
  </dialog>`;
}

/** Slides in at the side. `open`, `onClose()`, `title`, `lead`, `footer` (buttons); `onSubmit` makes it a form. */
export const Drawer = (props) => html`<${Modal} shape="drawer" ...${props} />`;
/** Stands in the middle. Same properties. */
export const Dialog = (props) => html`<${Modal} shape="dialog" ...${props} />`;

const question = signal(null);

/**
 * Asks before an act; resolves to true or false. `typed`: a text that must be typed first (what cannot be undone).
 * `action`: the word on the button; `danger` colours it.
 */
export const confirm = ({ title, body, action, typed, danger = Boolean(typed) }) =>
  new Promise((resolve) => {
    question.value?.resolve(false);
    question.value = { title, body, action, typed, danger, resolve };
  });

export function ConfirmHost() {
  const asked = question.value;
  const [text, setText] = useState("");
  useEffect(() => setText(""), [asked]);
  const answer = (value) => {
    asked?.resolve(value);
    question.value = null;
  };
  const ready = !asked?.typed || text === asked.typed;
  return html`<${Dialog} open=${asked !== null} onClose=${() => answer(false)} title=${asked?.title} onSubmit=${() => ready && answer(true)}
    footer=${asked && html`<${Button} onClick=${() => answer(false)}>${t("cancel")}<//><${Button} type="submit" kind=${asked.danger ? "danger" : "primary"} disabled=${!ready}>${asked.action}<//>`}>
    ${asked?.body && html`<p class="modal-words">${asked.body}</p>`}
    ${asked?.typed && html`<${Field} label=${t("confirm.type", { name: asked.typed })}><${Input} value=${text} onChange=${setText} autofocus /><//>`}
  <//>`;
}
