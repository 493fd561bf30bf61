// Everything that strangers can write, written to hurt. Nothing may run, ask or leave: here where it is most likely, and
// afterwards in the sweep over every page, which finds all of it there.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { visit } from './pages.mjs';
import { PASSWORD, as, ask, stand, until } from './stand.mjs';
import { HOSTILE_MODEL, PAYLOAD } from './upstream.mjs';

const messages = [{ role: 'user', content: PAYLOAD }];

test('hostile text is stored as it is', async () => {
  await as('ada', async ({ api }) => {
    const key = await api('POST', '/api/keys', { name: PAYLOAD, account: stand.account });
    stand.hostileKey = key;
    await api('POST', `/api/accounts/${stand.account}/credits`, { amount: '1', note: PAYLOAD, ref: PAYLOAD });
    await api('POST', '/api/redeem-codes', { name: PAYLOAD, amount: '1', count: 1, note: PAYLOAD });
    await api('POST', '/api/invitations', { role: 'customer', account: stand.account, note: PAYLOAD });
    await api('PATCH', `/api/keys/${key.id}`, { budget: '5' });
    for (const model of [HOSTILE_MODEL, 'refusing', PAYLOAD]) {
      await ask(key.key, { model, messages }, { headers: { 'user-agent': PAYLOAD } });
    }
    await ask(key.key, { model: HOSTILE_MODEL, messages, stream: true });
    // Records are written a moment after their answers.
    const isThere = (request) => request.model === HOSTILE_MODEL && request.outcome === 'ok';
    await until('its record is there', async () => (await api('GET', '/api/requests?limit=50')).data.some(isThere));
  });
  await as(null, ({ api }) => api('POST', '/api/session', { login: 'ada', password: PASSWORD }), { userAgent: PAYLOAD });
});

test('no address and no search runs it', async () => {
  await as('ada', async ({ page, api, faults }) => {
    faults.expect(404, '/%22');
    const { data } = await api('GET', `/api/requests?model=${encodeURIComponent(HOSTILE_MODEL)}`);
    stand.request = data[0].id;
    for (const path of ['/account', '/keys?q=%3Cscript%3Ealert(9)%3C%2Fscript%3E', '/%22%3E%3Cscript%3Ealert(9)%3C%2Fscript%3E', '/sign-in?next=javascript:alert(10)', '/sign-in?next=//192.0.2.1/']) {
      await visit(page, path);
      if (path === '/account') await page.getByText('<script>alert(2)').first().waitFor();
      assert.equal(new URL(page.url()).origin, stand.gateway.console);
    }
    await page.keyboard.press('Control+K');
    await page.keyboard.type('<svg');
    await page.getByRole('dialog').getByText(HOSTILE_MODEL).first().waitFor();
  });
});

test('no answer of a model or of an upstream runs', async () => {
  await as('ada', async ({ page, faults }) => {
    faults.expect(400, '/api/playground/');
    await visit(page, `/playground?key=${stand.hostileKey.id}&model=${encodeURIComponent(HOSTILE_MODEL)}`);
    const say = async (model) => {
      await until('models are there', async () => (await page.getByLabel('Model', { exact: true }).locator('option').count()) > 3);
      await page.getByLabel('Model', { exact: true }).selectOption(model);
      await page.locator('#composer').fill(PAYLOAD);
      await page.getByRole('button', { name: 'Send' }).click();
    };
    await say(HOSTILE_MODEL);
    await page.getByRole('log').getByText('alert(8)').first().waitFor();
    await page.getByRole('button', { name: 'Answer again' }).waitFor();
    assert.equal(await page.getByRole('log').locator('script, img, iframe, [onerror], [onload], a[href^="javascript:"]').count(), 0);
    await page.getByRole('button', { name: /raw events/ }).click();
    await page.getByRole('dialog').getByText('alert(8)').first().waitFor();
    await page.keyboard.press('Escape');
    await page.getByRole('button', { name: 'Copy as code' }).click();
    await page.getByRole('dialog').getByText('alert(2)').first().waitFor();
    await page.keyboard.press('Escape');
    await say('refusing');
    await page.getByRole('alert').getByText('alert(2)').first().waitFor();

    // A picture at a stranger's address is named, never fetched: looking at it would tell who looks.
    await page.getByRole('radio', { name: 'Images' }).check();
    await say('pictures');
    await page.getByText('Picture at').waitFor();
  });
});

test('a hostile probe is words', async () => {
  await as('ada', async ({ page }) => {
    await visit(page, '/operate/upstreams');
    await page.getByRole('row', { name: /scripted/ }).getByRole('button', { name: 'Probe' }).click();
    await page.getByRole('row', { name: /scripted/ }).getByText('500').waitFor();
  });
});
