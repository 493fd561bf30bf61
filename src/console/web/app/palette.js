// ⌘K: type to go to a page, a key, a model or a request, or to do one of a few things.
import { get } from "./api.js";
import { Icon } from "./components/icon.js";
import { t } from "./i18n.js";
import { OPERATE, PUBLIC, WORKSPACE } from "./navigation.js";
import { lang, theme } from "./preferences.js";
import { navigate } from "./router.js";
import { account, isOperator, me, signOut } from "./session.js";
import { helpOpen } from "./shortcuts.js";
import { cls, html, signal, useEffect, useId, useRef, useState } from "./ui.js";

export const paletteOpen = signal(false);

function commands() {
  const go = (item, area) => ({ group: t("palette.pages"), icon: item.icon, label: t(item.text), note: area, run: () => (item.server ? location.assign(item.href) : navigate(item.href)) });
  const list = me.value ? WORKSPACE.map((item) => go(item)) : PUBLIC.map((item) => go(item));
  if (isOperator.value) list.push(...OPERATE.map((item) => go(item, t("nav.operate"))));
  const act = (icon, label, run) => ({ group: t("palette.actions"), icon, label, run });
  if (me.value) {
    list.push(go({ href: "/account", icon: "user", text: "nav.account" }));
    list.push(act("plus", t("keys.create"), () => navigate("/keys?new=1")));
  }
  list.push(
    act("globe", t("lang.switch"), () => (lang.value = lang.value === "zh" ? "en" : "zh")),
    act("sun", t("theme.light"), () => (theme.value = "light")),
    act("moon", t("theme.dark"), () => (theme.value = "dark")),
    act("monitor", t("theme.system"), () => (theme.value = "system")),
    act("keyboard", t("shortcuts.title"), () => (helpOpen.value = true)),
  );
  if (me.value) list.push(act("log-out", t("nav.sign_out"), () => signOut()));
  return list;
}

// Keys and models are asked for once per opening; without them the palette still knows the pages.
async function findable() {
  const mine = isOperator.value ? (account.value?.id ?? null) : null;
  const [keys, models] = await Promise.all([
    get("/api/keys", { query: { limit: 200, account: mine } }).catch(() => ({ data: [] })),
    get("/api/models").catch(() => ({ data: [] })),
  ]);
  const modelList = Array.isArray(models) ? models : models.data;
  return [
    ...keys.data.map((key) => ({ group: t("palette.keys"), icon: "key-round", label: key.name, note: key.prefix, run: () => navigate(`/keys?q=${encodeURIComponent(key.name)}`) })),
    ...modelList.map((model) => ({ group: t("palette.models"), icon: "box", label: model.id, note: t("palette.open_playground"), run: () => navigate(`/playground?model=${encodeURIComponent(model.id)}`) })),
  ];
}

export function Palette() {
  const open = paletteOpen.value;
  const dialog = useRef(null);
  const list = useRef(null);
  const [text, setText] = useState("");
  const [at, setAt] = useState(0);
  const [found, setFound] = useState([]);
  const id = useId();
  useEffect(() => {
    const element = dialog.current;
    if (open && !element.open) {
      setText("");
      setAt(0);
      element.showModal();
      if (me.value) findable().then(setFound);
    }
    if (!open && element.open) element.close();
  }, [open]);
  useEffect(() => {
    list.current?.querySelector("[aria-selected=true]")?.scrollIntoView({ block: "nearest" });
  }, [at, text]);

  const wanted = text.trim().toLowerCase();
  const shown = !open ? [] : [...commands(), ...found].filter((item) => !wanted || `${item.label} ${item.note ?? ""} ${item.group}`.toLowerCase().includes(wanted)).slice(0, 40);
  if (open && /^req_\w+$/.test(text.trim()) && me.value) {
    shown.unshift({ group: t("palette.requests"), icon: "list", label: text.trim(), run: () => navigate(`/requests/${encodeURIComponent(text.trim())}`) });
  }
  const close = () => (paletteOpen.value = false);
  const run = (item) => {
    close();
    item?.run();
  };
  const onKeyDown = (event) => {
    if (event.isComposing) return; // Enter and arrows belong to the input method while it composes
    const move = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (move && shown.length) {
      event.preventDefault();
      setAt((at + move + shown.length) % shown.length);
    } else if (event.key === "Enter") {
      event.preventDefault();
      run(shown[at]);
    }
  };
  return html`<dialog class="palette" ref=${dialog} aria-label=${t("palette.title")} onCancel=${(event) => (event.preventDefault(), close())} onPointerDown=${(event) => event.target === dialog.current && close()}>
    ${open &&
    html`<div class="palette-inner">
      <div class="palette-search"><${Icon} name="search" /><input type="text" role="combobox" aria-expanded="true" aria-controls=${id} aria-activedescendant=${shown.length ? `${id}-${at}` : undefined} aria-label=${t("palette.title")} placeholder=${t("palette.hint")} autocomplete="off" spellcheck=${false} autofocus value=${text} onInput=${(event) => (setText(event.currentTarget.value), setAt(0))} onKeyDown=${onKeyDown} /><kbd>Esc</kbd></div>
      <div class="palette-list" role="listbox" id=${id} aria-label=${t("palette.title")} ref=${list}>
        ${shown.map(
          (item, i) => html`${(i === 0 || shown[i - 1].group !== item.group) && html`<p class="palette-group" role="presentation">${item.group}</p>`}
            <div key=${i} id=${`${id}-${i}`} role="option" aria-selected=${String(i === at)} class=${cls("palette-item", i === at && "palette-on")} onPointerMove=${() => i !== at && setAt(i)} onClick=${() => run(item)}><${Icon} name=${item.icon} /><span class="palette-label">${item.label}</span>${item.note && html`<span class="palette-note">${item.note}</span>`}</div>`,
        )}
        ${shown.length === 0 && html`<p class="palette-none">${t("form.nothing_found")}</p>`}
      </div>
    </div>`}
  </dialog>`;
}
