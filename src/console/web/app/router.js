// Addresses and pages. The address is the state: filters live in the query, and every page can be linked to.
import { withoutSecrets } from "./secrets.js";
import { batch, signal } from "./ui.js";

const pages = {};
// One loader to a module: two routes of one page are the same page.
const lazy = (name) => (pages[name] ??= () => import(`./pages/${name}.js`));

/** `area` decides who may see a page: "public" anybody, "workspace" signed-in people, "operate" operators. */
const ROUTES = [
  { path: "/sign-in", area: "public", bare: true, load: lazy("sign-in") },
  { path: "/sign-up", area: "public", bare: true, load: lazy("sign-up") },
  { path: "/playground", area: "public", load: lazy("playground") },
  { path: "/overview", area: "workspace", load: lazy("overview") },
  { path: "/keys", area: "workspace", load: lazy("keys") },
  { path: "/usage", area: "workspace", load: lazy("usage") },
  { path: "/requests", area: "workspace", load: lazy("requests") },
  { path: "/requests/:id", area: "workspace", load: lazy("requests") },
  { path: "/billing", area: "workspace", load: lazy("billing") },
  { path: "/account", area: "workspace", load: lazy("account") },
  { path: "/operate", area: "operate", load: lazy("operate/overview") },
  { path: "/operate/accounts", area: "operate", load: lazy("operate/accounts") },
  { path: "/operate/accounts/:id", area: "operate", load: lazy("operate/account") },
  { path: "/operate/keys", area: "operate", load: lazy("operate/keys") },
  { path: "/operate/people", area: "operate", load: lazy("operate/people") },
  { path: "/operate/models", area: "operate", load: lazy("operate/models") },
  { path: "/operate/upstreams", area: "operate", load: lazy("operate/upstreams") },
  { path: "/operate/codes", area: "operate", load: lazy("operate/codes") },
  { path: "/operate/ledger", area: "operate", load: lazy("operate/ledger") },
  { path: "/operate/requests", area: "operate", load: lazy("operate/requests") },
  { path: "/operate/requests/:id", area: "operate", load: lazy("operate/requests") },
  { path: "/operate/actions", area: "operate", load: lazy("operate/actions") },
  { path: "/operate/health", area: "operate", load: lazy("operate/health") },
].map((route) => ({ ...route, parts: route.path.split("/") }));

const NOT_FOUND = { path: "", area: "public", load: lazy("not-found") };

const decode = (text) => {
  try {
    return decodeURIComponent(text);
  } catch {
    return text; // a broken escape is just text that names nothing
  }
};

function match(path) {
  const parts = (path.length > 1 ? path.replace(/\/+$/, "") : path).split("/");
  for (const route of ROUTES) {
    if (route.parts.length !== parts.length) continue;
    const params = {};
    const fits = route.parts.every((part, i) => {
      if (!part.startsWith(":")) return part === parts[i];
      params[part.slice(1)] = decode(parts[i]);
      return parts[i] !== "";
    });
    if (fits) return { route, params };
  }
  return null;
}

const here = () => {
  const found = match(location.pathname);
  return { path: location.pathname, query: Object.fromEntries(new URLSearchParams(location.search)), route: found?.route ?? NOT_FOUND, params: found?.params ?? {} };
};

/** Where we are: `{path, query, params, route}`. Components that read it are rendered again on every move. */
export const current = signal(here());

/** Whether the console itself shows this path (else it is a page of the server). */
export const isOurs = (path) => match(path) !== null;

/** Goes to a path of the console (with query). `replace` leaves no trace in the history. */
export function navigate(to, { replace = false, keepScroll = false } = {}) {
  const url = new URL(to, location.origin);
  if (url.origin !== location.origin) return;
  if (!isOurs(url.pathname)) {
    location.assign(url.href);
    return;
  }
  history[replace ? "replaceState" : "pushState"](null, "", url.pathname + url.search + url.hash);
  const moved = url.pathname !== current.peek().path;
  batch(() => (current.value = here()));
  if (moved && !keepScroll) scrollTo(0, 0);
}

/** Changes fields of the query and keeps the rest; null or "" removes one. Typing replaces, choosing pushes. */
export function setQuery(change, { replace = true } = {}) {
  const params = new URLSearchParams(location.search);
  for (const [name, value] of Object.entries(change)) {
    if (value === null || value === undefined || value === "") params.delete(name);
    else params.set(name, withoutSecrets(String(value)));
  }
  const text = params.toString();
  navigate(location.pathname + (text ? `?${text}` : ""), { replace });
}

addEventListener("popstate", () => (current.value = here()));

// One listener instead of a link component: plain <a href> works everywhere, with every modifier key.
addEventListener("click", (event) => {
  if (event.defaultPrevented || event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
  const link = event.target instanceof Element ? event.target.closest("a[href]") : null;
  if (!link || link.target || link.hasAttribute("download") || link.origin !== location.origin || !isOurs(link.pathname)) return;
  if (link.hash && link.pathname === location.pathname && link.search === location.search) return;
  event.preventDefault();
  navigate(link.href);
});
