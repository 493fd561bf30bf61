// Icons: stroke shapes drawn as elements, so no markup is ever parsed.
import { ICONS } from "../../icons/lucide.js";
import { h } from "../ui.js";

/** `name` is a Lucide name (see icons/lucide.js). Decorative: the word beside it, or the button's label, says it. */
export function Icon({ name, size = 16 }) {
  const shapes = ICONS[name] ?? [];
  return h(
    "svg",
    { class: "icon", width: size, height: size, viewBox: "0 0 24 24", fill: "none", stroke: "currentColor", "stroke-width": 1.75, "stroke-linecap": "round", "stroke-linejoin": "round", "aria-hidden": "true", focusable: "false" },
    shapes.map(([tag, attributes]) => h(tag, attributes)),
  );
}

/** Our mark: a gate whose bar is lifting. */
export function Mark({ size = 20 }) {
  return h(
    "svg",
    { class: "mark", width: size, height: size, viewBox: "0 0 24 24", fill: "none", stroke: "currentColor", "stroke-width": 2.4, "stroke-linecap": "round", "stroke-linejoin": "round", "aria-hidden": "true", focusable: "false" },
    h("path", { d: "M5 21V9a7 7 0 0 1 14 0v12" }),
    h("path", { d: "M5 13.5 19 10" }),
  );
}
