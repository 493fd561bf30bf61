// Talking to /api: one function, problem+json as an Error with a code, lists in pages, CSV downloads.
import { has, lang, t } from "./i18n.js";
import { inChinese } from "./i18n/refusals.js";
import { readOn } from "./paging.js";
import { signal, useEffect, useReducer, useRef, useState } from "./ui.js";

/** Set when the server says that nobody is signed in any more; the session watches it. */
export const signedOut = signal(0);

/** What the server refused, and why. `code` is stable; `detail` is the server's English sentence. */
export class ApiError extends Error {
  constructor({ status, code, detail, errors, requestId, retryAfter }) {
    super(detail || code);
    Object.assign(this, { status, code, detail, errors: errors ?? [], requestId, retryAfter });
  }

  /** The fault of one field of a form, or undefined. */
  field(name) {
    const message = this.errors.find((error) => error.field === name)?.message;
    return message && inWords(message);
  }
}

const inWords = (english) => (lang.value === "zh" && inChinese(english)) || english;

/** A sentence in the reader's language: by code where we have one, else the server's words. */
export function sentence(error) {
  if (!(error instanceof ApiError)) return t("error.unexpected");
  // "refused" and "invalid_request" carry the reason in their detail; one sentence for all of them would hide it.
  const own = ["refused", "invalid_request"].includes(error.code);
  if (own && error.detail) return inWords(error.detail);
  if (error.code === "too_many_attempts" && error.retryAfter) return t("error.too_many_attempts_in", { n: error.retryAfter });
  if (has(`error.${error.code}`)) return t(`error.${error.code}`);
  return error.detail || t("error.unexpected");
}

/** 128 random bits: `crypto.randomUUID` does not exist on plain HTTP. */
export const newIdempotencyKey = () =>
  Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");

/** `path` with `query` appended; null, undefined and "" are left out. */
export function address(path, query) {
  const params = new URLSearchParams();
  for (const [name, value] of Object.entries(query ?? {})) {
    if (value !== null && value !== undefined && value !== "") params.set(name, String(value));
  }
  const text = params.toString();
  return text ? `${path}${path.includes("?") ? "&" : "?"}${text}` : path;
}

/**
 * One request. Answers the parsed JSON (null for 204) or throws an ApiError.
 * `options`: `query`, `body` (sent as JSON), `idempotencyKey`, `headers`, `signal`; `raw: true` answers the Response.
 */
export async function api(method, path, options = {}) {
  const { query, body, idempotencyKey, headers = {}, signal: abort, raw } = options;
  let response;
  try {
    response = await fetch(address(path, query), {
      method,
      credentials: "same-origin",
      signal: abort,
      headers: {
        accept: "application/json",
        "x-tollgate-console": "1",
        ...(body === undefined ? {} : { "content-type": "application/json" }),
        ...(idempotencyKey ? { "idempotency-key": idempotencyKey } : {}),
        ...headers,
      },
      body: body === undefined ? undefined : JSON.stringify(body),
    });
  } catch (cause) {
    if (cause.name === "AbortError") throw cause;
    throw new ApiError({ status: 0, code: "unreachable" });
  }
  if (!response.ok) throw await problem(response);
  if (raw) return response;
  if (response.status === 204) return null;
  try {
    return await response.json();
  } catch (cause) {
    if (cause.name === "AbortError") throw cause;
    throw new ApiError({ status: response.status, code: "unreadable", requestId: response.headers.get("x-request-id") });
  }
}

/** The ApiError that a failed Response stands for: problem+json, the edge's own error shape, or neither. */
export async function problem(response) {
  const body = await response.json().catch(() => ({}));
  const edge = body?.error && typeof body.error === "object" ? body.error : {};
  const error = new ApiError({
    status: response.status,
    code: body?.code ?? edge.code ?? `http_${response.status}`,
    detail: body?.detail ?? edge.message ?? "",
    errors: Array.isArray(body?.errors) ? body.errors : [],
    requestId: body?.request_id ?? response.headers.get("x-request-id"),
    retryAfter: Number(response.headers.get("retry-after")) || null,
  });
  if (error.code === "unauthenticated") signedOut.value += 1;
  return error;
}

export const get = (path, options) => api("GET", path, options);
export const post = (path, body, options) => api("POST", path, { ...options, body });
export const patch = (path, body, options) => api("PATCH", path, { ...options, body });
export const del = (path, options) => api("DELETE", path, options);

/** Fetches a list as CSV and hands it to the browser as a file; false if the list is longer than one file may be. */
export async function downloadCsv(path, query, filename) {
  const response = await api("GET", path, { query, headers: { accept: "text/csv" }, raw: true });
  saveFile(filename, await response.blob());
  return !/rel="?next/.test(response.headers.get("link") ?? "");
}

/** Offers text or a Blob as a download. */
export function saveFile(filename, content, type = "text/plain;charset=utf-8") {
  const url = URL.createObjectURL(content instanceof Blob ? content : new Blob([content], { type }));
  const link = document.createElement("a");
  link.href = url;
  link.download = filename;
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(url), 1000);
}

/**
 * Keeps the answer of a GET: `{data, error, loading, slow, reload, set}`. `path` null fetches nothing. Another query
 * fetches again and shows the former data meanwhile; another path is another thing, whose data are null at first; `slow` turns true after 150 ms without any data, which is
 * when skeletons may show. `every` (ms) polls while the page is visible.
 */
export function useApi(path, { query, every } = {}) {
  const target = path === null ? null : address(path, query);
  const [state, dispatch] = useReducer((old, change) => ({ ...old, ...change }), { of: path, data: null, error: null, loading: target !== null, slow: false });
  const [round, again] = useReducer((n) => n + 1, 0);
  const fresh = state.of === path ? state : { ...state, data: null, error: null, loading: target !== null, slow: false };

  useEffect(() => {
    if (target === null) return undefined;
    const abort = new AbortController();
    dispatch(state.of === path ? { loading: true } : { of: path, data: null, error: null, loading: true, slow: false });
    const slow = setTimeout(() => dispatch({ slow: true }), 150);
    get(target, { signal: abort.signal })
      .then((data) => dispatch({ data, error: null, loading: false, slow: false }))
      .catch((error) => error.name !== "AbortError" && dispatch({ error, loading: false, slow: false }))
      .finally(() => clearTimeout(slow));
    return () => {
      clearTimeout(slow);
      abort.abort();
    };
  }, [target, round]);

  useEffect(() => {
    if (!every || target === null) return undefined;
    const timer = setInterval(() => document.visibilityState === "visible" && again(), every);
    return () => clearInterval(timer);
  }, [every, target]);

  return { ...fresh, reload: again, set: (change) => dispatch({ data: typeof change === "function" ? change(fresh.data) : change }) };
}

/**
 * Keeps a list that comes in pages: `{rows, error, loading, slow, more, loadMore, reload, set}`. `rows` is null until the
 * first page came; `more` says whether there is another page.
 */
export function usePages(path, { query, limit = 50 } = {}) {
  const target = path === null ? null : address(path, { ...query, limit });
  const [state, setState] = useState({ of: path, rows: null, next: null, error: null, loading: target !== null, slow: false });
  const [round, again] = useReducer((n) => n + 1, 0);
  const current = useRef(null);

  const fetchPage = (after) => {
    const abort = (current.current = new AbortController());
    setState((old) => (old.of === path ? { ...old, loading: true } : { of: path, rows: null, next: null, error: null, loading: true, slow: false }));
    const slow = setTimeout(() => setState((old) => ({ ...old, slow: true })), 150);
    readOn((from) => get(target, { query: { after: from }, signal: abort.signal }), after)
      .then((page) => setState((old) => ({ of: path, rows: after ? [...(old.rows ?? []), ...page.data] : page.data, next: page.next ?? null, error: null, loading: false, slow: false })))
      .catch((error) => error.name !== "AbortError" && setState((old) => ({ ...old, error, loading: false, slow: false })))
      .finally(() => clearTimeout(slow));
    return () => {
      clearTimeout(slow);
      abort.abort();
    };
  };

  useEffect(() => {
    if (target === null) return undefined;
    fetchPage(null);
    return () => current.current?.abort();
  }, [target, round]);

  const fresh = state.of === path ? state : { ...state, rows: null, next: null, error: null };
  return {
    ...fresh,
    more: fresh.next !== null,
    loadMore: () => state.next !== null && !state.loading && fetchPage(state.next),
    reload: again,
    set: (change) => setState((old) => ({ ...old, rows: typeof change === "function" ? change(old.rows) : change })),
  };
}
