// Which columns a table shows: chosen by its reader, remembered by the browser.
import { Checkbox } from "../components/field.js";
import { Icon } from "../components/icon.js";
import { t } from "../i18n.js";
import { recall, remember } from "../preferences.js";
import { html, useEffect, useRef, useState } from "../ui.js";

/** `[shown, choose]`: a Set of column ids, and how to change it. Columns that are `first` show until somebody chooses. */
export function useColumns(name, columns) {
  const memory = `tollgate_columns_${name}`;
  const [chosen, setChosen] = useState(() => recall(memory)?.split(",") ?? null);
  const shown = new Set(chosen ?? columns.filter((column) => column.first).map((column) => column.id));
  for (const column of columns) if (column.fixed) shown.add(column.id);
  const choose = (ids) => {
    setChosen(ids);
    remember(memory, ids?.join(",") ?? null);
  };
  return [shown, choose];
}

export function ColumnPicker({ columns, shown, onChange }) {
  const box = useRef(null);
  useEffect(() => {
    const away = (event) => !box.current?.contains(event.target) && (box.current.open = false);
    addEventListener("pointerdown", away);
    return () => removeEventListener("pointerdown", away);
  }, []);
  const onKeyDown = (event) => {
    if (event.key !== "Escape" || !box.current.open) return;
    event.preventDefault();
    box.current.open = false;
    box.current.querySelector("summary").focus();
  };
  const toggle = (id, on) => onChange(columns.map((column) => column.id).filter((one) => (one === id ? on : shown.has(one))));
  return html`<details class="picker" ref=${box} onKeyDown=${onKeyDown}>
    <summary class="button button-plain"><${Icon} name="columns-3" /><span class="button-label">${t("requests.columns")}</span></summary>
    <div class="picker-list" role="group" aria-label=${t("requests.columns")}>
      ${columns.filter((column) => !column.fixed).map((column) => html`<${Checkbox} key=${column.id} checked=${shown.has(column.id)} onChange=${(on) => toggle(column.id, on)} label=${column.label} />`)}
      <button class="button button-ghost button-small" type="button" onClick=${() => onChange(null)}>${t("requests.columns.reset")}</button>
    </div>
  </details>`;
}
