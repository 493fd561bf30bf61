/**
 * The playground's state: who pays (key), what is set, what was said, and the calls that run.
 *
 * It lives as long as the page's script does, so that somebody may look at a request and come back to the conversation.
 * Nothing of it is stored; a pasted key and everything said go away with the tab, or when somebody else signs in.
 */
import { me, refreshMe } from "../session.js";
import { computed, signal } from "../ui.js";
import { chatBody, embeddingBody, imageBody, readExtra } from "./body.js";
import { newRun, perform, recordOf } from "./call.js";
import { history, running } from "./conversation.js";

export const PATHS = { chat: "/chat/completions", embeddings: "/embeddings", images: "/images/generations" };

const START = { system: "", temperature: null, topP: null, maxTokens: null, stream: true, json: false, extra: "", size: "", quality: "" };

/** `chat`, `embeddings` or `images`. */
export const mode = signal("chat");
export const settings = signal(START);
/** The models, one per side; the second only counts while comparing. */
export const chosen = signal(["", ""]);
export const comparing = signal(false);
/** An own key's id, or `null` for a pasted one. */
export const keyId = signal(null);
export const pastedKey = signal("");
/** What stands in the composer, per mode: changing tabs loses nothing. */
export const drafts = signal({ chat: "", embeddings: "", images: "" });
export const turns = signal([]);
/** The last call of the embeddings' and the images' tab. */
export const single = signal({ embeddings: null, images: null });

/** @returns {import("./call.js").Key|null} */
export const key = computed(() => {
  if (keyId.value) return { own: keyId.value };
  return pastedKey.value ? { pasted: pastedKey.value } : null;
});

export const sides = computed(() => (comparing.value && mode.value === "chat" ? [0, 1] : [0]));

export const busy = computed(() => {
  // Read, so that this is asked again when a run changes.
  const runs = [...(turns.value.at(-1)?.runs ?? []), single.value.embeddings?.run, single.value.images?.run];
  for (const run of runs) run?.tick.value;
  return running(turns.value) || runs.some((run) => run?.state === "waiting" || run?.state === "running");
});

export function set(change) {
  settings.value = { ...settings.value, ...change };
}

export function write(text) {
  drafts.value = { ...drafts.value, [mode.value]: text };
}

/** The body that would be sent now, for the code: with what was said and what stands in the composer. */
export function currentBody(side = 0) {
  const draft = drafts.value[mode.value];
  const set = { ...settings.value, model: chosen.value[side] };
  if (mode.value === "embeddings") return embeddingBody(set, linesOf(draft));
  if (mode.value === "images") return imageBody(set, draft);
  const said = turns.value;
  const upTo = draft.trim() === "" && said.length > 0 ? said : [...said, { question: draft, runs: [] }];
  return chatBody(set, history(upTo, side));
}

/** Why nothing can be sent now, for `i18n` (`playground.blocked.…`), or `null`. */
export const blocked = computed(() => {
  if (!key.value) return "key";
  if (sides.value.some((side) => !chosen.value[side])) return "model";
  if (readExtra(settings.value.extra).fault) return "extra";
  return drafts.value[mode.value].trim() === "" ? "empty" : null;
});

export function send() {
  if (blocked.value || busy.value) return;
  const draft = drafts.value[mode.value];
  if (mode.value === "chat") {
    turns.value = [...turns.value, { question: draft, runs: [] }];
    write("");
    askAll();
  } else {
    const body = currentBody();
    const run = watched(body.model);
    single.value = { ...single.value, [mode.value]: { run, question: draft } };
    start([run], [body], PATHS[mode.value]);
  }
}

/** Asks the last question again; the former answer is forgotten. */
export function regenerate() {
  if (busy.value || !key.value || turns.value.length === 0) return;
  askAll();
}

export function stop() {
  calls?.abort();
}

/** Begins anew. What is set stays; what was said goes. */
export function clear() {
  stop();
  turns.value = [];
  single.value = { embeddings: null, images: null };
}

/** Somebody else sits here now: nothing of the former person's stays. */
export function forget() {
  clear();
  settings.value = START;
  drafts.value = { chat: "", embeddings: "", images: "" };
  pastedKey.value = "";
  keyId.value = null;
  chosen.value = ["", ""];
}

export function linesOf(text) {
  return text.split("\n").filter((line) => line.trim() !== "");
}

// All calls of one question end together.
let calls = null;

function askAll() {
  const said = turns.value;
  const last = said.length - 1;
  const runs = sides.value.map((side) => watched(chosen.value[side]));
  turns.value = [...said.slice(0, last), { ...said[last], runs }];
  const bodies = sides.value.map((side) => chatBody({ ...settings.value, model: chosen.value[side] }, history(turns.value, side)));
  start(runs, bodies, PATHS.chat);
}

async function start(runs, bodies, path) {
  calls = new AbortController();
  const { signal: abort } = calls;
  const payer = key.value;
  await Promise.all(
    runs.map(async (run, index) => {
      await perform(run, { path, key: payer, body: bodies[index], signal: abort }, () => drawSoon(run));
      draw(run);
      // What was refused cost nothing, and often left no record to ask for.
      if (run.requestId && !run.error?.status) run.record = await recordOf(run.requestId, payer);
      run.settled = true;
      draw(run);
    }),
  );
  // The balance at the top of the page is less now. Should that fail, the next page says it.
  if (me.peek()?.account) refreshMe().catch(() => {});
}

/** A run whose changes redraw what reads its `tick`. */
function watched(model) {
  return { ...newRun(model), tick: signal(0), settled: false };
}

// However fast the pieces come, a run is drawn once a frame. A hidden page has no frames and needs none.
const waiting = new Set();

function drawSoon(run) {
  if (waiting.size === 0) requestAnimationFrame(() => [...waiting].forEach(draw));
  waiting.add(run);
}

function draw(run) {
  waiting.delete(run);
  run.tick.value += 1;
}
