/**
 * Exact arithmetic with decimal texts, for money.
 *
 * The server writes amounts as decimal strings because a binary float cannot hold them. Sums and products made here stay
 * exact: a whole number in a `BigInt` and how many of its digits are decimals.
 */

/** @typedef {{units: bigint, decimals: number}} Decimal */

export const ZERO = { units: 0n, decimals: 0 };

/** @param {string} text digits, optionally a minus before and a point inside @returns {Decimal|null} `null` if it is none */
export function decimal(text) {
  // The length is bounded because `BigInt` takes quadratic time, and the text is somebody else's.
  const parts = typeof text === "string" && text.length <= 64 ? /^(-?)(\d+)(?:\.(\d+))?$/.exec(text) : null;
  if (!parts) return null;
  const fraction = parts[3] ?? "";
  const units = BigInt(parts[2] + fraction);
  return { units: parts[1] ? -units : units, decimals: fraction.length };
}

export function plus(a, b) {
  const decimals = Math.max(a.decimals, b.decimals);
  return { units: scaled(a, decimals) + scaled(b, decimals), decimals };
}

export function minus(a, b) {
  return plus(a, { units: -b.units, decimals: b.decimals });
}

export function times(a, b) {
  return { units: a.units * b.units, decimals: a.decimals + b.decimals };
}

/** Negative, zero or positive, as `a` is to `b`. */
export function compare(a, b) {
  const { units } = minus(a, b);
  return units < 0n ? -1 : units > 0n ? 1 : 0;
}

/** The smallest decimal of so many places that is not below `a`: how the gateway rounds a charge. */
export function ceiling(a, decimals) {
  if (a.decimals <= decimals) return a;
  const step = 10n ** BigInt(a.decimals - decimals);
  const below = a.units / step;
  return { units: a.units > 0n && a.units % step !== 0n ? below + 1n : below, decimals };
}

/** @param {Decimal} a @returns {string} without trailing zeros, as the server writes it */
export function text(a) {
  const digits = (a.units < 0n ? -a.units : a.units).toString().padStart(a.decimals + 1, "0");
  const whole = digits.slice(0, digits.length - a.decimals);
  const fraction = digits.slice(digits.length - a.decimals).replace(/0+$/, "");
  const sign = a.units < 0n ? "-" : "";
  return `${sign}${whole}${fraction === "" ? "" : `.${fraction}`}`;
}

/** The sum of decimal texts. `null` if one of them is no decimal: a sum with a hole is no sum. */
export function sum(texts) {
  let total = ZERO;
  for (const item of texts) {
    const value = decimal(item);
    if (!value) return null;
    total = plus(total, value);
  }
  return text(total);
}

/** For the height of a bar or a line only, never to be shown as a number. */
export function approximate(amount) {
  return typeof amount === "string" && decimal(amount) ? Number(amount) : 0;
}

function scaled(a, decimals) {
  return a.units * 10n ** BigInt(decimals - a.decimals);
}
