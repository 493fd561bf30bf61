// What all flows share: one gateway, one browser, and the people that the first flows have made.

import assert from 'node:assert/strict';
import { join } from 'node:path';

import { launch, openContext } from './browser.mjs';
import { startGateway } from './gateway.mjs';

export const PASSWORD = 'correct horse battery';
export const stand = {
  /** @type {Awaited<ReturnType<typeof startGateway>>} */
  gateway: undefined,
  /** @type {import('playwright-core').Browser} */
  browser: undefined,
  /** Cookies and storage of who has signed in, by login. */
  people: {},
};

export async function open() {
  stand.gateway = await startGateway(process.env.TOLLGATE_BIN);
  stand.browser = await launch();
}

export async function close() {
  await stand.browser?.close();
  await stand.gateway?.stop();
}

/** Runs a flow in a context of its own, as somebody who has signed in or as nobody, and fails if anything went wrong on the way. */
export async function as(login, flow, { expect = [], gateway = stand.gateway, ...options } = {}) {
  const storageState = login ? stand.people[login] : undefined;
  if (login) assert.ok(storageState, `${login} has not signed in: an earlier flow failed`);
  const { context, faults } = await openContext(stand.browser, gateway.console, { storageState, ...options });
  // A page that nobody has signed in to asks who it is for, and hears that it is nobody.
  if (!login) faults.expect(401, '/api/me');
  for (const [status, path] of expect) faults.expect(status, path);
  const page = await context.newPage();
  try {
    await flow({ context, faults, page, api: apiOf(context) });
    faults.none();
  } catch (error) {
    // What the page looked like says more than a time-out.
    await page.screenshot({ path: join(process.env.SCREENSHOTS, `failed-${Date.now()}.png`) }).catch(() => {});
    const cause = faults.take();
    if (cause.length) error.stack += `\nbefore that:\n  ${cause.join('\n  ')}`;
    throw error;
  } finally {
    await context.close();
  }
}

/** Asks the admin API with the context's own session: `await api('POST', '/api/keys', {…})` gives the answer's JSON. */
export function apiOf(context) {
  return async (method, path, data) => {
    const headers = { 'x-tollgate-console': '1', origin: stand.gateway.console };
    const response = await context.request.fetch(stand.gateway.console + path, { method, headers, data });
    assert.ok(response.ok(), `${method} ${path}: ${response.status()} ${await response.text()}`);
    return response.status() === 204 ? null : response.json();
  };
}

/** One request to the edge, as a customer's program sends it. */
export async function ask(key, body, { path = '/v1/chat/completions', headers = {} } = {}) {
  const response = await fetch(stand.gateway.edge + path, {
    method: 'POST',
    headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json', ...headers },
    body: JSON.stringify(body),
  });
  return { status: response.status, id: response.headers.get('x-request-id'), text: await response.text() };
}

/** Waits until `condition` gives something that is not false, and gives that. */
export async function until(what, condition, withinMs = 5_000) {
  const end = Date.now() + withinMs;
  for (;;) {
    const result = await condition();
    if (result) return result;
    assert.ok(Date.now() < end, `not within ${withinMs} ms: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}
