/**
 * From what is set on the page to the body of a request.
 *
 * Only what somebody has set is sent: a model has its own defaults, and some refuse even to be told them (reasoning models
 * take no temperature). The free JSON field comes last and may set anything except what the page itself has to know.
 */

/** What the page must know to read the answer, and so keeps for itself. */
const OWN_FIELDS = ["model", "messages", "stream", "input", "prompt"];

/**
 * @param {{model: string, system: string, temperature: number|null, topP: number|null, maxTokens: number|null,
 *   stream: boolean, json: boolean, extra: string}} settings
 * @param {{role: string, content: string}[]} messages without the system's
 */
export function chatBody(settings, messages) {
  const system = settings.system.trim() === "" ? [] : [{ role: "system", content: settings.system }];
  return {
    model: settings.model,
    messages: [...system, ...messages],
    ...(settings.temperature === null ? {} : { temperature: settings.temperature }),
    ...(settings.topP === null ? {} : { top_p: settings.topP }),
    ...(settings.maxTokens === null ? {} : { [maximumField(settings.model)]: settings.maxTokens }),
    ...(settings.json ? { response_format: { type: "json_object" } } : {}),
    ...(settings.stream ? { stream: true } : {}),
    ...readExtra(settings.extra).fields,
  };
}

export function embeddingBody(settings, lines) {
  const input = lines.length === 1 ? lines[0] : lines;
  return { model: settings.model, input, ...readExtra(settings.extra).fields };
}

export function imageBody(settings, prompt) {
  return {
    model: settings.model,
    prompt,
    ...(settings.size ? { size: settings.size } : {}),
    ...(settings.quality ? { quality: settings.quality } : {}),
    ...readExtra(settings.extra).fields,
  };
}

/**
 * The free JSON field. `fault` names what is wrong with it, for `i18n` (`playground.extra.fault.…`), and `at` the field.
 *
 * @param {string} text
 * @returns {{fields: object, fault: null|"not_json"|"not_object"|"own_field"|"number", at?: string}}
 */
export function readExtra(text) {
  if (text.trim() === "") return { fields: {}, fault: null };
  let value;
  try {
    value = JSON.parse(text);
  } catch {
    return { fields: {}, fault: "not_json" };
  }
  if (typeof value !== "object" || value === null || Array.isArray(value)) return { fields: {}, fault: "not_object" };
  const own = OWN_FIELDS.find((name) => Object.hasOwn(value, name));
  if (own) return { fields: {}, fault: "own_field", at: own };
  // JavaScript would quietly round these; better to say so than to send another number.
  const lossy = lossyNumber(value);
  if (lossy !== null) return { fields: {}, fault: "number", at: lossy };
  return { fields: value, fault: null };
}

/** Reasoning models count their hidden tokens inside the maximum, and know it by its newer name only. */
function maximumField(model) {
  return /(^|\/)(o\d|gpt-5)/.test(model) ? "max_completion_tokens" : "max_tokens";
}

function lossyNumber(value) {
  const open = [value];
  while (open.length > 0) {
    const item = open.pop();
    if (typeof item === "number" && Number.isInteger(item) && !Number.isSafeInteger(item)) return String(item);
    if (typeof item === "number" && !Number.isFinite(item)) return String(item);
    if (typeof item === "object" && item !== null) open.push(...Object.values(item));
  }
  return null;
}
