// The conversation as it is seen: one column for each model, what each call measured, and the composer under them.
import { CopyButton } from "../components/copy.js";
import { Button, IconButton } from "../components/button.js";
import { Icon } from "../components/icon.js";
import { Chip } from "../components/status.js";
import { t } from "../i18n.js";
import { login, me } from "../session.js";
import { html, useEffect, useLayoutEffect, useRef } from "../ui.js";
import { blocked, busy, drafts, mode, regenerate, send, sides, stop, turns, write } from "./chat.js";
import { asking } from "./choices.js";
import { Prose } from "./prose-view.js";
import { RunError, Strip } from "./run-view.js";

const EXAMPLES = ["explain", "extract", "review"];

export function Conversation({ onEvents }) {
  const asked = turns.value;
  return html`<section class="card chat" aria-label=${t("playground.conversation")}>
    <div class=${sides.value.length > 1 ? "chat-columns chat-compare" : "chat-columns"}>
      ${sides.value.map((side) => html`<${Column} key=${side} side=${side} asked=${asked} onEvents=${onEvents} />`)}
    </div>
    <${Composer} />
  </section>`;
}

function Column({ side, asked, onEvents }) {
  const log = useRef(null);
  const follow = useRef(true);
  const run = asked.at(-1)?.runs[side];
  const tick = run?.tick.value;
  // Follows the text while its end is in sight; who scrolled up to read is left alone.
  useLayoutEffect(() => {
    if (follow.current) log.current.scrollTop = log.current.scrollHeight;
  }, [tick, asked]);
  const onScroll = () => {
    const box = log.current;
    follow.current = box.scrollHeight - box.scrollTop - box.clientHeight < 48;
  };
  const going = run?.state === "waiting" || run?.state === "running";
  return html`<div class="chat-column">
    <div class="chat-log" role="log" aria-live="polite" aria-busy=${String(going)} aria-label=${t("playground.log")} tabindex="0" ref=${log} onScroll=${onScroll}>
      ${asked.length === 0 ? side === 0 && html`<${Examples} />` : asked.map((turn, index) => html`<${Turn} key=${index} turn=${turn} run=${turn.runs[side]} last=${index === asked.length - 1} />`)}
    </div>
    ${run && html`<${Strip} run=${run} onEvents=${() => onEvents(run)} />`}
  </div>`;
}

function Turn({ turn, run, last }) {
  const name = login.value;
  return html`<article class="turn">
      <span class="avatar" aria-hidden="true">${name ? name.slice(0, 2).toUpperCase() : html`<${Icon} name="user" size=${14} />`}</span>
      <div class="turn-body"><p class="turn-who">${t("playground.you")}</p><div class="turn-said">${turn.question}</div></div>
    </article>
    ${run && html`<${Answer} run=${run} last=${last} />`}`;
}

function Answer({ run, last }) {
  run.tick.value;
  const { answer, state } = run;
  const going = state === "waiting" || state === "running";
  const odd = answer.finish && !["stop", "tool_calls"].includes(answer.finish);
  return html`<article class="turn">
    <span class="avatar avatar-model" aria-hidden="true"><${Icon} name="sparkles" size=${14} /></span>
    <div class="turn-body">
      <p class="turn-who">${run.model}</p>
      ${answer.reasoning && html`<details class="reasoning"><summary>${t("playground.reasoning")}</summary><div class="turn-said">${answer.reasoning}</div></details>`}
      <${Prose} text=${answer.text} going=${going} />
      ${answer.tools.map((tool, index) => html`<div key=${index} class="tool-call"><p class="tool-name"><${Icon} name="zap" size=${14} /> ${t("playground.tool_call")} <code class="mono">${tool.name}</code></p><pre class="code">${tool.arguments}</pre></div>`)}
      ${state === "done" && answer.text === "" && answer.reasoning === "" && answer.tools.length === 0 && html`<p class="faint">${t("playground.empty_answer")}</p>`}
      <${RunError} run=${run} />
      ${!going &&
      (last || answer.text || odd || state === "stopped") &&
      html`<div class="turn-actions">
        ${state === "stopped" && html`<${Chip} tone="warn">${t("playground.stopped")}<//>`}
        ${odd && html`<${Chip} tone="warn">${t("playground.finish", { reason: answer.finish })}<//>`}
        ${answer.text && html`<${CopyButton} text=${answer.text} label=${t("playground.copy_answer")} small />`}
        ${last && html`<${IconButton} icon="rotate-cw" label=${t("playground.regenerate")} small onClick=${regenerate} />`}
      </div>`}
    </div>
  </article>`;
}

function Examples() {
  return html`<div class="chat-empty">
    <p class="chat-empty-title">${t("playground.empty.title")}</p>
    <p class="chat-empty-lead">${t("playground.empty.lead")}</p>
    <div class="chat-examples">
      ${EXAMPLES.map(
        (name) => html`<button key=${name} class="example" type="button" onClick=${() => takeExample(t(`playground.example.${name}`))}>
          <span class="example-title">${t(`playground.example.${name}.title`)}</span><span class="example-text">${t(`playground.example.${name}`)}</span>
        </button>`,
      )}
    </div>
  </div>`;
}

// An example is filled in, not sent: nothing costs money without "Send".
function takeExample(text) {
  write(text);
  document.getElementById("composer")?.focus();
}

export function Composer() {
  const area = useRef(null);
  const draft = drafts.value[mode.value];
  const going = busy.value;
  const why = asking.value && blocked.value === "model" ? "empty" : blocked.value;
  useLayoutEffect(() => {
    const element = area.current;
    element.style.height = "auto";
    element.style.height = `${Math.min(element.scrollHeight, innerHeight * 0.4)}px`;
  }, [draft]);
  useEffect(() => {
    if (!going) return undefined;
    const onKey = (event) => {
      if (event.key !== "Escape" || event.defaultPrevented || document.querySelector("dialog[open]")) return;
      event.preventDefault();
      stop();
    };
    addEventListener("keydown", onKey);
    return () => removeEventListener("keydown", onKey);
  }, [going]);
  const onKeyDown = (event) => {
    if (event.key === "Enter" && (event.metaKey || event.ctrlKey) && !event.isComposing) {
      event.preventDefault();
      send();
    }
  };
  const hint = why && why !== "empty" ? t(`playground.blocked.${why}`) : t("playground.send_hint", { keys: /Mac|iPhone|iPad/.test(navigator.platform) ? "⌘ ↵" : "Ctrl ↵" });
  return html`<form class="composer" onSubmit=${(event) => (event.preventDefault(), send())}>
    <textarea id="composer" class="composer-text" rows="1" ref=${area} value=${draft} onInput=${(event) => write(event.currentTarget.value)} onKeyDown=${onKeyDown}
      aria-label=${t(`playground.compose.${mode.value}`)} aria-describedby="composer-hint" placeholder=${t(`playground.compose.${mode.value}`)}></textarea>
    <div class="composer-foot">
      <span class=${why && why !== "empty" ? "composer-hint composer-blocked" : "composer-hint"} id="composer-hint">${hint}${me.value === null && why === "key" ? html` <a href="/sign-in?next=/playground">${t("playground.sign_in")}</a>` : null}</span>
      ${going ? html`<${Button} icon="square" onClick=${stop}>${t("playground.stop")}<//>` : html`<${Button} kind="primary" type="submit" icon="send" disabled=${why !== null}>${t("playground.send")}<//>`}
    </div>
  </form>`;
}
