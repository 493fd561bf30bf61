// The start: who are we, which page, and one frame around it.
import { loadSession, me, isOperator } from "./session.js";
import { BareShell, Shell } from "./components/shell.js";
import { ConfirmHost } from "./components/dialog.js";
import { Empty, ErrorNote, Skeleton } from "./components/feedback.js";
import { Button } from "./components/button.js";
import { Page } from "./components/page.js";
import { Toasts } from "./components/toast.js";
import { Palette } from "./palette.js";
import { ShortcutHelp } from "./shortcuts.js";
import { current, navigate } from "./router.js";
import { html, render, signal, useEffect, useErrorBoundary, useState } from "./ui.js";
import { t } from "./i18n.js";

const startError = signal(null);

async function start() {
  startError.value = null;
  try {
    await loadSession();
  } catch (error) {
    startError.value = error;
  }
}

// Where a page may not be shown, where to instead; null when it may.
function detour({ route, path }) {
  if (route.area !== "public" && me.value === null) {
    const back = path + location.search;
    return back === "/overview" ? "/sign-in" : `/sign-in?next=${encodeURIComponent(back)}`;
  }
  return null;
}

const Refused = () => html`<${Page} title=${t("refused.title")}><${Empty} icon="shield" title=${t("refused.words")} actions=${html`<${Button} href="/overview">${t("nav.overview")}<//>`} /><//>`;

const loaded = new Map(); // route.load -> page component: a page that was seen is shown without a gap

function RoutedPage() {
  const { route, params, query, path } = current.value;
  const [, redraw] = useState(0);
  const [failure, setFailure] = useState(null);
  const [fault, clearFault] = useErrorBoundary((error) => console.error(error));
  useEffect(() => {
    let gone = false;
    setFailure(null);
    clearFault();
    if (!loaded.has(route.load)) {
      route.load().then(
        (module) => {
          loaded.set(route.load, module.default);
          if (!gone) redraw((n) => n + 1);
        },
        (error) => !gone && setFailure(error),
      );
    }
    return () => (gone = true);
  }, [route.load]);
  if (route.area === "operate" && !isOperator.value) return html`<${Refused} />`;
  if (fault || failure) return html`<${Page} title=${t("broken.title")}><${Empty} icon="triangle-alert" title=${t("broken.words")} actions=${html`<${Button} onClick=${() => location.reload()}>${t("broken.reload")}<//>`} /><//>`;
  const Shown = loaded.get(route.load);
  if (!Shown) return html`<div class="page" aria-busy="true"></div>`;
  // Keyed by the module: /requests and /requests/:id are one page, and keep their state between them.
  return html`<${Shown} key=${Shown.name || path} params=${params} query=${query} path=${path} />`;
}

function App() {
  const where = current.value;
  const who = me.value;
  const away = who === undefined ? null : detour(where);
  useEffect(() => {
    if (away) navigate(away, { replace: true });
  }, [away]);
  if (startError.value) return html`<${BareShell}><div class="sign-card"><h1 class="page-title">${t("broken.start")}</h1><${ErrorNote} error=${startError.value} retry=${start} /></div><//>`;
  if (who === undefined || away) return html`<${LateSkeleton} />`;
  const Frame = where.route.bare ? BareShell : Shell;
  return html`<${Frame}><${RoutedPage} /><//><${Toasts} /><${ConfirmHost} /><${Palette} /><${ShortcutHelp} />`;
}

// Nothing for 150 ms, then a hint that something comes: a flash of grey is worse than a moment of nothing.
function LateSkeleton() {
  const [late, setLate] = useState(false);
  useEffect(() => {
    const timer = setTimeout(() => setLate(true), 150);
    return () => clearTimeout(timer);
  }, []);
  return late ? html`<div class="bare"><main class="bare-main"><div class="sign-card"><${Skeleton} lines=${4} /></div></main></div>` : null;
}

render(html`<${App} />`, document.getElementById("app"));
start();
