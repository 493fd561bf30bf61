// Chips: a state as a word and a colour, never as a colour alone.
import { t, word } from "../i18n.js";
import { cls, html } from "../ui.js";

/** `tone`: "ok" | "warn" | "bad" | "info" | "none". `dot` false leaves the dot out. */
export const Chip = ({ tone = "none", dot = true, title, children }) =>
  html`<span class=${cls("chip", `chip-${tone}`)} title=${title}>${dot && html`<span class="chip-dot" aria-hidden="true"></span>`}<span>${children}</span></span>`;

const TONES = {
  key: { active: "ok", disabled: "none", expired: "warn", exhausted: "warn" },
  account: { active: "ok", suspended: "bad" },
  person: { active: "ok", disabled: "none" },
  invitation: { open: "info", used: "ok", expired: "warn", revoked: "none" },
  code: { open: "info", redeemed: "ok", expired: "warn", void: "none" },
  breaker: { closed: "ok", half_open: "warn", open: "bad" },
};

/** The chip of a known state: `kind` is one of the tables above, `value` the server's word. */
export const State = ({ kind, value }) => html`<${Chip} tone=${TONES[kind]?.[value] ?? "none"}>${word(`state.${kind}`, value)}<//>`;

/** What a key is in truth: the server says active or disabled, time and budget say the rest. */
export function keyState(key, now = Date.now()) {
  if (key.status !== "active") return key.status;
  if (key.expires_at && new Date(key.expires_at).getTime() <= now) return "expired";
  return "active";
}

/** How a request ended, with its HTTP status. */
export function RequestState({ request }) {
  const { outcome, status } = request;
  let [tone, key] = ["bad", outcome];
  if (outcome === "ok") tone = "ok";
  else if (outcome === "client_gone" || outcome === "interrupted") tone = "warn";
  else if (outcome === "refused" || outcome === "rejected") {
    tone = "warn";
    if (status === 429) key = "rate_limited";
    else if (status === 402) key = "no_balance";
    else if (status === 401 || status === 403) key = "not_allowed";
  }
  return html`<${Chip} tone=${tone} title=${t("state.request.title", { outcome, status: status ?? "—" })}>${word("state.request", key)}${status ? html` <span class="chip-code">${status}</span>` : null}<//>`;
}
