// Who is signed in, and what that lets the shell show. The server decides again on every request.
import { del, get, signedOut } from "./api.js";
import { computed, effect, signal } from "./ui.js";
import { site } from "./site.js";

export { site };

/** The answer of GET /api/me; null when nobody is signed in; undefined before we know. */
export const me = signal(undefined);
export const isOperator = computed(() => me.value?.role === "operator");
/** The signed-in person's own account with its balance, or null. */
export const account = computed(() => me.value?.account ?? null);
export const login = computed(() => me.value?.person?.login ?? "");

/** Asks once at start who we are; a failure other than "nobody" is the caller's to show. */
export async function loadSession() {
  const [who, where] = await Promise.all([
    get("/api/me").catch((error) => {
      if (error.status === 401) return null;
      throw error;
    }),
    get("/api/site"),
  ]);
  site.value = where;
  me.value = who;
}

/** Fetches the person again: after a credit, a redeemed code, a changed name. */
export async function refreshMe() {
  me.value = await get("/api/me");
}

export async function signOut() {
  await del("/api/session").catch((error) => {
    if (error.status !== 401) throw error; // already signed out elsewhere is what was asked for
  });
  me.value = null;
}

effect(() => {
  if (signedOut.value && me.peek()) me.value = null;
});
