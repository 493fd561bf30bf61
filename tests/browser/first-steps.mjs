// From an empty storage to a key that works, and one that no longer does.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { complete, visit } from './pages.mjs';
import { PASSWORD, as, ask, stand, until } from './stand.mjs';

const hello = { model: 'demo-chat', max_tokens: 16, messages: [{ role: 'user', content: 'Hello!' }] };

test('the first operator signs up with the link of the log, once', async () => {
  await as(null, async ({ context, page }) => {
    await page.goto(stand.gateway.invitation);
    await page.getByText('You will run this gateway.').waitFor();
    assert.equal(await page.evaluate(() => document.querySelector('[autofocus]') === document.activeElement), true);
    await page.getByLabel('Login').fill('ada');
    await page.getByLabel('Password', { exact: true }).fill('too short');
    assert.ok(await page.getByRole('button', { name: 'Create sign-in' }).isDisabled());
    await page.getByLabel('Password', { exact: true }).fill(PASSWORD);
    await page.getByRole('button', { name: 'Create sign-in' }).click();
    await page.getByRole('heading', { name: 'Overview', exact: true }).waitFor();
    await page.getByText('Three steps to the first answer').waitFor();
    await complete(page);
    stand.people.ada = await context.storageState();
    const cookie = stand.people.ada.cookies.find((one) => /session/.test(one.name));
    assert.ok(cookie.httpOnly && cookie.sameSite === 'Lax');
  });
  await as(null, async ({ page, faults }) => {
    faults.expect(404, '/api/invitation');
    await page.goto(stand.gateway.invitation);
    await page.getByRole('alert').getByText('not_found').waitFor();
  });
});

test('an operator credits the own account, makes a key, copies it, uses it', async () => {
  await as('ada', async ({ context, page, api }) => {
    await context.grantPermissions(['clipboard-read', 'clipboard-write']);
    stand.account = (await api('GET', '/api/me')).account.id;
    await visit(page, '/overview');
    await page.getByRole('main').getByRole('link', { name: 'Top up' }).click();
    await page.getByRole('button', { name: 'Credit', exact: true }).click();
    const drawer = page.getByRole('dialog');
    await drawer.getByLabel('Amount').fill('25');
    assert.ok(await drawer.getByRole('button', { name: 'Book it' }).isDisabled(), 'a credit needs a reason');
    await drawer.getByLabel('Reason').fill('To begin with');
    await drawer.getByRole('button', { name: 'Book it' }).click();
    await page.getByText(/was booked; the balance is .*25/).waitFor();
    await page.getByRole('cell', { name: 'To begin with' }).waitFor();

    await page.getByRole('link', { name: 'API keys' }).click();
    await page.getByRole('button', { name: 'Create key' }).first().click();
    await page.getByRole('dialog').getByLabel('Name').fill('laptop');
    await page.getByRole('dialog').getByRole('button', { name: 'Create key' }).click();
    const note = page.getByRole('dialog', { name: '“laptop” is ready' });
    stand.key = await note.getByLabel('The key', { exact: true }).inputValue();
    assert.match(stand.key, /^sk-tg-/);
    await note.locator('.copy-field').getByRole('button', { name: 'Copy' }).click();
    assert.equal(await page.evaluate(() => navigator.clipboard.readText()), stand.key);
    const done = note.getByRole('button', { name: 'Done' });
    assert.ok(await done.isDisabled(), 'the key is shown once: leaving needs a word');
    await page.keyboard.press('Escape');
    assert.ok(await note.isVisible(), 'Escape does not throw the key away');
    await note.getByLabel('I have stored it').check();
    await done.click();
    await page.getByRole('cell', { name: /laptop sk-tg-/ }).waitFor();
    assert.ok(!(await page.content()).includes(stand.key), 'the key is nowhere on the page any more');

    const answer = await ask(stand.key, hello);
    assert.equal(answer.status, 200, answer.text);
    stand.request = answer.id;
    await page.getByRole('link', { name: 'Overview', exact: true }).click();
    await page.getByRole('region', { name: 'Recent requests' }).getByText('demo-chat').waitFor();
    await page.getByText('Success').first().waitFor();
  });
});

test('a disabled key is refused within a second, and works again when that is undone', async () => {
  await as('ada', async ({ page }) => {
    await visit(page, '/keys');
    await page.getByRole('button', { name: 'Actions for laptop' }).click();
    await page.getByRole('menuitem', { name: 'Disable' }).click();
    await page.getByRole('status').getByText('laptop is disabled.').waitFor();
    await until('the edge refuses', async () => /key_disabled/.test((await ask(stand.key, hello)).text), 1_000);
    await page.getByRole('button', { name: 'Undo' }).click();
    await until('the edge takes it again', async () => (await ask(stand.key, hello)).status === 200, 1_000);
    await page.getByRole('cell', { name: 'Active', exact: true }).first().waitFor();
  });
});

test('a key is changed, rotated with an overlap, and deleted by typing its name', async () => {
  await as('ada', async ({ page, api }) => {
    const made = await api('POST', '/api/keys', { name: 'short-lived', account: stand.account });
    await visit(page, '/keys');
    await page.getByRole('button', { name: 'short-lived' }).first().click();
    const drawer = page.getByRole('dialog', { name: 'Edit short-lived' });
    await drawer.getByLabel('Budget').fill('1.5');
    await drawer.getByLabel('Requests / min').fill('many');
    await drawer.getByText('Use a whole number.').waitFor();
    assert.ok(await drawer.getByRole('button', { name: 'Save' }).isDisabled());
    await drawer.getByLabel('Requests / min').fill('600');
    await drawer.getByRole('button', { name: 'Save' }).click();
    await page.getByText('short-lived was saved.').waitFor();
    const changed = await api('GET', `/api/keys/${made.id}`);
    assert.equal(changed.budget, '1.5');
    assert.equal(changed.limits.rpm, 600);

    await page.getByRole('button', { name: 'Actions for short-lived' }).click();
    await page.getByRole('menuitem', { name: 'Rotate' }).click();
    await page.getByRole('dialog', { name: 'Rotate short-lived' }).getByRole('button', { name: 'Rotate' }).click();
    const note = page.getByRole('dialog', { name: '“short-lived” is ready' });
    const second = await note.getByLabel('The key', { exact: true }).inputValue();
    assert.notEqual(second, made.key);
    await note.getByLabel('I have stored it').check();
    await note.getByRole('button', { name: 'Done' }).click();
    for (const key of [made.key, second]) {
      await until('both keys work', async () => (await ask(key, hello)).status === 200, 1_500);
    }

    const rows = page.getByRole('button', { name: 'Actions for short-lived' });
    await until('both are listed', async () => (await rows.count()) === 2);
    await rows.first().click();
    await page.getByRole('menuitem', { name: 'Delete' }).click();
    const question = page.getByRole('dialog', { name: 'Delete short-lived?' });
    const button = question.getByRole('button', { name: 'Delete' });
    assert.ok(await button.isDisabled());
    await question.getByRole('textbox').fill('short-lived');
    await button.click();
    await page.getByText('short-lived was deleted.').waitFor();
    await until('one is left', async () => (await rows.count()) === 1);
  });
});
