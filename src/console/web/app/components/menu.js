// A button that opens a short list of actions.
import { html, useEffect, useId, useRef, useState } from "../ui.js";
import { Icon } from "./icon.js";

/**
 * `items`: `[{label, icon, href | onSelect, danger, checked}]`, null for a line between. `button(props)` draws what opens it
 * and must spread the props; `up` opens upwards, `end` aligns at the right.
 */
export function Menu({ items, button, label, up, end }) {
  const [open, setOpen] = useState(false);
  const [place, setPlace] = useState({});
  const root = useRef(null);
  const list = useRef(null);
  const id = useId();
  useEffect(() => {
    if (!open) return undefined;
    list.current.querySelector("[role^=menuitem]")?.focus();
    const away = (event) => !root.current?.contains(event.target) && setOpen(false);
    const shut = () => setOpen(false);
    addEventListener("pointerdown", away);
    addEventListener("resize", shut);
    addEventListener("scroll", shut, true);
    return () => {
      removeEventListener("pointerdown", away);
      removeEventListener("resize", shut);
      removeEventListener("scroll", shut, true);
    };
  }, [open]);
  const toggle = (event) => {
    event.stopPropagation();
    // Fixed to the window: a table's scrolling frame would cut an absolute list off.
    const box = event.currentTarget.getBoundingClientRect();
    const above = up || box.bottom + 40 * items.length > innerHeight;
    setPlace({
      ...(above ? { bottom: `${innerHeight - box.top + 6}px` } : { top: `${box.bottom + 6}px` }),
      ...(end ? { right: `${innerWidth - box.right}px` } : { left: `${box.left}px` }),
      minWidth: up ? `${box.width}px` : undefined,
    });
    setOpen(!open);
  };
  const onKeyDown = (event) => {
    if (!open) return;
    const all = [...list.current.querySelectorAll("[role^=menuitem]")];
    const at = all.indexOf(document.activeElement);
    const move = { ArrowDown: at + 1, ArrowUp: at - 1 + all.length, Home: 0, End: all.length - 1 }[event.key];
    if (move !== undefined) {
      event.preventDefault();
      all[move % all.length]?.focus();
    } else if (event.key === "Escape" || event.key === "Tab") {
      if (event.key === "Escape") event.preventDefault();
      setOpen(false);
      root.current.querySelector("[aria-haspopup]")?.focus();
    }
  };
  const select = (event, item) => {
    event.stopPropagation();
    setOpen(false);
    root.current.querySelector("[aria-haspopup]")?.focus();
    item.onSelect?.();
  };
  return html`<div class="menu" ref=${root} onKeyDown=${onKeyDown}>
    ${button({ "aria-haspopup": "menu", "aria-expanded": String(open), "aria-controls": id, onClick: toggle })}
    ${open &&
    html`<div class="menu-list" role="menu" id=${id} aria-label=${label} style=${place} ref=${list}>
      ${items.filter((item) => item !== false && item !== undefined).map((item, i) => {
        if (item === null) return html`<div key=${i} class="menu-line" role="separator"></div>`;
        const role = item.checked === undefined ? "menuitem" : "menuitemradio";
        const name = `menu-item${item.danger ? " menu-danger" : ""}`;
        const inside = html`<${Icon} name=${item.icon ?? "chevron-right"} /><span>${item.label}</span>${item.checked && html`<${Icon} name="check" size=${14} />`}`;
        return item.href
          ? html`<a key=${i} class=${name} role=${role} tabindex="-1" href=${item.href} onClick=${() => setOpen(false)}>${inside}</a>`
          : html`<button key=${i} class=${name} type="button" role=${role} tabindex="-1" aria-checked=${item.checked === undefined ? undefined : String(item.checked)} onClick=${(event) => select(event, item)}>${inside}</button>`;
      })}
    </div>`}
  </div>`;
}
