/**
 * Keys out of what people type: an address ends up in histories, logs and screenshots, and a search needs no whole key.
 */
const SECRET = /\b(?:sk-|tgadm_)[\w-]{16,}/g;
/** A whole key of ours: prefix, 32 random characters, a checksum of 6. */
const OURS = /^sk-tg-[0-9A-Za-z]{38}$/;

/** The same text with every key in it as lists show it: `sk-tg-abcd…wxyz`, or its beginning where it is not whole. */
export const withoutSecrets = (text) => text.replace(SECRET, (key) => (OURS.test(key) ? `${key.slice(0, 10)}…${key.slice(-4)}` : key.slice(0, 10)));
