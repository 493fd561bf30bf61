// Tables: a frame that scrolls sideways (focusable and named), sorting, and what stands there when there are no rows.
import { t } from "../i18n.js";
import { navigate } from "../router.js";
import { Fragment, cls, html, useState } from "../ui.js";
import { Button } from "./button.js";
import { Empty, ErrorNote } from "./feedback.js";
import { Icon } from "./icon.js";

const compare = (a, b) => {
  if (a == null || b == null) return a == null ? (b == null ? 0 : 1) : -1; // unknown goes last
  return typeof a === "string" ? a.localeCompare(b) : a < b ? -1 : a > b ? 1 : 0;
};

/**
 * `label` names the table. `columns`: `[{id, label, cell(row), align: "end"?, sort(row)?, wide?, quiet?, hidden?}]`.
 * `rows` is null while nothing is known; `state` is what useApi or usePages returned (error, slow, reload, more, loadMore).
 * `rowKey(row)`; `rowHref(row)` or `onRow(row)` make a row clickable (keep a link or button in a cell for keyboards);
 * `empty` is shown for no rows; `foot` is an extra row of cells; `noteAfter(row)` is a text across the table under a row.
 */
export function Table({ label, columns, rows, state = {}, rowKey = (row) => row.id, rowHref, onRow, empty, foot, isSelected, noteAfter }) {
  const [order, setOrder] = useState(null);
  const shown = columns.filter((column) => !column.hidden);
  const sorter = order && shown.find((column) => column.id === order.id)?.sort;
  const list = sorter && rows ? [...rows].sort((a, b) => compare(sorter(a), sorter(b)) * (order.down ? -1 : 1)) : rows;

  if (state.error && !rows) return html`<div class="table-note"><${ErrorNote} error=${state.error} retry=${state.reload} /></div>`;
  // No rows so far are not no rows: the server may have more to look through.
  if (rows && rows.length === 0 && empty !== undefined && !state.more) return html`${empty ?? html`<${Empty} title=${t("table.nothing")} />`}`;

  const onClick = (event, row) => {
    if (event.target.closest("a,button,input,select,label,[role^=menu]") || getSelection()?.toString()) return;
    if (onRow) onRow(row);
    else navigate(rowHref(row), { keepScroll: true });
  };
  const turn = (column) => setOrder((old) => (old?.id !== column.id ? { id: column.id, down: Boolean(column.align) } : old.down === Boolean(column.align) ? { id: column.id, down: !old.down } : null));
  const clickable = Boolean(rowHref || onRow);
  return html`<div class="table-frame" tabindex="0" role="region" aria-label=${label}>
      <table class="table" aria-busy=${state.loading ? "true" : undefined}>
        <thead><tr>${shown.map(
          (column) => html`<th key=${column.id} scope="col" class=${cls(column.align && "end")} aria-sort=${order?.id === column.id ? (order.down ? "descending" : "ascending") : undefined}>
            ${column.sort ? html`<button class="table-sort" type="button" onClick=${() => turn(column)}>${column.label}<${Icon} name=${order?.id === column.id && !order.down ? "arrow-up" : "arrow-down"} size=${12} /></button>` : column.srOnly ? html`<span class="visually-hidden">${column.label}</span>` : column.label}
          </th>`,
        )}</tr></thead>
        <tbody>
          ${rows?.length === 0 && html`<tr><td class="table-between" colspan=${shown.length}>${t("table.nothing_so_far")}</td></tr>`}
          ${list?.map(
            (row) => html`<${Fragment} key=${rowKey(row)}><tr class=${cls(clickable && "row-link", isSelected?.(row) && "row-on")} onClick=${clickable ? (event) => onClick(event, row) : undefined}>
              ${shown.map((column) => html`<td key=${column.id} class=${cls(column.align && "end number", column.quiet && "quiet", column.wide && "wide")}>${column.cell(row) ?? html`<span class="faint">—</span>`}</td>`)}
            </tr>${noteAfter?.(row) && html`<tr><td class="table-between" colspan=${shown.length}>${noteAfter(row)}</td></tr>`}<//>`,
          )}
          ${!rows && Array.from({ length: 6 }, (_, i) => html`<tr key=${`s${i}`}>${shown.map((column) => html`<td key=${column.id}>${state.slow && html`<span class="skeleton"></span>`}</td>`)}</tr>`)}
        </tbody>
        ${foot && rows?.length ? html`<tfoot><tr>${shown.map((column) => html`<td key=${column.id} class=${cls(column.align && "end number")}>${foot[column.id]}</td>`)}</tr></tfoot>` : null}
      </table>
    </div>
    ${state.error && html`<div class="table-note"><${ErrorNote} error=${state.error} retry=${state.reload} /></div>`}
    ${state.more && html`<${LoadMore} state=${state} />`}`;
}

/** A button under a list for its next page. `state` is what usePages returned. */
export const LoadMore = ({ state }) => html`<div class="table-more"><${Button} kind="ghost" busy=${state.loading} onClick=${state.loadMore}>${t("table.more")}<//></div>`;
