/**
 * A model's text in the pieces that a page draws: paragraphs, code blocks, and inside a paragraph code and strong words.
 *
 * Not Markdown, only what answers really use, and made of plain values: the page builds elements from them, so nothing
 * in the text can become markup. An unfinished block (the answer still grows) is a block already.
 */

/** @typedef {{kind: "text", text: string} | {kind: "code", language: string, text: string}} Block */

/** @param {string} text @returns {Block[]} */
export function blocks(text) {
  const found = [];
  let lines = [];
  let fence = null;
  const close = () => {
    if (fence) found.push({ kind: "code", language: fence.language, text: lines.join("\n") });
    else if (lines.some((line) => line.trim() !== "")) found.push({ kind: "text", text: trimmed(lines) });
    lines = [];
  };
  for (const line of text.split(/\r\n|\r|\n/)) {
    const mark = /^ {0,3}(`{3,}|~{3,})\s*([^\s`]*)[^`]*$/.exec(line);
    if (!fence && mark) {
      close();
      fence = { mark: mark[1], language: mark[2].slice(0, 32) };
    } else if (fence && mark && mark[1].startsWith(fence.mark) && line.trim() === mark[1]) {
      close();
      fence = null;
    } else {
      lines.push(line);
    }
  }
  close();
  return found;
}

/** @typedef {{kind: "plain"|"code"|"strong", text: string}} Span */

/** @param {string} text @returns {Span[]} */
export function spans(text) {
  const found = [];
  let from = 0;
  // No nesting and no line ends inside: each alternative is linear, whatever the text.
  for (const hit of text.matchAll(/`([^`\n]+)`|\*\*([^*\n]+)\*\*/g)) {
    if (hit.index > from) found.push({ kind: "plain", text: text.slice(from, hit.index) });
    found.push(hit[1] === undefined ? { kind: "strong", text: hit[2] } : { kind: "code", text: hit[1] });
    from = hit.index + hit[0].length;
  }
  if (from < text.length) found.push({ kind: "plain", text: text.slice(from) });
  return found;
}

function trimmed(lines) {
  let first = 0;
  let last = lines.length;
  while (first < last && lines[first].trim() === "") first += 1;
  while (last > first && lines[last - 1].trim() === "") last -= 1;
  return lines.slice(first, last).join("\n");
}
