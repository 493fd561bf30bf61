// An address that leads nowhere.
import { Button } from "../components/button.js";
import { Empty } from "../components/feedback.js";
import { Page } from "../components/page.js";
import { t } from "../i18n.js";
import { me } from "../session.js";
import { html } from "../ui.js";

export default function NotFound({ path }) {
  return html`<${Page} title=${t("missing.title")}>
    <${Empty} icon="search" title=${t("missing.words")} actions=${html`<${Button} kind="primary" href=${me.value ? "/overview" : "/"}>${t(me.value ? "nav.overview" : "missing.home")}<//>`}><code class="mono">${path}</code><//>
  <//>`;
}
