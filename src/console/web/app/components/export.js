// A list as a file for spreadsheets.
import { downloadCsv, sentence } from "../api.js";
import { t } from "../i18n.js";
import { toast } from "./toast.js";

/** Saves the list as `file`. What does not fit is said: a file that is cut looks whole. */
export async function exportCsv(path, query, file) {
  try {
    if (!(await downloadCsv(path, query, file))) toast(t("table.csv_cut"), { kind: "info", ms: 0 });
  } catch (error) {
    toast(sentence(error), { kind: "bad" });
  }
}
