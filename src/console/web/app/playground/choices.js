/**
 * What can be chosen: the person's keys, and the models that the chosen key may use.
 *
 * The models come from the gateway itself with that key, so the list is what a client with it would see.
 */
import { get } from "../api.js";
import { has, t } from "../i18n.js";
import { account, isOperator, me } from "../session.js";
import { effect, signal } from "../ui.js";
import { looksLikeKey, modelsOf } from "./call.js";
import { chosen, forget, key, keyId, mode, pastedKey } from "./chat.js";

export const PASTE = "paste";

const keys = signal([]);
const models = signal([]);
/** Whether the models of the chosen key are on their way: an empty list says nothing yet. */
export const asking = signal(false);
/** Why the chosen key cannot be used, in words, or "". */
export const keyFault = signal("");

export const keyOptions = () => [...keys.value.map((one) => ({ value: one.id, label: `${one.name} · ${one.prefix}` })), { value: PASTE, label: t("playground.paste") }];

/** The chosen mode's models first. */
export function modelOptions() {
  const fits = (model) => (model.purpose === mode.value ? 0 : 1);
  return [...models.value].sort((a, b) => fits(a) - fits(b) || a.id.localeCompare(b.id)).map(({ id }) => ({ value: id, label: id }));
}

const modelsFor = (purpose) => models.value.filter((model) => model.purpose === purpose).map((model) => model.id).sort();

/** Fetches the keys of whoever is signed in, and takes what the address asks for (`?key=…&model=…`). */
export async function loadChoices(query) {
  if (!me.peek()) return;
  const own = account.peek()?.id;
  try {
    const page = await get("/api/keys", { query: { account: isOperator.peek() ? own : null, limit: 200 } });
    keys.value = page.data.filter((one) => one.status === "active");
  } catch {
    // A pasted key still works; the field for it shows because there is nothing else to choose.
    keys.value = [];
  }
  if (query.key && keys.value.every((one) => one.id !== query.key)) query = { ...query, key: null };
  if (query.model) chosen.value = [query.model, chosen.peek()[1]];
  if (query.key || (!keyId.peek() && !pastedKey.peek())) keyId.value = query.key ?? keys.value[0]?.id ?? null;
}

export function chooseKey(value) {
  keyId.value = value === PASTE ? null : value;
}

export function chooseModel(side, model) {
  chosen.value = chosen.peek().map((old, index) => (index === side ? model : old));
}

/** A key is long; asking starts when the typing has stopped. */
export function pasteText(text) {
  pastedKey.value = text.trim();
}

// Another key: ask for its models, a moment after the last change.
effect(() => {
  const payer = key.value;
  keyFault.value = "";
  models.value = [];
  asking.value = false;
  if (!payer) return undefined;
  if ("pasted" in payer && !looksLikeKey(payer.pasted)) {
    keyFault.value = t("playground.key_fault.form");
    return undefined;
  }
  asking.value = true;
  const abort = new AbortController();
  const timer = setTimeout(() => ask(payer, abort.signal), "pasted" in payer ? 400 : 0);
  return () => {
    clearTimeout(timer);
    abort.abort();
  };
});

async function ask(payer, abort) {
  try {
    models.value = await modelsOf(payer, abort);
    asking.value = false;
  } catch (error) {
    if (abort.aborted) return;
    asking.value = false;
    keyFault.value = has(`playground.error.${error.code}`) ? t(`playground.error.${error.code}`) : error.message || t("playground.error.other");
  }
}

// A model that the key may not use, or that is for something else, gives way to one that fits.
effect(() => {
  const list = modelOptions().map((option) => option.value);
  if (list.length === 0) return;
  const fitting = modelsFor(mode.value);
  const now = chosen.peek();
  const keep = (id) => list.includes(id) && (fitting.length === 0 || fitting.includes(id));
  const first = keep(now[0]) ? now[0] : (fitting[0] ?? list[0]);
  const second = keep(now[1]) ? now[1] : (fitting.find((id) => id !== first) ?? first);
  chosen.value = [first, second];
});

let seated = me.peek()?.person?.id;
effect(() => {
  const now = me.value?.person?.id;
  if (now === seated) return;
  if (seated !== undefined) forget();
  seated = now;
});
