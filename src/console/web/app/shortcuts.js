// Keys: ⌘K always; single letters only while they are switched on and nobody is typing.
import { Dialog } from "./components/dialog.js";
import { Switch } from "./components/field.js";
import { t } from "./i18n.js";
import { OPERATE, WORKSPACE } from "./navigation.js";
import { paletteOpen } from "./palette.js";
import { shortcutsOn } from "./preferences.js";
import { navigate } from "./router.js";
import { isOperator, me } from "./session.js";
import { html, signal } from "./ui.js";

export const helpOpen = signal(false);
const apple = /Mac|iPhone|iPad/.test(navigator.platform);
/** How the palette's keys are written on this machine. */
export const paletteKeys = apple ? "⌘K" : "Ctrl K";

const jumps = () => [...WORKSPACE, ...(isOperator.value ? OPERATE : [])].filter((item) => item.jump);

let waiting = 0; // when g was pressed

addEventListener("keydown", (event) => {
  if ((event.metaKey || event.ctrlKey) && !event.altKey && !event.shiftKey && event.key.toLowerCase() === "k") {
    event.preventDefault();
    paletteOpen.value = !paletteOpen.value;
    return;
  }
  if (!shortcutsOn.value || event.metaKey || event.ctrlKey || event.altKey || event.isComposing) return;
  const typing = event.target instanceof Element && event.target.closest("input,textarea,select,[contenteditable]");
  if (typing || document.querySelector("dialog[open]")) return;
  if (event.key === "?") {
    event.preventDefault();
    helpOpen.value = true;
  } else if (event.key === "/") {
    const filter = document.querySelector("[data-filter]");
    event.preventDefault();
    if (filter) filter.focus();
    else paletteOpen.value = true;
  } else if (me.value && Date.now() - waiting < 1200) {
    waiting = 0;
    const item = jumps().find((one) => one.jump === event.key);
    if (item) {
      event.preventDefault();
      navigate(item.href);
    }
  } else if (event.key === "g") waiting = Date.now();
});

export function ShortcutHelp() {
  const row = (keys, text) => html`<div key=${text} class="shortcut"><dt>${keys.map((key) => html`<kbd key=${key}>${key}</kbd>`)}</dt><dd>${text}</dd></div>`;
  return html`<${Dialog} open=${helpOpen.value} onClose=${() => (helpOpen.value = false)} title=${t("shortcuts.title")}>
    <${Switch} checked=${shortcutsOn.value} onChange=${(on) => (shortcutsOn.value = on)} label=${t("shortcuts.switch")} />
    <dl class="shortcuts">
      ${row([paletteKeys], t("palette.title"))}${row(["/"], t("shortcuts.filter"))}${row(["?"], t("shortcuts.title"))}
      ${jumps().map((item) => row(["g", item.jump], t(item.text)))}
    </dl>
  <//>`;
}
