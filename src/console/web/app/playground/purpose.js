/**
 * What a model is for. Nobody says; it shows in what its price counts, and in its name. The same rules make the public
 * price list.
 *
 * @param {{id: string, pricing?: object}} model as the gateway lists it
 * @returns {"chat"|"embeddings"|"images"|"speech"|"transcription"|"rerank"|"moderation"|"other"}
 */
export function purposeOf({ id, pricing }) {
  const price = pricing && typeof pricing === "object" ? pricing : {};
  const rates = Array.isArray(price.rates) ? price.rates : null;
  if (price.per_image != null || Object.keys(price.images ?? {}).length > 0 || /image|dall-e/i.test(id)) return "images";
  if (price.per_million_characters != null || /tts|speech/i.test(id)) return "speech";
  if (price.per_audio_second != null || /whisper|transcri/i.test(id)) return "transcription";
  if (price.per_search_unit != null || /rerank/i.test(id)) return "rerank";
  if (/moderat/i.test(id)) return "moderation";
  const sells = rates?.some((rate) => Number(rate?.input) > 0) && rates.every((rate) => Number(rate?.output) === 0);
  if (sells || /embed/i.test(id)) return "embeddings";
  return rates?.length === 0 ? "other" : "chat";
}
