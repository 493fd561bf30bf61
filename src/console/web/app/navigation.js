// The map of the console: one list for the side bar, the palette and the `g` shortcuts.

/** `href`, `icon`, `text` (a key of the catalogue), `jump` (the letter after g). `server` pages are no part of the app. */
export const WORKSPACE = [
  { href: "/overview", icon: "layout-grid", text: "nav.overview", jump: "o" },
  { href: "/playground", icon: "message-square", text: "nav.playground", jump: "p" },
  { href: "/keys", icon: "key-round", text: "nav.keys", jump: "k" },
  { href: "/usage", icon: "chart-line", text: "nav.usage", jump: "u" },
  { href: "/requests", icon: "list", text: "nav.requests", jump: "r" },
  { href: "/billing", icon: "wallet", text: "nav.billing", jump: "b" },
  { href: "/models", icon: "box", text: "nav.models", server: true },
  { href: "/docs", icon: "book-open", text: "nav.docs", server: true },
];

export const OPERATE = [
  { href: "/operate", icon: "gauge", text: "nav.op.overview", jump: "h", exact: true },
  { href: "/operate/accounts", icon: "landmark", text: "nav.op.accounts", jump: "a" },
  { href: "/operate/keys", icon: "hash", text: "nav.op.keys" },
  { href: "/operate/people", icon: "users", text: "nav.op.people" },
  { href: "/operate/models", icon: "coins", text: "nav.op.models" },
  { href: "/operate/upstreams", icon: "plug", text: "nav.op.upstreams", jump: "s" },
  { href: "/operate/codes", icon: "gift", text: "nav.op.codes" },
  { href: "/operate/ledger", icon: "scroll-text", text: "nav.op.ledger", jump: "l" },
  { href: "/operate/requests", icon: "layers", text: "nav.op.requests" },
  { href: "/operate/actions", icon: "history", text: "nav.op.actions" },
  { href: "/operate/health", icon: "activity", text: "nav.op.health" },
];

export const PUBLIC = [
  { href: "/playground", icon: "message-square", text: "nav.playground" },
  { href: "/models", icon: "box", text: "nav.models", server: true },
  { href: "/docs", icon: "book-open", text: "nav.docs", server: true },
  { href: "/status", icon: "activity", text: "nav.status", server: true },
];

/** Whether an item stands for this path or something under it. */
export const isAt = (item, path) => path === item.href || (!item.exact && path.startsWith(`${item.href}/`));
