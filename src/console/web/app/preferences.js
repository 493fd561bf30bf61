// What a browser remembers for its person: theme, language, shortcuts. Cookies repeat the first two for server pages.
import { effect, signal } from "./ui.js";

const read = (name) => {
  try {
    return localStorage.getItem(name);
  } catch {
    return null;
  }
};

/** Keeps a small preference; silently forgets it where storage is forbidden. */
export function remember(name, value) {
  try {
    if (value === null || value === undefined) localStorage.removeItem(name);
    else localStorage.setItem(name, value);
  } catch {
    // nothing to do: the page works without it
  }
}
export const recall = read;

const cookie = (name, value) => {
  document.cookie = `${name}=${value}; Path=/; Max-Age=31536000; SameSite=Lax`;
};

/** "system", "light" or "dark". */
export const theme = signal(["light", "dark"].includes(read("tollgate_theme")) ? read("tollgate_theme") : "system");
/** "en" or "zh". */
export const lang = signal(document.documentElement.lang.startsWith("zh") ? "zh" : "en");
/** Whether single-letter shortcuts act (WCAG 2.1.4: they can be switched off). */
export const shortcutsOn = signal(read("tollgate_shortcuts") !== "off");

const darkMedia = matchMedia("(prefers-color-scheme: dark)");
const systemDark = signal(darkMedia.matches);
darkMedia.addEventListener("change", (event) => (systemDark.value = event.matches));

/** What is on the screen now: charts redraw with it. */
export const isDark = () => (theme.value === "system" ? systemDark.value : theme.value === "dark");

// The first run of each effect states what is so already; only a choice is written down.
let chosen = false;
effect(() => {
  const value = theme.value;
  if (value === "system") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = value;
  if (chosen) {
    remember("tollgate_theme", value);
    cookie("tollgate_theme", value);
  }
});
effect(() => {
  document.documentElement.lang = lang.value === "zh" ? "zh-CN" : "en";
  if (chosen) {
    remember("tollgate_lang", lang.value);
    cookie("tollgate_lang", lang.value);
  }
});
effect(() => {
  const on = shortcutsOn.value;
  if (chosen) remember("tollgate_shortcuts", on ? "on" : "off");
});
chosen = true;
