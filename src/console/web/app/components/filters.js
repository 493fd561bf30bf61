// Filters over a list, kept in the address: a reload, a bookmark and the back button all keep them.
import { t } from "../i18n.js";
import { current, setQuery } from "../router.js";
import { html, useEffect, useRef, useState } from "../ui.js";
import { Button } from "./button.js";
import { Input, Select } from "./field.js";

/**
 * `filters`: `[{name, label, type: "search" | "select" | "text" | "date", options?: [{value, label}], placeholder?}]`.
 * A select's first choice is "any" unless its options hold a value "". `children` stand at the end (exports, switches).
 */
export function FilterBar({ filters, label, children }) {
  const { query } = current.value;
  const active = filters.some((filter) => query[filter.name]);
  return html`<div class="filters" role="search" aria-label=${label ?? t("filter.label")}>
    ${filters.map((filter) =>
      filter.type === "select"
        ? html`<${Select} key=${filter.name} class="filter" aria-label=${filter.label} value=${query[filter.name] ?? ""}
            options=${[...(filter.options.some((option) => option.value === "") ? [] : [{ value: "", label: t("filter.any", { name: filter.label }) }]), ...missing(filter, query), ...filter.options]}
            onChange=${(value) => setQuery({ [filter.name]: value }, { replace: false })} />`
        : html`<${Typed} key=${filter.name} filter=${filter} value=${query[filter.name] ?? ""} />`,
    )}
    ${active && html`<${Button} kind="ghost" icon="x" onClick=${() => setQuery(Object.fromEntries(filters.map((filter) => [filter.name, null])), { replace: false })}>${t("filter.clear")}<//>`}
    ${children && html`<span class="filters-end">${children}</span>`}
  </div>`;
}

// A value from the address that is not among the choices is still shown, else the list would be filtered invisibly.
const missing = (filter, query) => {
  const value = query[filter.name];
  return value && !filter.options.some((option) => option.value === value) ? [{ value, label: value }] : [];
};

// Typing waits a moment before it becomes part of the address and asks the server.
function Typed({ filter, value }) {
  const [text, setText] = useState(value);
  const timer = useRef(0);
  useEffect(() => setText(value), [value]);
  useEffect(() => () => clearTimeout(timer.current), []);
  const change = (next) => {
    setText(next);
    clearTimeout(timer.current);
    timer.current = setTimeout(() => setQuery({ [filter.name]: next.trim() }), filter.type === "date" ? 0 : 250);
  };
  const search = filter.type === "search";
  // A browser shows an empty date as its own mask, never our placeholder: the name must stand beside it.
  if (filter.type === "date") return html`<label class="filter filter-date"><span>${filter.label}</span><${Input} type="date" value=${text} onChange=${change} /></label>`;
  return html`<span class=${search ? "filter filter-search" : "filter"}><${Input} type=${search ? "search" : (filter.type ?? "text")} icon=${search ? "search" : undefined} value=${text} onChange=${change} aria-label=${filter.label} placeholder=${filter.placeholder ?? filter.label} data-filter=${search ? "" : undefined} /></span>`;
}
