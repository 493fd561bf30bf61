/**
 * What a model said, put together from the pieces of its answer.
 *
 * One shape for a streamed answer, a whole one and a broken one, so that the page draws without asking which it was.
 * The bytes come from an upstream that we do not trust: every field is looked at before it is used, none is believed.
 * Of several choices the first is shown; the others are in the raw events.
 */

/** Enough for the longest answer that any model gives; beyond it the call is stopped. */
export const TEXT_CHARS_MAX = 4 << 20;

export function emptyAnswer() {
  return {
    text: "",
    reasoning: "",
    tools: [],
    finish: null,
    usage: null,
    error: null,
    /** Pieces with text so far: an estimate of the tokens while the true count is not known. */
    pieces: 0,
    /** The stream said `[DONE]`, or a whole answer was read: what is missing was not promised. */
    done: false,
  };
}

/** Adds one event of a stream. Returns whether anything to read came with it. */
export function takeEvent(answer, event) {
  if (event.oversize) {
    answer.error ??= { code: "event_too_large", message: "" };
    return false;
  }
  if (event.data === "[DONE]") {
    answer.done = true;
    return false;
  }
  const value = parsed(event.data);
  if (!isObject(value)) return false;
  takeCommon(answer, value);
  const choice = firstChoice(value);
  return choice !== null && takePart(answer, isObject(choice.delta) ? choice.delta : {}, choice);
}

/** Reads an answer that came in one piece. */
export function takeWhole(answer, text) {
  const value = parsed(text);
  if (!isObject(value)) {
    answer.error = { code: "not_json", message: "" };
    return;
  }
  takeCommon(answer, value);
  const choice = firstChoice(value);
  if (choice) takePart(answer, isObject(choice.message) ? choice.message : {}, choice);
  answer.done = answer.error === null;
}

/**
 * The error of an answer that was refused, from its status and body: the edge's shape (`{error: {code, message}}`) or the
 * console's (`{code, detail}`); anything else keeps the status alone.
 */
export function refusal(status, text) {
  const value = parsed(text);
  const inner = isObject(value) && isObject(value.error) ? value.error : isObject(value) ? value : {};
  return {
    status,
    code: asText(inner.code) || asText(inner.type) || `http_${status}`,
    message: asText(inner.message) || asText(inner.detail),
  };
}

function takeCommon(answer, value) {
  if (isObject(value.error)) {
    answer.error = { code: asText(value.error.code) || "server_error", message: asText(value.error.message) };
  }
  if (isObject(value.usage)) answer.usage = usageOf(value.usage);
}

function firstChoice(value) {
  if (!Array.isArray(value.choices)) return null;
  return value.choices.find((choice) => isObject(choice) && (choice.index ?? 0) === 0) ?? null;
}

function takePart(answer, part, choice) {
  const text = contentText(part.content) + asText(part.refusal) + asText(choice.text);
  const reasoning = asText(part.reasoning_content) || asText(part.reasoning);
  answer.text += text;
  answer.reasoning += reasoning;
  const called = takeTools(answer, part.tool_calls);
  if (typeof choice.finish_reason === "string") answer.finish = choice.finish_reason;
  const spoke = text !== "" || reasoning !== "" || called;
  if (spoke) answer.pieces += 1;
  return spoke;
}

/** Tool calls arrive in pieces too: the name first, then the arguments' text. */
function takeTools(answer, calls) {
  if (!Array.isArray(calls)) return false;
  for (const [position, call] of calls.entries()) {
    if (!isObject(call) || !isObject(call.function)) continue;
    const index = Number.isInteger(call.index) && call.index >= 0 && call.index < TOOLS_MAX ? call.index : position;
    if (index >= TOOLS_MAX) break;
    while (answer.tools.length <= index) answer.tools.push({ name: "", arguments: "" });
    answer.tools[index].name += asText(call.function.name);
    answer.tools[index].arguments += asText(call.function.arguments);
  }
  return calls.length > 0;
}

/** A message's content is text, or a list of parts of which some are text. */
function contentText(content) {
  if (Array.isArray(content)) return content.map((part) => (isObject(part) ? asText(part.text) : "")).join("");
  return asText(content);
}

function usageOf(usage) {
  return {
    input: count(usage.prompt_tokens ?? usage.input_tokens),
    output: count(usage.completion_tokens ?? usage.output_tokens),
  };
}

function count(value) {
  return Number.isSafeInteger(value) && value >= 0 ? value : null;
}

function asText(value) {
  return typeof value === "string" ? value : "";
}

function isObject(value) {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

const TOOLS_MAX = 64;
