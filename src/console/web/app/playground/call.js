/**
 * One call from the playground, measured: from sending to the last byte, and then what it cost.
 *
 * The call runs through the console with one of the person's keys, chosen by id so that its text never reaches the
 * browser, or with a pasted key, which lives in this page's memory only. Stopping closes the connection, which is what
 * makes the gateway stop the upstream.
 */
import { TEXT_CHARS_MAX, emptyAnswer, refusal, takeEvent, takeWhole } from "./answer.js";
import { purposeOf } from "./purpose.js";
import { EventReader } from "./sse.js";

/** @typedef {{own: string} | {pasted: string}} Key an own key's id, or a key's text */

/** How many raw events the page keeps, and how much of each: enough to see what came, never enough to hurt. */
export const EVENTS_MAX = 300;
const EVENT_SHOWN_CHARS_MAX = 4_000;
const BODY_CHARS_MAX = 32 << 20;

/** The record is written with the charge, moments after the last byte. */
const RECORD_WAITS_MS = [120, 280, 500, 1_000];

export function newRun(model) {
  return {
    model,
    /** `waiting` (sent) → `running` (bytes come) → `done`, `stopped` by the person, or `failed`. */
    state: "waiting",
    answer: emptyAnswer(),
    /** The whole answer's text where it did not come as a stream: embeddings and images read it. */
    whole: "",
    error: null,
    requestId: null,
    retryAfter: null,
    ttftMs: null,
    totalMs: null,
    events: [],
    eventCount: 0,
    /** What the gateway wrote down, once it has. */
    record: null,
  };
}

/**
 * Runs one call to its end. `run` is filled in as things happen; `changed` is called after every change, so the caller
 * decides how often to draw. Never throws: what went wrong is in `run.error`.
 *
 * @param {{path: string, key: Key, body: object, signal: AbortSignal}} call
 */
export async function perform(run, { path, key, body, signal }, changed) {
  const started = performance.now();
  const elapsed = () => Math.round(performance.now() - started);
  try {
    const answer = await fetch(`/api/playground${path}`, {
      method: "POST",
      headers: { ...headersOf(key), "Content-Type": "application/json" },
      body: JSON.stringify(body),
      signal,
    });
    run.requestId = answer.headers.get("x-request-id");
    run.retryAfter = answer.headers.get("retry-after");
    run.state = "running";
    changed();
    if (!answer.ok) {
      run.error = refusal(answer.status, await wholeText(answer));
    } else if ((answer.headers.get("content-type") ?? "").startsWith("text/event-stream")) {
      await readStream(run, answer, () => (run.ttftMs ??= elapsed()), changed);
    } else {
      run.whole = await wholeText(answer);
      takeWhole(run.answer, run.whole);
    }
    run.error ??= run.answer.error;
    // An end without `[DONE]` and without a finish reason is a cut line, however quietly it came.
    if (!run.error && !run.answer.done && run.answer.finish === null) run.error = { code: "stream_cut", message: "" };
  } catch (error) {
    if (!signal.aborted) run.error = { code: error instanceof TooLong ? "answer_too_long" : "connection_lost", message: "" };
  }
  run.totalMs = elapsed();
  run.state = run.error ? "failed" : signal.aborted ? "stopped" : "done";
  changed();
}

/** What the request cost, as the gateway's books have it. `null` if it does not appear within two seconds. */
export async function recordOf(requestId, key, waits = RECORD_WAITS_MS) {
  for (const wait of waits) {
    await new Promise((go) => setTimeout(go, wait));
    try {
      const answer = await fetch(`/api/playground/requests/${encodeURIComponent(requestId)}`, { headers: headersOf(key) });
      if (answer.ok) return await answer.json();
      if (answer.status !== 404 && answer.status < 500 && answer.status !== 429) return null;
    } catch {
      // The next try may find the line up again.
    }
  }
  return null;
}

/** The names of the models that a key may use. Throws `{status, code, message}`. */
export async function modelsOf(key, signal) {
  let answer;
  try {
    answer = await fetch("/api/playground/models", { headers: headersOf(key), signal });
  } catch {
    throw { status: 0, code: "connection_lost", message: "" };
  }
  const text = await wholeText(answer);
  if (!answer.ok) throw refusal(answer.status, text);
  try {
    const list = JSON.parse(text).data;
    return list.filter((model) => typeof model.id === "string").map((model) => ({ id: model.id, purpose: purposeOf(model) }));
  } catch {
    throw { status: answer.status, code: "not_json", message: "" };
  }
}

/** Whether a pasted text can be a key at all: a header holds nothing else. */
export function looksLikeKey(text) {
  return /^[\x21-\x7e]{1,256}$/.test(text);
}

/** Output tokens a second after the first one; `null` where that says nothing (one piece, no stream). */
export function tokensPerSecond(run) {
  const tokens = run.record?.output_tokens ?? run.answer.usage?.output ?? run.answer.pieces;
  if (run.ttftMs === null || run.totalMs === null || tokens < 2) return null;
  const spent = run.totalMs - run.ttftMs;
  return spent > 0 ? Math.round(((tokens - 1) * 1_000) / spent) : null;
}

async function readStream(run, answer, spoke, changed) {
  const events = new EventReader();
  const reader = answer.body.getReader();
  const take = (event) => {
    keep(run, event);
    if (takeEvent(run.answer, event)) spoke();
    if (run.answer.text.length + run.answer.reasoning.length > TEXT_CHARS_MAX) throw new TooLong();
  };
  try {
    for (;;) {
      const { done, value } = await reader.read();
      for (const event of done ? events.end() : events.push(value)) take(event);
      changed();
      if (done) return;
    }
  } finally {
    // After an error of ours the upstream must not go on talking to nobody.
    await reader.cancel().catch(() => {});
  }
}

/** The first events and the last ones tell the story; of what lies between, the number is kept. */
function keep(run, event) {
  run.eventCount += 1;
  const shown = event.data.length > EVENT_SHOWN_CHARS_MAX ? `${event.data.slice(0, EVENT_SHOWN_CHARS_MAX)}…` : event.data;
  if (run.events.length >= EVENTS_MAX) run.events.splice(EVENTS_MAX / 2, 1);
  run.events.push({ number: run.eventCount, event: event.event, data: shown });
}

async function wholeText(answer) {
  const reader = answer.body?.getReader();
  if (!reader) return "";
  const decoder = new TextDecoder();
  let text = "";
  for (;;) {
    const { done, value } = await reader.read();
    text += done ? decoder.decode() : decoder.decode(value, { stream: true });
    if (done) return text;
    if (text.length > BODY_CHARS_MAX) {
      await reader.cancel();
      throw new TooLong();
    }
  }
}

function headersOf(key) {
  const which = "own" in key ? { "X-Tollgate-Key": key.own } : { "X-Tollgate-Pasted-Key": key.pasted };
  return { ...which, "X-Tollgate-Console": "1" };
}

class TooLong extends Error {}
