// The frame around every page: side bar, top bar, and on small screens the same side bar as a drawer.
import { get } from "../api.js";
import { money } from "../format.js";
import { t } from "../i18n.js";
import { OPERATE, PUBLIC, WORKSPACE, isAt } from "../navigation.js";
import { paletteOpen } from "../palette.js";
import { lang, theme } from "../preferences.js";
import { current } from "../router.js";
import { account, isOperator, login, me, signOut } from "../session.js";
import { helpOpen, paletteKeys } from "../shortcuts.js";
import { cls, html, signal, useEffect, useRef } from "../ui.js";
import { Button, IconButton } from "./button.js";
import { Icon, Mark } from "./icon.js";
import { Menu } from "./menu.js";
import { toast } from "./toast.js";
import { sentence } from "../api.js";

/** How many keys the account has: the number in the side bar. Pages that change keys call `countKeys()`. */
export const keyCount = signal(null);
export async function countKeys() {
  const own = account.peek()?.id;
  if (!own) return;
  const page = await get("/api/keys", { query: { account: isOperator.peek() ? own : null, limit: 200 } }).catch(() => null);
  if (page) keyCount.value = page.next ? `${page.data.length}+` : String(page.data.length);
}

const drawerOpen = signal(false);

function NavList({ title, items }) {
  const { path } = current.value;
  return html`<div class="nav-group">
    ${title && html`<p class="nav-title" id=${`nav-${title}`}>${title}</p>`}
    <ul>${items.map((item) => {
      const here = isAt(item, path);
      return html`<li key=${item.href}><a class=${cls("nav-item", here && "nav-here")} href=${item.href} aria-current=${here ? "page" : undefined}><${Icon} name=${item.icon} /><span class="nav-text">${t(item.text)}</span>${item.href === "/keys" && keyCount.value && keyCount.value !== "0" && html`<span class="nav-count">${keyCount.value}</span>`}</a></li>`;
    })}</ul>
  </div>`;
}

const initials = (name) => {
  const parts = name.split(/[\s._@-]+/).filter(Boolean);
  return (parts.length > 1 ? parts[0][0] + parts[1][0] : name.slice(0, 2)).toUpperCase();
};

async function leave() {
  try {
    await signOut();
  } catch (error) {
    toast(sentence(error), { kind: "bad" });
  }
}

function Sidebar() {
  const signedIn = Boolean(me.value);
  return html`<div class="side">
    <a class="brand" href=${signedIn ? "/overview" : "/"}><${Mark} /><span>Tollgate</span></a>
    <button class="jump" type="button" onClick=${() => ((drawerOpen.value = false), (paletteOpen.value = true))}><${Icon} name="search" size=${14} /><span>${t("palette.button")}</span><kbd>${paletteKeys}</kbd></button>
    <nav class="nav" aria-label=${t("nav.label")}>
      ${signedIn ? html`<${NavList} title=${t("nav.workspace")} items=${WORKSPACE} />` : html`<${NavList} items=${PUBLIC} />`}
      ${isOperator.value && html`<${NavList} title=${t("nav.operate")} items=${OPERATE} />`}
    </nav>
    <div class="side-foot">
      ${signedIn
        ? html`<${Menu} up label=${t("nav.user_menu")}
            button=${(props) => html`<button class="who" type="button" ...${props}><span class="avatar" aria-hidden="true">${initials(login.value)}</span><span class="who-text"><span class="who-name">${login.value}</span><span class="who-role">${t(`role.${me.value.role}`)}</span></span><${Icon} name="ellipsis" /></button>`}
            items=${[
              { label: t("nav.account"), icon: "user", href: "/account" },
              { label: t("shortcuts.title"), icon: "keyboard", onSelect: () => (helpOpen.value = true) },
              null,
              { label: t("nav.sign_out"), icon: "log-out", onSelect: leave },
            ]} />`
        : html`<${Button} href="/sign-in" kind="primary" class="side-sign-in">${t("nav.sign_in")}<//>`}
    </div>
  </div>`;
}

const THEMES = [["system", "monitor"], ["light", "sun"], ["dark", "moon"]];

/** The buttons for language and theme; the sign-in pages show them too. */
export function Preferences() {
  return html`
    <button class="button button-ghost lang-button" type="button" lang=${lang.value === "zh" ? "en" : "zh-CN"} onClick=${() => (lang.value = lang.value === "zh" ? "en" : "zh")}><${Icon} name="globe" /><span class="button-label">${lang.value === "zh" ? "English" : "中文"}</span></button>
    <${Menu} end label=${t("theme.label")}
      button=${(props) => html`<${IconButton} icon=${THEMES.find(([name]) => name === theme.value)[1]} label=${t("theme.label")} ...${props} />`}
      items=${THEMES.map(([name, icon]) => ({ label: t(`theme.${name}`), icon, checked: theme.value === name, onSelect: () => (theme.value = name) }))} />`;
}

function Topbar() {
  const { path } = current.value;
  const item = [...OPERATE, ...WORKSPACE].find((one) => isAt(one, path));
  const operating = path.startsWith("/operate");
  const place = operating ? t("nav.operate") : (account.value?.name ?? (me.value ? login.value : "Tollgate"));
  const name = item ? t(item.text) : path === "/account" ? t("nav.account") : "";
  return html`<header class="top">
    <${IconButton} icon="menu" label=${t("nav.open")} class="top-menu" aria-haspopup="dialog" onClick=${() => (drawerOpen.value = true)} />
    <p class="crumbs"><span class="crumb-place">${place}</span>${name && html`<span class="crumb-line" aria-hidden="true">/</span><span class="crumb-here">${name}</span>`}</p>
    <div class="top-end">
      <${Preferences} />
      ${account.value && html`<a class="button button-plain balance-button" href="/billing"><span class="number">${money(account.value.available)}</span><span class="balance-dot" aria-hidden="true">·</span><span>${t("nav.top_up")}</span></a>`}
      ${!me.value && html`<${Button} href="/sign-in" kind="primary">${t("nav.sign_in")}<//>`}
    </div>
  </header>`;
}

function NavDrawer() {
  const dialog = useRef(null);
  const { path } = current.value;
  const open = drawerOpen.value;
  useEffect(() => {
    const element = dialog.current;
    if (open && !element.open) element.showModal();
    if (!open && element.open) element.close();
  }, [open]);
  useEffect(() => {
    drawerOpen.value = false;
  }, [path]);
  const close = () => (drawerOpen.value = false);
  return html`<dialog class="nav-drawer" ref=${dialog} aria-label=${t("nav.label")} onCancel=${close} onClose=${close} onPointerDown=${(event) => event.target === dialog.current && close()}>${open && html`<${Sidebar} />`}</dialog>`;
}

/** The whole frame; `children` is the page. */
export function Shell({ children }) {
  const own = account.value?.id;
  useEffect(() => {
    if (own) countKeys();
  }, [own]);
  return html`<div class="shell">
    <a class="skip" href="#main">${t("nav.skip")}</a>
    <aside class="side-column"><${Sidebar} /></aside>
    <${NavDrawer} />
    <div class="main-column"><${Topbar} /><main id="main" class="main" tabindex="-1">${children}</main></div>
  </div>`;
}

/** The frame of sign-in and sign-up: a card in the middle, nothing else. */
export const BareShell = ({ children }) =>
  html`<div class="bare"><header class="bare-top"><a class="brand" href="/"><${Mark} /><span>Tollgate</span></a><div class="top-end"><${Preferences} /></div></header><main id="main" class="bare-main">${children}</main></div>`;
