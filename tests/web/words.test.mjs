// The console's words: two catalogues with the same keys, every key used, and no text anywhere else.
import assert from "node:assert/strict";
import { readFileSync, readdirSync } from "node:fs";
import { test } from "node:test";

import en from "../../src/console/web/app/i18n/en.js";
import zh from "../../src/console/web/app/i18n/zh.js";

const APP = new URL("../../src/console/web/app/", import.meta.url);
const modules = readdirSync(APP, { recursive: true })
  .filter((path) => path.endsWith(".js") && !path.startsWith("i18n/"))
  .map((path) => ({ path, text: readFileSync(new URL(path, APP), "utf8") }));

test("both languages have the same keys", () => {
  assert.deepEqual(Object.keys(zh).sort(), Object.keys(en).sort());
});

test("both languages fill in the same values", () => {
  const places = (text) => [...new Set([...text.matchAll(/\{(\w+)(?:\|[^}]*)?\}/g)].map((found) => found[1]))].sort();
  for (const key of Object.keys(en)) assert.deepEqual(places(zh[key]), places(en[key]), key);
});

test("no text is empty, and Chinese is Chinese", () => {
  for (const [key, text] of [...Object.entries(en), ...Object.entries(zh)]) assert.notEqual(text.trim(), "", key);
  for (const [key, text] of Object.entries(en)) assert.doesNotMatch(text, /[\u3400-\u9fff]/, key);
});

test("every text that is asked for is there", () => {
  for (const { path, text } of modules) {
    for (const [, key] of text.matchAll(/\bt\("([^"]+)"/g)) assert.ok(Object.hasOwn(en, key), `${path} asks for ${key}`);
  }
});

test("every text is asked for", () => {
  const all = modules.map((module) => module.text).join("\n");
  const whole = new Set([...all.matchAll(/["'`]([a-z][\w.]*)["'`]/g)].map((found) => found[1]));
  // `state.${kind}.${value}`: what stands before the first hole is known, and word() puts a value behind a prefix.
  const begun = [...all.matchAll(/[`]([a-z][\w.]*\.)\$\{/g), ...all.matchAll(/\bword\(["'`]([a-z][\w.]*)/g)].map((found) => found[1]);
  const unused = Object.keys(en).filter((key) => !whole.has(key) && !begun.some((start) => key.startsWith(start)));
  assert.deepEqual(unused, []);
});

test("templates hold no words of their own", () => {
  const words = /[A-Za-z\u3400-\u9fff]{2,}/;
  const names = new Set(["Tollgate", "Esc", "English", "中文", "CSV", "JSON", "default"]); // the same in every language
  const codes = /^(sk-tg-|TG-)/; // what a key and a code look like
  const found = [];
  for (const { path, text } of modules) {
    for (const markup of templates(text)) {
      const outside = markup.replace(/<[^>]*>/g, "\n").split("\n");
      const inside = [...markup.matchAll(/\b(?:title|label|lead|placeholder|alt|aria-label)="([^"]*)"/g)].map((match) => match[1]);
      for (const piece of [...outside, ...inside]) {
        if (words.test(piece) && !names.has(piece.trim()) && !codes.test(piece.trim())) found.push(`${path}: ${piece.trim()}`);
      }
    }
  }
  assert.deepEqual(found, []);
});

test("the finder of words in templates finds them", () => {
  const source = "const a = html`<p title=\"Wrong\">${b ? html`<i>Also wrong</i>` : \"\"} plain</p>`; // html`<b>${";
  assert.deepEqual(templates(source.split(" //")[0]).map((one) => one.replace(/<[^>]*>/g, "|")), ["|Also wrong|", "| plain|"]);
});

/** The markup of every html`…` in a source, without what is filled in; inner templates first. */
function templates(source) {
  const done = [];
  const open = []; // one for each template that we are inside: its text, and how deep in braces its hole is (-1: no hole)
  for (let i = 0; i < source.length; i += 1) {
    const top = open.at(-1);
    if (top && top.depth < 0) {
      if (source[i] === "\\") i += 1;
      else if (source[i] === "`") {
        open.pop();
        if (top.markup) done.push(top.text);
      } else if (source.startsWith("${", i)) {
        top.depth = 0;
        i += 1;
      } else top.text += source[i];
      continue;
    }
    if (source.startsWith("//", i) && source[i - 1] !== ":") i = source.indexOf("\n", i) - 1;
    else if (source.startsWith("/*", i)) i = source.indexOf("*/", i) + 1;
    else if (source[i] === '"' || source[i] === "'") {
      const quote = source[i];
      for (i += 1; source[i] !== quote && source[i] !== "\n" && i < source.length; i += 1) if (source[i] === "\\") i += 1;
    } else if (source[i] === "`") open.push({ text: "", depth: -1, markup: source.slice(i - 4, i) === "html" });
    else if (top && source[i] === "{") top.depth += 1;
    else if (top && source[i] === "}") {
      top.depth -= 1;
      // The hole's own closing brace: what follows is the template's text again.
      if (top.depth < 0) continue;
    }
    if (i < 0) break;
  }
  return done;
}
