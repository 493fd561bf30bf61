/**
 * Lists that come in parts. A part may be short, even empty, and not the last: a filter that matches little is searched
 * for in many calls.
 */

/** How many parts in a row may be empty before the reader decides whether to look further. */
export const EMPTY_PARTS_MAX = 10;

/**
 * The first part with rows in it, from `after` on; else the last one that was asked for.
 *
 * @template T @param {(after: string|null) => Promise<{data: T[], next: string|null}>} fetchPart @param {string|null} after
 */
export async function readOn(fetchPart, after) {
  let part = await fetchPart(after);
  for (let asked = 1; asked < EMPTY_PARTS_MAX && part.data.length === 0 && part.next; asked += 1) part = await fetchPart(part.next);
  return part;
}

/** In how many parts newly arrived rows are looked for before a gap is left. */
export const FRESH_PARTS_MAX = 4;

/**
 * The rows above those that are known, newest first. `gap`: so many came at once that those between are missing.
 *
 * @template {{id: string}} T @param {(after: string|null) => Promise<{data: T[], next: string|null}>} fetchPart
 * @param {Set<string>} known @returns {Promise<{rows: T[], gap: boolean}>}
 */
export async function freshRows(fetchPart, known) {
  const rows = [];
  let after = null;
  for (let asked = 0; asked < FRESH_PARTS_MAX; asked += 1) {
    const part = await fetchPart(after);
    const fresh = part.data.filter((row) => !known.has(row.id));
    rows.push(...fresh);
    after = part.next;
    if (fresh.length < part.data.length || after === null) return { rows, gap: false };
  }
  return { rows, gap: rows.length > 0 };
}
