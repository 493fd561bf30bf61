// Every page in every dress: does it fit, can everybody use it, does it keep quiet?

import assert from 'node:assert/strict';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';

import { accessibilityFaults, overflow } from './browser.mjs';
import { OPERATE, PUBLIC, WORKSPACE, fileName, visit } from './pages.mjs';
import { as, stand } from './stand.mjs';

const PICTURES = process.env.SCREENSHOTS;
const DRESSES = [
  { name: 'en-light-1440', lang: 'en', theme: 'light', width: 1440, axe: true },
  { name: 'zh-dark-1440', lang: 'zh', theme: 'dark', width: 1440, axe: true },
  { name: 'en-light-390', lang: 'en', theme: 'light', width: 390 },
];
// The narrowest window that WCAG 1.4.10 asks for; tried on the pages of the last dress, without another load.
const NARROWEST = 320;

for (const dress of DRESSES) {
  for (const [who, login, paths] of [
    ['signed out', null, PUBLIC],
    ['signed in', 'ada', [...WORKSPACE, ...OPERATE]],
  ]) {
    test(`every page ${who}, ${dress.name}`, async () => {
      const found = [];
      const options = { viewport: { width: dress.width, height: dress.width < 500 ? 844 : 900 }, bypassCSP: !!dress.axe };
      await as(login, async ({ context, page, faults }) => {
        faults.expect(404, '/no-such-page');
        await wear(context, dress);
        for (const path of paths) {
          const faults = await look(page, path, dress, who).catch((error) => [error.message]);
          found.push(...faults.map((fault) => `${path}: ${fault}`));
        }
      }, options).catch((error) => found.push(error.message));
      assert.equal(found.length, 0, `\n  ${found.join('\n  ')}`);
    });
  }
}

async function wear(context, { lang, theme }) {
  await context.addInitScript(([lang, theme]) => {
    localStorage.setItem('tollgate_lang', lang);
    localStorage.setItem('tollgate_theme', theme);
  }, [lang, theme]);
  const url = stand.gateway.console;
  await context.addCookies([
    { name: 'tollgate_lang', value: lang, url },
    { name: 'tollgate_theme', value: theme, url },
  ]);
}

async function look(page, path, dress, who) {
  await visit(page, path.replace('{request}', stand.request).replace('{account}', stand.account));
  const found = [];
  const lang = await page.evaluate(() => document.documentElement.lang);
  if (!lang.startsWith(dress.lang)) found.push(`speaks ${lang}, not ${dress.lang}`);
  found.push(...(await overflow(page)));
  const folder = join(PICTURES, dress.name);
  await mkdir(folder, { recursive: true });
  const name = who === 'signed out' ? `public-${fileName(path)}` : fileName(path);
  await page.screenshot({ path: join(folder, `${name}.png`), animations: 'disabled' });
  if (dress.axe) found.push(...(await accessibilityFaults(page)));
  if (dress.width < 500) {
    await page.setViewportSize({ width: NARROWEST, height: 844 });
    found.push(...(await overflow(page)).map((fault) => `at ${NARROWEST} px: ${fault}`));
    await page.setViewportSize({ width: dress.width, height: 844 });
  }
  return found;
}
