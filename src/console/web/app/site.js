// What anybody may know about this gateway: name, currency, where clients call it.
import { signal } from "./ui.js";

/** The answer of GET /api/site, or null before it came. */
export const site = signal(null);

/** The base URL that goes into an OpenAI client: the edge's address with the path its clients expect. */
export const baseUrl = () => {
  const edge = (site.value?.edge_url ?? "").replace(/\/+$/, "");
  const paths = site.value?.base_paths ?? [];
  return edge + (paths.includes("/v1") ? "/v1" : (paths[0] ?? "/v1"));
};
