// Decimal strings, exactly: amounts never become floating point numbers on their way to a sum or a label.

const FORM = /^(-?)(\d+)(?:\.(\d+))?$/;

/** `{units, scale}` with value = units / 10^scale, or null for what is not a plain decimal. */
export function parse(text) {
  // Amounts come from outside, and a whole number of a million digits would hold the page up.
  const match = String(text ?? "").length <= 64 && FORM.exec(String(text ?? ""));
  if (!match) return null;
  const [, sign, whole, fraction = ""] = match;
  const units = BigInt(whole + fraction);
  return { units: sign ? -units : units, scale: fraction.length };
}

const at = (value, scale) => value.units * 10n ** BigInt(scale - value.scale);

function write(units, scale) {
  const negative = units < 0n;
  const digits = (negative ? -units : units).toString().padStart(scale + 1, "0");
  const whole = digits.slice(0, digits.length - scale);
  const fraction = scale ? digits.slice(-scale).replace(/0+$/, "") : "";
  const text = fraction ? `${whole}.${fraction}` : whole;
  return negative && text !== "0" ? `-${text}` : text;
}

const pair = (a, b, f) => {
  const [x, y] = [parse(a), parse(b)];
  if (!x || !y) return null;
  const scale = Math.max(x.scale, y.scale);
  return f(at(x, scale), at(y, scale), scale);
};

export const add = (a, b) => pair(a, b, (x, y, scale) => write(x + y, scale));
export const subtract = (a, b) => pair(a, b, (x, y, scale) => write(x - y, scale));
export const compare = (a, b) => pair(a, b, (x, y) => (x < y ? -1 : x > y ? 1 : 0));
export const sum = (values) => values.reduce((total, value) => add(total, value) ?? total, "0");
export function multiply(a, b) {
  const [x, y] = [parse(a), parse(b)];
  return x && y ? write(x.units * y.units, x.scale + y.scale) : null;
}
/** The smallest amount of so many decimals that is not below: how the gateway rounds a charge. */
export function ceiling(text, decimals) {
  const value = parse(text);
  if (!value) return null;
  if (value.scale <= decimals) return write(value.units, value.scale);
  const step = 10n ** BigInt(value.scale - decimals);
  const below = value.units / step;
  return write(value.units > 0n && value.units % step !== 0n ? below + 1n : below, decimals);
}
export const isZero = (text) => parse(text)?.units === 0n;
export const isNegative = (text) => (parse(text)?.units ?? 0n) < 0n;

/** a / b as a number, for bars and percentages only; null when there is nothing to divide by. */
export const ratio = (a, b) =>
  pair(a, b, (x, y) => (y === 0n ? null : Number((x * 1_000_000n) / y) / 1_000_000));

/** Rounded half away from zero to so many decimals, which are kept: "0.5" at 2 is "0.50". */
export function fixed(text, decimals) {
  const value = parse(text);
  if (!value) return null;
  let { units } = value;
  if (value.scale > decimals) {
    const step = 10n ** BigInt(value.scale - decimals);
    const half = step / 2n;
    units = (units < 0n ? units - half : units + half) / step;
  } else units *= 10n ** BigInt(decimals - value.scale);
  const negative = units < 0n;
  const digits = (negative ? -units : units).toString().padStart(decimals + 1, "0");
  const whole = digits.slice(0, digits.length - decimals);
  return (negative ? "-" : "") + (decimals ? `${whole}.${digits.slice(-decimals)}` : whole);
}

/** For pixels only: how high a bar is. */
export const pixels = (text) => Number(text) || 0;
