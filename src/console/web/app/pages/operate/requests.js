// Requests of all accounts.
import { t } from "../../i18n.js";
import { html } from "../../ui.js";
import { RequestList } from "../requests.js";

export default function OperateRequests({ params, query }) {
  return html`<${RequestList} everything base="/operate/requests" title=${t("nav.op.requests")} lead=${t("op.requests.lead")} id=${params.id} query=${query} />`;
}
