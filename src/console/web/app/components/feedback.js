// What a page says when there is nothing, not yet, or a failure.
import { ApiError, sentence } from "../api.js";
import { t } from "../i18n.js";
import { cls, html } from "../ui.js";
import { Button } from "./button.js";
import { CopyButton } from "./copy.js";
import { Icon } from "./icon.js";

/** Nothing here: `title`, one sentence, perhaps an action. */
export const Empty = ({ icon = "layers", title, children, actions }) =>
  html`<div class="empty"><span class="empty-icon"><${Icon} name=${icon} size=${20} /></span><p class="empty-title">${title}</p>${children && html`<div class="empty-text">${children}</div>`}${actions && html`<div class="empty-actions">${actions}</div>`}</div>`;

/** A notice over the page: `tone` "info" | "ok" | "warn" | "bad". */
export const Banner = ({ tone = "info", title, actions, children, role }) =>
  html`<div class=${cls("banner", `banner-${tone}`)} role=${role}>
    <${Icon} name=${{ info: "info", ok: "circle-check", warn: "triangle-alert", bad: "circle-alert" }[tone]} />
    <div class="banner-text">${title && html`<p class="banner-title">${title}</p>`}${children && html`<div>${children}</div>`}</div>
    ${actions && html`<div class="banner-actions">${actions}</div>`}
  </div>`;

/** An error in full: sentence, code, request id, and a way to try again. */
export function ErrorNote({ error, retry }) {
  if (!error) return null;
  const known = error instanceof ApiError;
  return html`<${Banner} tone="bad" role="alert" title=${sentence(error)} actions=${retry && html`<${Button} small icon="refresh-cw" onClick=${retry}>${t("error.retry")}<//>`}>
    ${known && html`<span class="error-trace"><code class="mono">${error.code}</code>${error.requestId && html`<span class="error-id"><code class="mono">${error.requestId}</code><${CopyButton} text=${error.requestId} label=${t("error.copy_id")} small /></span>`}</span>`}
  <//>`;
}

/** Lines in the place of what is coming. Render it when useApi says `slow`. */
export const Skeleton = ({ lines = 3 }) => html`<div class="skeletons" role="status" aria-label=${t("loading")}>${Array.from({ length: lines }, (_, i) => html`<span key=${i} class="skeleton"></span>`)}</div>`;
