// Values in running text: money, moments and ids, each with its full truth on hover.
import { cost, exact, moment, money, utc } from "../format.js";
import { cls, html } from "../ui.js";
import { CopyButton } from "./copy.js";

/** An amount; `fine` for what single requests cost. The exact amount is in the title. */
export const Money = ({ value, fine }) => html`<span class="number" title=${value == null ? undefined : exact(value)}>${fine ? cost(value) : money(value)}</span>`;

/** A moment in the viewer's zone, UTC on hover; `style` as in format.moment. */
export const Moment = ({ at, style }) => (at == null ? html`<span class="faint">—</span>` : html`<time class="number" datetime=${at} title=${utc(at)}>${moment(at, style)}</time>`);

/** An identifier in fixed width, with a button to copy it. `short` shows its ending only. */
export const Id = ({ value, short, label }) =>
  value == null ? html`<span class="faint">—</span>` : html`<span class="id"><code class=${cls("mono", short && "id-short")} title=${value}>${value}</code><${CopyButton} text=${value} label=${label} small /></span>`;
