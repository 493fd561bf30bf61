// Every account's keys; a pasted key finds its own, by its hash alone.
import { t } from "../../i18n.js";
import { KeyList } from "../../keys/list.js";
import { html } from "../../ui.js";

export default function OperateKeys({ query }) {
  return html`<${KeyList} everything title=${t("nav.op.keys")} lead=${t("op.keys.lead")} account=${null} asked=${null} query=${query} />`;
}
