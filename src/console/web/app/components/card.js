// Cards and the strip of headline numbers.
import { cls, html } from "../ui.js";

/** A framed section. `title` becomes an h2, `actions` stand right of it; `flush` takes the padding away (tables). */
export function Card({ title, lead, actions, flush, class: extra, children, ...rest }) {
  return html`<section class=${cls("card", flush && "card-flush", extra)} ...${rest}>
    ${(title || actions) && html`<div class="card-head"><div class="card-titles">${title && html`<h2 class="card-title">${title}</h2>`}${lead && html`<p class="card-lead">${lead}</p>`}</div>${actions && html`<div class="card-actions">${actions}</div>`}</div>`}
    <div class="card-body">${children}</div>
  </section>`;
}

/** Two to eight Kpi side by side in one card. */
export const KpiStrip = ({ label, children }) => html`<dl class="kpis card" aria-label=${label}>${children}</dl>`;

/** A headline number: `label`, `value`, a line `note` under it. `loading` shows a skeleton in the value's place. */
export function Kpi({ label, value, note, title, tone, loading }) {
  return html`<div class="kpi">
    <dt class="kpi-label">${label}</dt>
    <dd class=${cls("kpi-value", tone && `tone-${tone}`)} title=${title}>${loading ? html`<span class="skeleton skeleton-value"></span>` : value}</dd>
    <dd class="kpi-note">${loading ? html`<span class="skeleton skeleton-note"></span>` : note}</dd>
  </div>`;
}

/** Names and values under each other: `items` `[{label, value}]`, null left out. */
export const Facts = ({ items }) =>
  html`<dl class="facts">${items.filter(Boolean).map((item) => html`<div key=${item.label} class="fact"><dt>${item.label}</dt><dd>${item.value}</dd></div>`)}</dl>`;

/** A share from 0 to 1 as a bar; `label` says it in words. From `high` on it turns to a warning; null: never. */
export function Meter({ share, label, high = 0.8 }) {
  const width = Math.max(0, Math.min(1, share ?? 0));
  return html`<span class=${cls("meter", high !== null && (width >= 1 ? "meter-full" : width >= high && "meter-high"))} role="img" aria-label=${label} title=${label}><span class="meter-bar" style=${{ width: `${width * 100}%` }}></span></span>`;
}
