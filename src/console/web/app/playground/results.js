/**
 * What embeddings and image endpoints answer, as values to draw.
 *
 * A picture is shown only if its bytes begin like one of three raster formats: an SVG could carry more than a picture.
 * An address is never fetched: the page loads nothing from elsewhere, and the upstream need not know who looked.
 */

const VECTORS_MAX = 64;
const PICTURES_MAX = 10;

/** How each format's bytes begin, in base64. */
const FORMATS = [
  { begins: "iVBORw0KGgo", type: "image/png", extension: "png" },
  { begins: "/9j/", type: "image/jpeg", extension: "jpg" },
  { begins: "UklGR", type: "image/webp", extension: "webp" },
];

/** @returns {{vectors: {dimensions: number, preview: string, text: string}[], closeness: (number|null)[][]}} */
export function vectorsOf(whole) {
  const found = dataOf(whole)
    .slice(0, VECTORS_MAX)
    .map((item) => numbers(item?.embedding))
    .filter((vector) => vector !== null);
  return {
    vectors: found.map((vector) => ({
      dimensions: vector.length,
      preview: `[${vector.slice(0, 6).map((value) => value.toFixed(4)).join(", ")}${vector.length > 6 ? ", …" : ""}]`,
      text: JSON.stringify(vector),
    })),
    closeness: found.slice(0, 12).map((one) => found.slice(0, 12).map((other) => cosine(one, other))),
  };
}

/** @returns {({data: string, extension: string} | {address: string})[]} */
export function picturesOf(whole) {
  return dataOf(whole)
    .slice(0, PICTURES_MAX)
    .flatMap((item) => {
      const base64 = item?.b64_json;
      const format = typeof base64 === "string" && FORMATS.find(({ begins }) => base64.startsWith(begins));
      if (format && /^[A-Za-z0-9+/]+={0,2}$/.test(base64)) {
        return [{ data: `data:${format.type};base64,${base64}`, extension: format.extension }];
      }
      return typeof item?.url === "string" ? [{ address: item.url.slice(0, 2_000) }] : [];
    });
}

function dataOf(whole) {
  try {
    const { data } = JSON.parse(whole);
    return Array.isArray(data) ? data : [];
  } catch {
    return [];
  }
}

/** A vector's numbers: as a list, or as little-endian floats in base64, which clients may ask for. */
function numbers(embedding) {
  if (Array.isArray(embedding)) return embedding.length > 0 && embedding.every(Number.isFinite) ? embedding : null;
  if (typeof embedding !== "string") return null;
  try {
    const bytes = Uint8Array.from(atob(embedding), (character) => character.charCodeAt(0));
    if (bytes.length === 0 || bytes.length % 4 !== 0) return null;
    const view = new DataView(bytes.buffer);
    const vector = Array.from({ length: bytes.length / 4 }, (_, index) => view.getFloat32(index * 4, true));
    return vector.every(Number.isFinite) ? vector : null;
  } catch {
    return null;
  }
}

function cosine(one, other) {
  if (one.length !== other.length) return null;
  let [dot, a, b] = [0, 0, 0];
  for (let index = 0; index < one.length; index += 1) {
    dot += one[index] * other[index];
    a += one[index] ** 2;
    b += other[index] ** 2;
  }
  return a > 0 && b > 0 ? dot / Math.sqrt(a * b) : null;
}
