// Buttons. One primary button to a view; the rest are plain, ghost (no frame) or danger.
import { cls, html } from "../ui.js";
import { Icon } from "./icon.js";

/**
 * `kind`: "primary" | "plain" | "ghost" | "danger"; `icon`: a name; `href` makes it a link; `busy` disables it and says
 * so to assistive technology; `small` for rows of a table. Other properties go to the element.
 */
export function Button({ kind = "plain", icon, small, busy, disabled, href, type = "button", children, class: extra, ...rest }) {
  const name = cls("button", `button-${kind}`, small && "button-small", extra);
  const inside = html`${icon && html`<${Icon} name=${icon} size=${small ? 14 : 16} />`}<span class="button-label">${children}</span>`;
  if (href) return html`<a class=${name} href=${href} ...${rest}>${inside}</a>`;
  // aria-disabled while busy keeps the focus where it is; a disabled button would drop it.
  return html`<button class=${name} type=${type} disabled=${disabled} aria-disabled=${busy ? "true" : undefined} aria-busy=${busy ? "true" : undefined} ...${rest} onClick=${(event) => (busy ? event.preventDefault() : rest.onClick?.(event))}>${inside}</button>`;
}

/** A square button with an icon alone; `label` is its name and its tooltip. */
export function IconButton({ icon, label, href, pressed, small, class: extra, ...rest }) {
  const name = cls("icon-button", small && "icon-button-small", extra);
  const inside = html`<${Icon} name=${icon} size=${16} />`;
  if (href) return html`<a class=${name} href=${href} aria-label=${label} title=${label} ...${rest}>${inside}</a>`;
  return html`<button class=${name} type="button" aria-label=${label} title=${label} aria-pressed=${pressed === undefined ? undefined : String(pressed)} ...${rest}>${inside}</button>`;
}
