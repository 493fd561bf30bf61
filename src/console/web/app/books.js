/**
 * What the pages work out about money for themselves: that a bill adds up, and how a balance came to be.
 *
 * A customer should be able to check a charge without trusting the sum that is printed under it.
 */
import { add, ceiling, compare, multiply, parse, subtract, sum } from "./money.js";

/**
 * Adds a bill up again: the lines, times the markup, rounded up once to nine decimals, is what was charged.
 *
 * @param {{markup: string, lines: {amount: string}[], list_total: string, total: string}} bill
 * @param {string} charge what the request's record says
 * @returns {{sum: string|null, proved: boolean}} `sum` is null where a line is no amount: a sum with a hole is no sum
 */
export function provedBill(bill, charge) {
  if (!bill.lines.every((line) => parse(line.amount))) return { sum: null, proved: false };
  const added = sum(bill.lines.map((line) => line.amount));
  const expected = ceiling(multiply(added, bill.markup), 9);
  return { sum: added, proved: compare(expected, bill.total) === 0 && compare(bill.total, charge) === 0 };
}

/**
 * The balance at the beginning of each bucket, and now: reckoned backwards from today's, exactly.
 *
 * @param {string} balance now
 * @param {string[]} at when each bucket begins, oldest first (RFC 3339)
 * @param {string[]} charges what each bucket was charged, positive
 * @param {{amount: string, at: string}[]} entries the ledger's other movements, signed, in any order
 * @returns {string[]} one more than there are buckets; empty if an amount is no decimal
 */
export function balanceOverTime(balance, at, charges, entries) {
  if (![balance, ...charges, ...entries.map((entry) => entry.amount)].every(parse)) return [];
  const movements = entries.map((entry) => ({ amount: entry.amount, at: Date.parse(entry.at) })).sort((a, b) => b.at - a.at);
  const points = [balance];
  let left = balance;
  let next = 0;
  for (let bucket = at.length - 1; bucket >= 0; bucket -= 1) {
    const begins = Date.parse(at[bucket]);
    for (; next < movements.length && movements[next].at >= begins; next += 1) left = subtract(left, movements[next].amount);
    left = add(left, charges[bucket] ?? "0");
    points.unshift(left);
  }
  return points;
}

/** A redeem code as the server keeps it, from however somebody typed it; `null` while it cannot be one. */
export function redeemCode(typed) {
  const letters = typed.toUpperCase().replace(/[^0-9A-Z]/g, "").replace(/^TG(?=.{20}$)/, "");
  const code = letters.replaceAll("O", "0").replace(/[IL]/g, "1");
  return /^[0-9A-HJKMNP-TV-Z]{20}$/.test(code) ? `TG-${code.match(/.{5}/g).join("-")}` : null;
}
