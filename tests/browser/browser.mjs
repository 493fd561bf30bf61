// One Chromium, and contexts in which nothing may go wrong unseen.

import { existsSync } from 'node:fs';
import { delimiter, join } from 'node:path';

import axe from 'axe-core';
import { chromium } from 'playwright-core';

const FLAGS = [
  '--headless=new',
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];
const PROGRAMS = ['chromium', 'chromium-browser', 'google-chrome'];
const PATIENCE_MS = 8_000;

export function launch() {
  return chromium.launch({ executablePath: program(), args: FLAGS, ignoreDefaultArgs: ['--headless'] });
}

function program() {
  const folders = (process.env.PATH ?? '').split(delimiter);
  const places = PROGRAMS.flatMap((name) => folders.map((folder) => join(folder, name)));
  const found = process.env.CHROMIUM ?? places.find((place) => existsSync(place));
  if (!found) throw new Error(`none of ${PROGRAMS.join(', ')} is installed (or set CHROMIUM)`);
  return found;
}

/**
 * A context whose every fault is kept: script errors, messages on the console, requests that fail, answers of 400 and
 * more, violations of the content security policy, dialogs, and pages that reach for another host.
 * `faults.expect(status, path)` allows one kind of answer that a test provokes. `faults.none()` throws what there was.
 */
export async function openContext(browser, origin, options = {}) {
  const context = await browser.newContext({
    baseURL: origin,
    locale: 'en-GB',
    timezoneId: 'Europe/Vienna',
    viewport: { width: 1440, height: 900 },
    reducedMotion: 'reduce',
    ...options,
  });
  context.setDefaultTimeout(PATIENCE_MS);
  const found = [];
  const expected = [];
  const isExpected = (status, url) =>
    expected.some((one) => one.status === status && new URL(url).pathname.startsWith(one.path));
  // Chromium reports each refused request on the console too: the answer itself says more, and is judged below.
  const onNetwork = (text) => text.startsWith('Failed to load resource: the server responded with a status');

  await context.addInitScript(() => {
    document.addEventListener('securitypolicyviolation', (event) => {
      console.error(`policy violation: ${event.violatedDirective} ${event.blockedURI} ${event.sample}`);
    });
  });
  context.on('weberror', (error) => found.push(`script error: ${error.error().stack}`));
  context.on('console', (message) => {
    if (message.type() === 'error' && !onNetwork(message.text())) {
      found.push(`console: ${message.text()} (${message.location().url})`);
    }
  });
  context.on('dialog', (dialog) => {
    found.push(`dialog: ${dialog.message()}`);
    dialog.dismiss().catch(() => {});
  });
  context.on('request', (request) => {
    const url = new URL(request.url());
    if (!['data:', 'blob:'].includes(url.protocol) && url.origin !== origin) found.push(`leaves the house: ${url}`);
  });
  context.on('requestfailed', (request) => {
    // A page that is left, and the Stop button, give up what is under way.
    const why = request.failure()?.errorText;
    if (why !== 'net::ERR_ABORTED') found.push(`request failed: ${request.method()} ${request.url()} ${why}`);
  });
  context.on('response', (response) => {
    const status = response.status();
    if (status >= 400 && !isExpected(status, response.url())) {
      found.push(`answer ${status}: ${response.request().method()} ${response.url()}`);
    }
  });

  const faults = {
    expect: (status, path) => expected.push({ status, path }),
    take: () => [...new Set(found.splice(0))],
    none() {
      const all = faults.take();
      if (all.length) throw new Error(`${all.length} faults on the pages:\n  ${all.join('\n  ')}`);
    },
  };
  return { context, faults };
}

/** What axe finds against WCAG 2.2 A and AA, one line for each node. Needs a context that bypasses the policy. */
export async function accessibilityFaults(page) {
  await page.evaluate(`typeof axe === 'undefined' && (() => { ${axe.source} })()`);
  const violations = await page.evaluate(async () => {
    const tags = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa'];
    const results = await window.axe.run(document, { runOnly: { type: 'tag', values: tags }, resultTypes: ['violations'] });
    return results.violations.map(({ id, help, nodes }) => ({
      id,
      help,
      nodes: nodes.map((node) => ({ target: node.target.join(' '), why: node.failureSummary, html: node.html.slice(0, 160) })),
    }));
  });
  return violations.flatMap(({ id, help, nodes }) =>
    nodes.slice(0, 4).map((node) => `${id} (${help}): ${node.target} ${node.html}\n      ${node.why.replaceAll('\n', '\n      ')}`),
  );
}

/** Elements that reach beyond the window's right edge and are not inside something that scrolls; empty if all is well. */
export function overflow(page) {
  return page.evaluate(async () => {
    // Charts measure themselves a frame after the window has changed.
    for (let frame = 0; frame < 3; frame += 1) await new Promise(requestAnimationFrame);
    const width = document.documentElement.clientWidth;
    const sideways = document.scrollingElement.scrollWidth - width;
    if (sideways <= 0) return [];
    const scrolls = (it) => it !== document.body && (['auto', 'scroll', 'hidden', 'clip'].includes(getComputedStyle(it).overflowX) || (it.parentElement && scrolls(it.parentElement)));
    const beyond = [...document.querySelectorAll('body *')].filter((it) => it.getBoundingClientRect().right > width + 1 && !scrolls(it.parentElement));
    const innermost = beyond.filter((it) => !beyond.some((other) => other !== it && it.contains(other)));
    const name = (it) => `<${it.tagName.toLowerCase()} class="${it.getAttribute('class') ?? ''}">`;
    return [`the page is ${sideways} px wider than the window`, ...innermost.slice(0, 5).map(name)];
  });
}
