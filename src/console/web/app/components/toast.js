// Short notices at the foot of the window, with a way back where there is one.
import { t } from "../i18n.js";
import { html, signal, useEffect, useRef } from "../ui.js";
import { IconButton } from "./button.js";
import { Icon } from "./icon.js";

const toasts = signal([]);
let last = 0;

const drop = (id) => (toasts.value = toasts.value.filter((one) => one.id !== id));

/**
 * Says `message`. `kind`: "ok" | "bad" | "info". `undo`: a function behind an Undo button. `ms`: how long (a notice with
 * undo stays 8 s, a failure until it is closed).
 */
export function toast(message, { kind = "ok", undo, ms } = {}) {
  const id = (last += 1);
  toasts.value = [...toasts.value.slice(-2), { id, message, kind, undo }];
  const stay = ms ?? (kind === "bad" ? 0 : undo ? 8000 : 4000);
  if (stay) setTimeout(() => drop(id), stay);
  return () => drop(id);
}

export function Toasts() {
  const box = useRef(null);
  const shown = toasts.value;
  // Shown again for each notice, so that it lies over a dialog that was opened meanwhile.
  useEffect(() => {
    const element = box.current;
    if (element.matches(":popover-open")) element.hidePopover();
    if (shown.length) element.showPopover();
  }, [shown.length && shown[shown.length - 1].id]);
  return html`<div class="toasts" popover="manual" ref=${box}>
    <div role="status" aria-live="polite">
      ${shown.map(
        (one) => html`<div key=${one.id} class=${`toast toast-${one.kind}`}>
          <${Icon} name=${{ ok: "circle-check", bad: "circle-alert", info: "info" }[one.kind]} />
          <span class="toast-text">${one.message}</span>
          ${one.undo && html`<button class="toast-undo" type="button" onClick=${() => (drop(one.id), one.undo())}>${t("toast.undo")}</button>`}
          <${IconButton} icon="x" label=${t("close")} small onClick=${() => drop(one.id)} />
        </div>`,
      )}
    </div>
  </div>`;
}
