// Whose figures a page shows. A customer sees their own account and the server makes sure; an operator may choose.
import { address } from "./api.js";
import { t } from "./i18n.js";
import { account, isOperator } from "./session.js";

/** The `account` to ask the API for: from the address, else the operator's own one, else none (the server narrows). */
export function accountAsked(query) {
  if (!isOperator.value) return null;
  if (query.account === "all") return null;
  return query.account || account.value?.id || null;
}

/** Whether rows of several accounts may be seen, so that each row has to say whose it is. */
export const seesAll = (query) => isOperator.value && accountAsked(query) === null;

/** The filter for operators; nobody else has a choice. `accounts` is a list of accounts or null. */
export function accountFilter(accounts) {
  if (!isOperator.value) return [];
  const own = account.value;
  const others = (accounts ?? []).filter((one) => one.id !== own?.id).map((one) => ({ value: one.id, label: one.name }));
  const mine = own ? [{ value: "", label: t("scope.mine", { name: own.name }) }, { value: "all", label: t("scope.all") }] : [{ value: "", label: t("scope.all") }];
  return [{ name: "account", label: t("scope.account"), type: "select", options: [...mine, ...others] }];
}

/** A link to the requests behind a figure, for the same account. */
export const requestsHref = (query, filters) => address("/requests", { account: query.account, ...filters });
