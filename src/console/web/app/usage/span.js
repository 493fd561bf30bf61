/**
 * Which days a usage page covers. The gateway's daily totals are days of UTC, so these are too.
 */
const DAY_MS = 86_400_000;
const LENGTHS = { "7d": 7, "30d": 30, "90d": 90 };
const DAYS_MAX = 366;

/** @param {{range?: string, from?: string, to?: string}} query @param {Date} now @returns {{from: string, to: string}} both inclusive */
export function span(query, now) {
  const today = now.toISOString().slice(0, 10);
  const to = isDay(query.to) && query.to < today ? query.to : today;
  if (isDay(query.from)) {
    // A hand-written address could ask for more days than a chart can draw.
    const earliest = before(to, DAYS_MAX - 1);
    return { from: query.from > to ? to : query.from < earliest ? earliest : query.from, to };
  }
  if (query.range === "month" && !query.to) return { from: `${today.slice(0, 8)}01`, to };
  return { from: before(to, (LENGTHS[query.range] ?? 30) - 1), to };
}

export const dayAfter = (day) => before(day, -1);

const before = (day, days) => new Date(Date.parse(`${day}T00:00:00Z`) - days * DAY_MS).toISOString().slice(0, 10);

const isDay = (text) => /^\d{4}-\d\d-\d\d$/.test(text ?? "") && !Number.isNaN(Date.parse(`${text}T00:00:00Z`));
