// Colours for code samples: strings, comments and keywords, by one regular expression a language. No markup is made here.

const STRINGS = String.raw`"(?:[^"\\\n]|\\[\s\S])*"|'(?:[^'\\]|\\[\s\S])*'`;
const words = (text) => String.raw`\b(?:${text.trim().split(/\s+/).join("|")})\b`;

const LANGUAGES = {
  // Between single quotes a shell knows no escapes.
  shell: { comment: String.raw`(?<=^|\s)#.*`, string: String.raw`"(?:[^"\\\n]|\\[\s\S])*"|'[^']*'`, keyword: words("curl export echo set") },
  python: { comment: "#.*", string: STRINGS, keyword: words("from import for in if else def return with as print None True False and or not") },
  javascript: { comment: "//.*", string: `${STRINGS}|\`(?:[^\`\\\\]|\\\\[\\s\\S])*\``, keyword: words("import from const let for await of if else return new async function null true false") },
  go: { comment: "//.*", string: `${STRINGS}|\`[^\`]*\``, keyword: words("package import func if else for range return var const nil true false defer err") },
  json: { comment: null, string: STRINGS, keyword: words("true false null") },
  yaml: { comment: String.raw`(?<=^|\s)#.*`, string: STRINGS, keyword: words("true false null") },
  text: null,
};

/** `[{text, kind}]` whose texts joined are `code`; kind is "comment", "string", "keyword" or null. */
export function tokenise(code, language) {
  const rules = LANGUAGES[language];
  // A sample is a screenful; anything longer came from elsewhere and is shown plainly.
  if (!rules || code.length > 20_000) return [{ text: code, kind: null }];
  const kinds = Object.keys(rules).filter((kind) => rules[kind]);
  const pattern = new RegExp(kinds.map((kind) => `(?<${kind}>${rules[kind]})`).join("|"), "gm");
  const tokens = [];
  let end = 0;
  for (const found of code.matchAll(pattern)) {
    if (found.index > end) tokens.push({ text: code.slice(end, found.index), kind: null });
    tokens.push({ text: found[0], kind: kinds.find((kind) => found.groups[kind] !== undefined) });
    end = found.index + found[0].length;
  }
  if (end < code.length) tokens.push({ text: code.slice(end), kind: null });
  return tokens;
}
