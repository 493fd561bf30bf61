// The watch itself: a test that looks for faults proves something only if it would see them.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { accessibilityFaults, overflow } from './browser.mjs';
import { as, until } from './stand.mjs';

test('what goes wrong on a page is seen', async () => {
  await as(null, async ({ page, faults }) => {
    await page.goto('/sign-in');
    await page.locator('h1').waitFor();
    await page.evaluate(() => {
      console.error('a message');
      setTimeout(() => { throw new Error('a script error'); });
      setTimeout(() => alert('a dialog'));
      try {
        document.body.setAttribute('onclick', 'void 0');
      } catch {
        // Refused by Trusted Types, which must be reported too.
      }
      new Image().src = 'http://192.0.2.1/pixel.png';
      return fetch('/api/nothing-here');
    });
    const seen = [];
    const kinds = [/console: a message/, /script error: .*a script error/s, /dialog: a dialog/, /policy violation: require-trusted-types-for/, /policy violation: img-src/, /answer 404: .*nothing-here/];
    await until('every kind is reported', () => {
      seen.push(...faults.take());
      return kinds.every((kind) => seen.some((fault) => kind.test(fault)));
    }).catch((error) => assert.fail(`${error.message}: ${seen.join('\n')}`));
  });
  await as(null, async ({ page }) => {
    await page.goto('/sign-in');
    await page.locator('h1').waitFor();
    assert.deepEqual(await overflow(page), []);
    assert.deepEqual(await accessibilityFaults(page), []);
    await page.evaluate(() => {
      const wide = document.createElement('img');
      wide.width = 3_000;
      document.body.append(wide);
    });
    assert.ok((await overflow(page)).length > 0);
    assert.match((await accessibilityFaults(page)).join(), /image-alt/);
  }, { bypassCSP: true });
});
