// Words in two languages. Keys are flat, `page.thing`; both catalogues hold the same keys (a test compares them).
import { lang } from "./preferences.js";
import en from "./i18n/en.js";
import zh from "./i18n/zh.js";

export { lang };

const catalogues = { en, zh };
const plurals = new Intl.PluralRules("en");

/**
 * The text of a key in the chosen language. `{name}` is replaced by `vars.name`, `{name|one|other}` chooses by number.
 * Replaced values become text nodes later, so nothing in them can become markup.
 */
export function t(key, vars) {
  const text = catalogues[lang.value][key];
  if (text === undefined) {
    console.error(`no text for "${key}"`); // browser tests fail on console errors, so a missing text is found
    return key;
  }
  if (!vars) return text;
  return text.replace(/\{(\w+)(?:\|([^|}]*)\|([^|}]*))?\}/g, (whole, name, one, other) => {
    if (!Object.hasOwn(vars, name)) return whole;
    if (one === undefined) return String(vars[name]);
    return plurals.select(Number(String(vars[name]).replaceAll(",", ""))) === "one" ? one : other;
  });
}

/** Whether a text exists: for words chosen by a code that the server may extend. */
export const has = (key) => Object.hasOwn(catalogues[lang.value], key);

/** The text of `prefix.value`, or the value itself where the server knows a word that we do not. */
export const word = (prefix, value) => (value == null ? "—" : has(`${prefix}.${value}`) ? t(`${prefix}.${value}`) : String(value));

/** For Intl: the language and its region's habits. */
export const locale = () => (lang.value === "zh" ? "zh-CN" : "en-US");
