// Values as people read them. Everything that is unknown is a dash, never a zero.
import { lang, locale } from "./i18n.js";
import { fixed, parse } from "./money.js";
import { site } from "./site.js";

export const NONE = "—";

const caches = new Map();
function formatter(kind, options) {
  const key = kind.name + locale() + JSON.stringify(options);
  if (!caches.has(key)) caches.set(key, new kind(locale(), options));
  return caches.get(key);
}

const group = (digits) => digits.replace(/\B(?=(\d{3})+(?!\d))/g, ",");

/** The site's currency sign, or its code and a narrow space where there is no sign. */
export function currencySign() {
  const code = site.value?.currency ?? "";
  try {
    const part = new Intl.NumberFormat("en", { style: "currency", currency: code, currencyDisplay: "narrowSymbol" })
      .formatToParts(0)
      .find((piece) => piece.type === "currency").value;
    return part.length > 1 && part === code ? `${code}\u202f` : part;
  } catch {
    return code ? `${code}\u202f` : ""; // a unit that is no currency, such as "credits"
  }
}

function signed(text) {
  const negative = text.startsWith("-");
  const [whole, fraction] = (negative ? text.slice(1) : text).split(".");
  return `${negative ? "\u2212" : ""}${currencySign()}${group(whole)}${fraction ? `.${fraction}` : ""}`;
}

/** A balance or a sum: two decimals, more only when the amount would vanish. */
export function money(text) {
  const value = parse(text);
  if (!value) return NONE;
  const small = value.units !== 0n && Number(text) > -0.01 && Number(text) < 0.01;
  return signed(small ? fixed(text, decimalsFor(text)) : fixed(text, 2));
}

/** What one request costs: four decimals, more only when the amount would vanish. */
export function cost(text) {
  const value = parse(text);
  if (!value) return NONE;
  return signed(fixed(text, value.units === 0n ? 4 : Math.max(4, decimalsFor(text))));
}

/** Every digit that the books hold, and two decimals at least: it is money. */
export function exact(text) {
  const value = parse(text);
  return value ? signed(fixed(text, Math.max(2, value.scale))) : NONE;
}

/** An exact amount with its sign always shown, for ledgers. */
export const movement = (text) => (parse(text) ? (String(text).startsWith("-") ? exact(text) : `+${exact(text)}`) : NONE);

// Two digits that count, at most nine decimals, as many as the books have.
const decimalsFor = (text) => {
  const size = Math.abs(Number(text));
  return size >= 1 ? 2 : Math.min(9, Math.max(2, Math.ceil(-Math.log10(size)) + 1));
};

export const count = (n) => (n == null ? NONE : formatter(Intl.NumberFormat, {}).format(n));
/** 12,345 as it is, 1,234,567 as 1.2M. */
export const compact = (n) =>
  n == null ? NONE : Math.abs(n) < 100_000 ? count(n) : formatter(Intl.NumberFormat, { notation: "compact", maximumFractionDigits: 1 }).format(n);
/** A share from 0 to 1. Not rounded up to 100 % while anything is missing. */
export function percent(share, digits = 2) {
  if (share == null || !Number.isFinite(share)) return NONE;
  const shown = share < 1 && share > 1 - 0.5 / 10 ** (digits + 2) ? 1 - 1 / 10 ** (digits + 2) : share;
  return formatter(Intl.NumberFormat, { style: "percent", maximumFractionDigits: digits }).format(shown);
}

/** Milliseconds: 212 ms, 2.4 s, 1 m 05 s. `digits` are the decimals of seconds. */
export function duration(ms, digits = 1) {
  if (ms == null) return NONE;
  if (ms < 1000) return `${Math.round(ms)} ms`;
  if (ms < 59_950) return `${(ms / 1000).toFixed(digits)} s`;
  const seconds = Math.round(ms / 1000);
  if (seconds < 3600) return `${Math.floor(seconds / 60)} m ${String(seconds % 60).padStart(2, "0")} s`;
  if (seconds < 86_400) return `${Math.floor(seconds / 3600)} h ${String(Math.floor((seconds % 3600) / 60)).padStart(2, "0")} m`;
  return `${Math.floor(seconds / 86_400)} d ${Math.floor((seconds % 86_400) / 3600)} h`;
}

export function bytes(n) {
  if (n == null) return NONE;
  let [value, unit] = [n, 0];
  while (value >= 1024 && unit < 4) [value, unit] = [value / 1024, unit + 1];
  return `${unit ? value.toFixed(1) : value} ${["B", "KiB", "MiB", "GiB", "TiB"][unit]}`;
}

const STYLES = {
  time: { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" },
  minute: { hour: "2-digit", minute: "2-digit", hourCycle: "h23" },
  date: { year: "numeric", month: "short", day: "numeric" },
  day: { month: "short", day: "numeric" },
  utcday: { month: "short", day: "numeric", timeZone: "UTC" },
  short: { month: "short", day: "numeric", hour: "2-digit", minute: "2-digit", hourCycle: "h23" },
  datetime: { year: "numeric", month: "short", day: "numeric", hour: "2-digit", minute: "2-digit", hourCycle: "h23" },
  full: { year: "numeric", month: "short", day: "numeric", hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" },
};

/** A moment in the viewer's zone: "time", "minute", "short", "day", "utcday", "date", "datetime", "full", "log" or "relative". */
export function moment(at, style = "datetime") {
  if (at == null) return NONE;
  const date = new Date(at);
  if (Number.isNaN(date.getTime())) return NONE;
  if (style === "relative") return relative(date);
  // In a list, today's rows need no date and older ones do.
  if (style === "log") style = date.toDateString() === new Date().toDateString() ? "time" : "logdate";
  if (style === "logdate") return `${moment(at, "day")} ${moment(at, "time")}`;
  return formatter(Intl.DateTimeFormat, STYLES[style]).format(date);
}

/** When a bucket of a chart begins. Days are the books' own, which are days of UTC wherever the reader is. */
export const bucketMoment = (at, bucketS, style = "short") => moment(at, bucketS >= 86_400 ? "utcday" : style);

/** The same moment in UTC, for the hover. */
export const utc = (at) => {
  const date = new Date(at);
  return Number.isNaN(date.getTime()) ? "" : `${date.toISOString().replace("T", " ").replace(/\.\d+Z$/, "")} UTC`;
};

function relative(date) {
  const seconds = (date.getTime() - Date.now()) / 1000;
  const size = Math.abs(seconds);
  const [value, unit] =
    size < 60 ? [seconds, "second"] : size < 3600 ? [seconds / 60, "minute"] : size < 86_400 ? [seconds / 3600, "hour"] : size < 86_400 * 45 ? [seconds / 86_400, "day"] : [seconds / 2_629_800, "month"];
  if (size < 45) return lang.value === "zh" ? (seconds <= 0 ? "刚刚" : "即将") : seconds <= 0 ? "just now" : "in a moment";
  return formatter(Intl.RelativeTimeFormat, { numeric: "auto", style: "long" }).format(Math.trunc(value), unit);
}
