// The head of every page: title, one sentence, actions; and the document's title and focus on arrival.
import { current } from "../router.js";
import { html, useEffect, useRef } from "../ui.js";

let arrived = null; // the path whose heading had the focus last: filters change the query, not the page

/** `title` and `lead` are texts; `actions` stand at the right. */
export function Page({ title, lead, actions, children }) {
  const heading = useRef(null);
  const { path } = current.value;
  useEffect(() => {
    document.title = `${title} · Tollgate`;
  }, [title]);
  useEffect(() => {
    const first = arrived === null;
    const same = arrived === path;
    arrived = path;
    // Not on the first load (the browser starts at the top), nor where something asked for the focus itself.
    if (!first && !same && !document.querySelector("dialog[open]")) heading.current?.focus({ preventScroll: true });
  }, []);
  return html`<div class="page">
    <div class="page-head"><div class="page-titles"><h1 class="page-title" tabindex="-1" ref=${heading}>${title}</h1>${lead && html`<p class="page-lead">${lead}</p>`}</div>${actions && html`<div class="page-actions">${actions}</div>`}</div>
    ${children}
  </div>`;
}
