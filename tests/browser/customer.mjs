// Somebody who was invited: in by a link, up by a code, and never into another's things.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { startGateway } from './gateway.mjs';
import { OPERATE, complete, visit } from './pages.mjs';
import { PASSWORD, as, stand, until } from './stand.mjs';

test('an invitation makes a customer', async () => {
  let link;
  await as('ada', async ({ page, api }) => {
    stand.shop = await api('POST', '/api/accounts', { name: 'shop' });
    await visit(page, '/operate/people');
    await page.getByRole('button', { name: 'Invite' }).click();
    const drawer = page.getByRole('dialog', { name: 'Invite' });
    await drawer.getByLabel('Account').fill('no-such-account');
    // The answer's words belong to the field they are about.
    await drawer.getByRole('button', { name: 'Make link' }).click();
    await drawer.getByRole('alert').first().waitFor();
    await drawer.getByLabel('Account').fill('shop');
    await drawer.getByLabel('Note').fill('For the shop');
    await drawer.getByRole('button', { name: 'Make link' }).click();
    link = await page.getByRole('dialog', { name: 'Link' }).getByLabel('Link', { exact: true }).inputValue();
    await page.getByRole('button', { name: 'Done' }).click();
    await page.getByRole('cell', { name: 'For the shop' }).waitFor();
    assert.ok(!(await page.content()).includes(new URL(link).hash.slice(1)), 'the link is not shown again');
  }, { expect: [[422, '/api/invitations'], [404, '/api/invitations'], [400, '/api/invitations']] });
  await as(null, async ({ context, page }) => {
    await page.goto(link);
    await page.getByText('You will act for the account shop.').waitFor();
    await page.getByLabel('Login').fill('bob');
    await page.getByLabel('Password', { exact: true }).fill(PASSWORD);
    await page.getByRole('button', { name: 'Create sign-in' }).click();
    await page.getByRole('heading', { name: 'Overview', exact: true }).waitFor();
    await complete(page);
    stand.people.bob = await context.storageState();
  });
});

test('a code is redeemed once, however it is typed', async () => {
  let code;
  await as('ada', async ({ page }) => {
    await visit(page, '/operate/codes');
    await page.getByRole('button', { name: 'Make codes' }).first().click();
    const drawer = page.getByRole('dialog', { name: 'Make codes' });
    await drawer.getByLabel('Batch').fill('spring');
    await drawer.getByLabel('Each is worth').fill('7.25');
    await drawer.getByLabel('How many').fill('3');
    await drawer.getByRole('button', { name: 'Make codes' }).click();
    const made = page.getByRole('dialog', { name: '3 codes' });
    const codes = (await made.getByRole('region', { name: 'Redeem codes' }).innerText()).trim().split('\n');
    assert.equal(codes.length, 3);
    const download = page.waitForEvent('download');
    await made.getByRole('button', { name: 'CSV' }).click();
    assert.equal((await download).suggestedFilename(), 'spring.csv');
    // They can never be seen again: neither Escape nor a press beside the dialog may lose them.
    await page.keyboard.press('Escape');
    await page.mouse.click(5, 5);
    assert.ok(await made.getByRole('button', { name: 'Done' }).isDisabled());
    await made.getByLabel('I have stored them').check();
    await made.getByRole('button', { name: 'Done' }).click();
    [code] = codes;
    // One of the others is taken back.
    await page.getByRole('row', { name: new RegExp(codes[1].slice(-4)) }).getByRole('button', { name: 'Void' }).click();
    await page.getByRole('dialog').getByRole('button', { name: 'Void' }).click();
    await page.getByText('The code is void.').waitFor();
  });
  await as('bob', async ({ page, faults, api }) => {
    await visit(page, '/billing');
    const field = page.getByLabel('Code', { exact: true });
    await field.fill(code.toLowerCase().replaceAll('-', ' '));
    await page.getByRole('button', { name: 'Redeem', exact: true }).click();
    await page.getByText(/7\.25 was added/).waitFor();
    assert.equal((await api('GET', '/api/me')).account.balance, '7.25');
    await page.getByRole('link', { name: /7\.25.*Top up/ }).waitFor();
    faults.expect(422, '/api/redeem');
    await field.fill(code);
    await page.getByRole('button', { name: 'Redeem', exact: true }).click();
    await page.getByRole('alert').waitFor();
    assert.equal((await api('GET', '/api/me')).account.balance, '7.25');
  });
});

test('a customer sees nothing of others, and no page of the operator', async () => {
  await as('bob', async ({ page, faults, context }) => {
    await visit(page, '/requests');
    await page.getByText('No requests yet').waitFor();
    assert.equal(await page.getByText('Operator', { exact: true }).count(), 0);
    for (const path of OPERATE) {
      await page.goto(path.replace('{account}', stand.account));
      await page.getByRole('heading', { name: 'Not for you' }).waitFor();
    }
    faults.expect(404, '/api/requests/');
    await page.goto(`/requests/${stand.request}`);
    await page.getByRole('dialog').getByRole('alert').waitFor();

    const headers = { 'x-tollgate-console': '1' };
    const status = async (path) => (await context.request.get(stand.gateway.console + path, { headers })).status();
    for (const path of ['/api/people', '/api/ledger', '/api/audit', '/api/health', '/api/config', '/api/actions', '/api/upstreams', '/api/redeem-codes', '/api/invitations']) {
      assert.equal(await status(path), 403, path);
    }
    assert.equal(await status(`/api/accounts/${stand.account}`), 404);
    assert.equal(await status(`/api/requests/${stand.request}`), 404);
  });
});

test('a customer makes a key and uses it; the operator who disables them ends their session', async () => {
  await as('bob', async ({ page, api }) => {
    await visit(page, '/keys?new=1');
    await page.getByRole('dialog').getByLabel('Name').fill('till');
    await page.getByRole('dialog').getByRole('button', { name: 'Create key' }).click();
    const note = page.getByRole('dialog', { name: '“till” is ready' });
    assert.match(await note.getByLabel('The key', { exact: true }).inputValue(), /^sk-tg-/);
    await note.getByLabel('I have stored it').check();
    await note.getByRole('button', { name: 'Done' }).click();
    assert.deepEqual((await api('GET', '/api/keys')).data.map((key) => [key.name, key.account]), [['till', 'shop']]);
  });
  await as('ada', async ({ page }) => {
    await visit(page, '/operate/people');
    await page.getByRole('button', { name: 'Actions for bob' }).click();
    await page.getByRole('menuitem', { name: 'Disable' }).click();
    await page.getByRole('dialog').getByRole('button', { name: 'Disable' }).click();
    await page.getByText('bob is disabled.').waitFor();
  });
  await as('bob', async ({ page, faults }) => {
    faults.expect(401, '/api/');
    await page.goto('/overview');
    await page.getByRole('heading', { name: 'Sign in' }).waitFor();
    assert.equal(new URL(page.url()).pathname, '/sign-in');
  });
});

test('a lost password is replaced by a link, which ends the sessions and works once', async () => {
  const NEW = `${PASSWORD}, renewed`;
  let link;
  await as('ada', async ({ page, api }) => {
    const invited = await api('POST', '/api/invitations', { role: 'customer', account: 'shop' });
    await as(null, async ({ context, page }) => {
      await page.goto(invited.url);
      await page.getByLabel('Login').fill('cleo');
      await page.getByLabel('Password', { exact: true }).fill(PASSWORD);
      await page.getByRole('button', { name: 'Create sign-in' }).click();
      await page.getByRole('heading', { name: 'Overview', exact: true }).waitFor();
      stand.people.cleo = await context.storageState();
    });
    await visit(page, '/operate/people');
    await page.getByRole('button', { name: /cleo/ }).click();
    await page.getByRole('menuitem', { name: 'Reset password' }).click();
    link = await page.getByRole('dialog', { name: 'Link' }).getByLabel('Link', { exact: true }).inputValue();
    await page.getByRole('button', { name: 'Done' }).click();
    await page.getByRole('cell', { name: 'Password of cleo' }).waitFor();
  });
  await as(null, async ({ page }) => {
    await page.goto(link);
    await page.getByText('cleo').first().waitFor();
    await page.getByLabel('New password', { exact: true }).fill(NEW);
    await page.getByRole('button', { name: 'Set password' }).click();
    await page.getByRole('heading', { name: 'Overview', exact: true }).waitFor();
  });
  const refused = async (what) => {
    await as(null, async ({ page, faults }) => {
      faults.expect(404, '/api/invitation');
      faults.expect(401, '/api/session');
      await what(page);
      await page.getByRole('alert').first().waitFor();
    });
  };
  await refused((page) => page.goto(link));
  await refused(async (page) => {
    await page.goto(`${stand.gateway.console}/sign-in`);
    await page.getByLabel('Login').fill('cleo');
    await page.getByLabel('Password', { exact: true }).fill(PASSWORD);
    await page.getByRole('button', { name: 'Sign in' }).last().click();
  });
  await as('cleo', async ({ page, faults }) => {
    faults.expect(401, '/api/me');
    await page.goto(`${stand.gateway.console}/overview`);
    await page.getByLabel('Login').waitFor();
  });
});

test('where sign-up is open, anybody becomes a customer of an account of their own', async () => {
  const gateway = await startGateway(process.env.TOLLGATE_BIN, { console: { sign_up: 'open' } });
  try {
    await as(null, async ({ page }) => {
      await page.goto(`${gateway.console}/sign-in`);
      await page.getByRole('link', { name: 'Sign up' }).click();
      await page.getByLabel('Login').fill('passer-by');
      await page.getByLabel('Password', { exact: true }).fill(PASSWORD);
      await page.getByRole('button', { name: 'Create sign-in' }).click();
      await page.getByRole('heading', { name: 'Overview', exact: true }).waitFor();
      const me = await page.evaluate(async () => (await fetch('/api/me', { headers: { 'x-tollgate-console': '1' } })).json());
      assert.deepEqual([me.role, me.account.name, me.account.balance], ['customer', 'passer-by', '0']);
    }, { gateway });
  } finally {
    await gateway.stop();
  }
});
