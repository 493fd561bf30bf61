// How people work: in their language, in the dark, by keyboard alone, and signing out when they leave.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { visit } from './pages.mjs';
import { PASSWORD, as, until } from './stand.mjs';

const lang = (page) => page.evaluate(() => document.documentElement.lang);
const theme = (page) => page.evaluate(() => document.documentElement.dataset.theme);
const ground = (page) => page.evaluate(() => getComputedStyle(document.body).backgroundColor);

test('the language is switched both ways and remembered', async () => {
  await as('ada', async ({ page }) => {
    await visit(page, '/keys');
    await page.getByRole('button', { name: '中文' }).click();
    await page.getByRole('button', { name: 'English' }).waitFor();
    assert.match(await lang(page), /^zh/);
    assert.match(await page.title(), /[\u4e00-\u9fff]/);
    await page.reload();
    await page.getByRole('button', { name: 'English' }).click();
    await page.getByRole('heading', { name: 'API keys' }).waitFor();
    assert.equal(await lang(page), 'en');
  });
  await as(null, async ({ page }) => {
    await page.goto('/sign-in');
    await page.locator('h1').waitFor();
    assert.match(await lang(page), /^zh/, "a browser's own language is taken");
  }, { locale: 'zh-CN' });
});

test('the theme follows the system until somebody chooses', async () => {
  await as('ada', async ({ page }) => {
    await visit(page, '/overview');
    const dark = await ground(page);
    await page.emulateMedia({ colorScheme: 'light' });
    await until('it is light', async () => (await ground(page)) !== dark);
    await page.getByRole('button', { name: 'Theme' }).click();
    await page.getByRole('menuitemradio', { name: 'Dark' }).click();
    assert.equal(await theme(page), 'dark');
    await until('it is dark', async () => (await ground(page)) === dark);
    await page.reload();
    await page.locator('h1').waitFor();
    assert.equal(await ground(page), dark, 'a choice survives a reload');
  }, { colorScheme: 'dark' });
});

test('from signing in to a sent message by keyboard alone', async () => {
  await as(null, async ({ page, faults }) => {
    faults.expect(401, '/api/session');
    await page.goto('/playground');
    const focused = () => page.evaluate(() => ({ id: document.activeElement.id, text: document.activeElement.innerText, tag: document.activeElement.tagName }));
    const tabTo = async (what, isThere) => {
      for (let presses = 0; presses < 80; presses += 1) {
        if (isThere(await focused())) return;
        await page.keyboard.press('Tab');
        const seen = await page.evaluate(() => {
          const box = document.activeElement.getBoundingClientRect();
          const style = getComputedStyle(document.activeElement);
          // Some marks stand on the frame around a control; what must not be is no size and no mark of any kind.
          return document.activeElement === document.body || (box.width > 0 && box.height > 0 && style.visibility !== 'hidden');
        });
        assert.ok(seen, `the focus is on something that is not seen: ${JSON.stringify(await focused())}`);
      }
      assert.fail(`Tab never reached ${what}`);
    };
    await page.locator('h1').waitFor();
    await page.keyboard.press('Tab');
    assert.equal((await focused()).text, 'Skip to content');
    await page.goto('/sign-in');
    await page.getByLabel('Login').waitFor();
    await page.keyboard.type('ada');
    await page.keyboard.press('Tab');
    await page.keyboard.type('wrong password');
    await page.keyboard.press('Enter');
    await page.getByRole('alert').getByText('Login or password is wrong.').waitFor();
    await page.getByLabel('Password', { exact: true }).focus();
    await page.keyboard.press('Control+A');
    await page.keyboard.type(PASSWORD);
    await page.keyboard.press('Enter');
    await page.getByRole('heading', { name: 'Overview', exact: true }).waitFor();

    await page.keyboard.press('Control+K');
    await page.getByRole('dialog').getByRole('combobox').or(page.getByRole('dialog').getByRole('textbox')).first().waitFor();
    await page.keyboard.type('playgr');
    await page.getByRole('dialog').getByText('Playground').first().waitFor();
    await page.keyboard.press('Enter');
    await page.getByRole('heading', { name: 'Playground', exact: true }).waitFor();
    await until('a model is chosen', async () => (await page.getByLabel('Model', { exact: true }).inputValue()) !== '');
    await page.getByLabel('Model', { exact: true }).selectOption('demo-chat');
    await tabTo('the composer', ({ id }) => id === 'composer');
    await page.keyboard.type('Hello from the keyboard');
    await page.keyboard.press('Control+Enter');
    await page.getByRole('log').getByText('Hello from the keyboard').waitFor();
    await page.getByRole('button', { name: 'Answer again' }).waitFor();

    // The letters g and k, one after the other, lead to the keys; they do not while somebody types.
    await page.keyboard.type('gk');
    assert.equal(new URL(page.url()).pathname, '/playground');
    await page.locator('.who').focus();
    await page.keyboard.press('Enter');
    await until('the menu has the focus', async () => (await focused()).text === 'Account');
    await page.keyboard.press('ArrowUp');
    assert.equal((await focused()).text, 'Sign out');
    await page.keyboard.press('Enter');
    await until('signed out', async () => (await page.getByRole('link', { name: 'Sign in' }).count()) > 0);
    faults.expect(401, '/api/me');
    await page.goto('/keys');
    await page.getByLabel('Login').waitFor();
    assert.equal(new URL(page.url()).searchParams.get('next'), '/keys');
  });
});

test('the other sessions end with a changed password', async () => {
  await as('ada', async ({ page }) => {
    await visit(page, '/account');
    const sessions = page.getByRole('region', { name: 'Sessions' });
    await sessions.getByText('This browser').waitFor();
    await page.getByLabel('Current password').fill(PASSWORD);
    await page.getByLabel('New password').fill(PASSWORD);
    await page.getByRole('button', { name: 'Change password' }).click();
    await page.getByText('The password was changed.').waitFor();
    await until('one session is left', async () => (await sessions.locator('tbody tr').count()) === 1);
  });
});
