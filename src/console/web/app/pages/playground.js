// The playground: try a model with one's own key, and see what the call measured and cost.
import { Button } from "../components/button.js";
import { CodeBlock } from "../components/copy.js";
import { Dialog, Drawer } from "../components/dialog.js";
import { Segmented } from "../components/field.js";
import { Page } from "../components/page.js";
import { count } from "../format.js";
import { t } from "../i18n.js";
import { EVENTS_MAX } from "../playground/call.js";
import { clear, comparing, mode, single, stop, turns } from "../playground/chat.js";
import { loadChoices } from "../playground/choices.js";
import { codeTabs } from "../playground/code-tabs.js";
import { Conversation } from "../playground/conversation-view.js";
import { Settings } from "../playground/settings-view.js";
import { Single } from "../playground/single-view.js";
import { me } from "../session.js";
import { html, useEffect, useState } from "../ui.js";

export default function Playground({ query }) {
  const [code, setCode] = useState(false);
  const [shown, setShown] = useState(null);
  const chatting = mode.value === "chat";
  const said = turns.value.length > 0 || single.value.embeddings || single.value.images;
  useEffect(() => {
    loadChoices(query);
  }, [me.value?.person?.id, query.key, query.model]);
  // A call whose page is gone has nobody to read it, and would go on costing money.
  useEffect(() => stop, []);
  const modes = ["chat", "embeddings", "images"].map((value) => ({ value, label: t(`playground.mode.${value}`) }));
  return html`<${Page} title=${t("playground.title")} lead=${t("playground.lead")}
    actions=${html`<${Segmented} value=${mode.value} options=${modes} label=${t("playground.mode")} onChange=${(value) => (mode.value = value)} />
      ${chatting && html`<${Button} icon="columns-3" aria-pressed=${String(comparing.value)} onClick=${() => (comparing.value = !comparing.value)}>${t("playground.compare")}<//>`}
      ${said && html`<${Button} kind="ghost" icon="trash-2" onClick=${clear}>${t("playground.clear")}<//>`}
      <${Button} icon="book-open" onClick=${() => setCode(true)}>${t("playground.copy_code")}<//>`}>
    <div class="playground">
      ${chatting ? html`<${Conversation} onEvents=${setShown} />` : html`<${Single} />`}
      <${Settings} />
    </div>
    <${Dialog} open=${code} wide onClose=${() => setCode(false)} title=${t("playground.copy_code")} lead=${t("playground.code.lead")}>
      ${code && html`<${CodeBlock} remember="playground" tabs=${codeTabs()} />`}
    <//>
    <${Drawer} open=${shown !== null} wide onClose=${() => setShown(null)} title=${t("playground.events.title")} lead=${shown && t("playground.events.lead", { model: shown.model, n: count(shown.eventCount) })}>
      ${shown && html`<${Events} run=${shown} />`}
    <//>
  <//>`;
}

function Events({ run }) {
  run.tick.value;
  return html`${run.eventCount > EVENTS_MAX && html`<p class="faint events-note">${t("playground.events.cut", { n: count(EVENTS_MAX) })}</p>`}
    <ol class="events">${run.events.map((one) => html`<li key=${one.number} class="event"><span class="event-number number">${one.number}</span><code class="mono">${one.event === "message" ? one.data : `${one.event}: ${one.data}`}</code></li>`)}</ol>`;
}
