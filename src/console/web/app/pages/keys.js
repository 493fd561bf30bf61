// Keys of the account that the person acts for.
import { KeyList } from "../keys/list.js";
import { t } from "../i18n.js";
import { account, isOperator } from "../session.js";
import { html } from "../ui.js";

export default function Keys({ query }) {
  const own = account.value?.id ?? null;
  return html`<${KeyList} title=${t("keys.title")} lead=${t("keys.lead")} account=${own} asked=${isOperator.value ? own : null} query=${query} />`;
}
