// Trying models in the browser: what is shown is what was measured and charged.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { visit } from './pages.mjs';
import { as, stand, until } from './stand.mjs';

const composer = (page) => page.getByRole('textbox', { name: 'Message the model…' });
const log = (page) => page.getByRole('log');
const measure = (page, name) => page.locator('.strip .measure', { hasText: name }).locator('dd');
const charged = async (page) => {
  await until('the cost is there', async () => /\d/.test(await measure(page, 'Cost').innerText()));
  return measure(page, 'Cost').innerText();
};

test('a streamed answer, what it cost, and its bill to the last digit', async () => {
  await as('ada', async ({ page, api }) => {
    await visit(page, '/playground?model=demo-chat');
    await composer(page).fill('Say hello.');
    await page.getByRole('button', { name: 'Send' }).click();
    await page.getByRole('button', { name: 'Answer again' }).waitFor();
    assert.equal(await log(page).getAttribute('aria-busy'), 'false');
    assert.match(await charged(page), /[1-9]/);
    assert.match(await measure(page, 'TTFT').innerText(), /\d+ ?m?s/);

    const link = page.getByTitle('Open this request');
    const id = await link.innerText();
    const request = await api('GET', `/api/requests/${id}`);
    assert.equal(request.outcome, 'ok');
    assert.ok(request.streamed && request.ttft_ms !== null);
    await link.click();
    const drawer = page.getByRole('dialog', { name: 'Request' });
    await drawer.getByText('Adds up to the charge').waitFor();
    assert.equal(new URL(page.url()).pathname, `/requests/${id}`);
    const total = await drawer.locator('.bill-total .number').innerText();
    assert.ok(total.includes(request.charge), `${total} is not ${request.charge}`);
    await page.keyboard.press('Escape');
    await drawer.waitFor({ state: 'hidden' });

    // The conversation is still there for who comes back.
    await page.getByRole('link', { name: 'Playground', exact: true }).click();
    await log(page).getByText('Say hello.').waitFor();
    await page.getByRole('button', { name: 'Clear', exact: true }).click();
    await page.getByText('Try a model', { exact: true }).waitFor();
  });
});

test('Stop ends the upstream too, and what had come is charged', async () => {
  await as('ada', async ({ page, api }) => {
    const { slowStreams } = stand.gateway.upstream;
    const before = slowStreams.cut;
    await visit(page, '/playground?model=slow');
    await composer(page).fill('Count without end.');
    await page.keyboard.press('Control+Enter');
    await log(page).getByText('word 10 ').waitFor();
    assert.equal(slowStreams.open, 1);
    await page.keyboard.press('Escape');
    await page.getByText('stopped', { exact: true }).waitFor();
    await until('the upstream is let go', () => slowStreams.open === 0 && slowStreams.cut === before + 1, 1_000);
    assert.match(await charged(page), /[1-9]/);

    const id = await page.getByTitle('Open this request').innerText();
    const request = await api('GET', `/api/requests/${id}`);
    assert.equal(request.outcome, 'client_gone');
    assert.ok(request.output_tokens >= 10 && request.output_tokens < 500, JSON.stringify(request));
    assert.ok(Number(request.charge) > 0);
  });
});

test('two models side by side, vectors, pictures', async () => {
  await as('ada', async ({ page }) => {
    await visit(page, '/playground');
    await page.getByRole('button', { name: 'Compare two' }).click();
    await page.getByLabel('Model A').selectOption('demo-chat');
    await page.getByLabel('Model B').selectOption('demo-chat');
    await page.getByRole('button', { name: 'Explain' }).click();
    await page.getByRole('button', { name: 'Send' }).click();
    await until('both answered', async () => (await page.getByRole('button', { name: 'Answer again' }).count()) === 2);

    await page.getByRole('radio', { name: 'Embeddings' }).check();
    await page.getByLabel('Model', { exact: true }).selectOption('demo-embed');
    await page.getByRole('textbox', { name: 'One text a line…' }).fill('a cat\na kitten');
    await page.getByRole('button', { name: 'Send' }).click();
    await page.getByText('How close they are').waitFor();

    await page.getByRole('radio', { name: 'Images' }).check();
    await page.getByLabel('Model', { exact: true }).selectOption('demo-image');
    await page.getByRole('textbox', { name: 'Describe a picture…' }).fill('a gate at dawn');
    await page.getByRole('button', { name: 'Send' }).click();
    const picture = page.getByRole('log').getByRole('img').first();
    await picture.waitFor();
    await until('it is drawn', () => picture.evaluate((it) => it.complete && it.naturalWidth > 0));
  });
});

test('without a sign-in, a pasted key works and stays in memory', async () => {
  await as(null, async ({ page, context }) => {
    await visit(page, '/playground');
    await page.getByLabel('Pasted key').fill(stand.key);
    await page.getByLabel('Model', { exact: true }).selectOption('demo-chat');
    await composer(page).fill('Hello?');
    await page.getByRole('button', { name: 'Send' }).click();
    await page.getByRole('button', { name: 'Answer again' }).waitFor();
    assert.match(await charged(page), /[1-9]/);
    const stored = JSON.stringify(await context.storageState());
    assert.ok(!stored.includes(stand.key), 'the key was stored');
    await page.reload();
    await page.getByLabel('Pasted key').waitFor();
    assert.equal(await page.getByLabel('Pasted key').inputValue(), '');
  });
});

test('what the gateway refuses is said where the answer would have been', async () => {
  await as(null, async ({ page, faults }) => {
    faults.expect(401, '/api/playground/');
    await visit(page, '/playground');
    await page.getByLabel('Pasted key').fill(`sk-tg-${'x'.repeat(40)}`);
    await page.getByText('This key is not valid.').waitFor();
  });
  await as('ada', async ({ page, faults, api }) => {
    const poor = await api('POST', '/api/accounts', { name: 'poor' });
    const key = await api('POST', '/api/keys', { name: 'empty', account: poor.id });
    faults.expect(402, '/api/playground/');
    await visit(page, '/playground');
    await page.getByLabel('API key').selectOption({ label: 'Paste a key…' });
    await page.getByLabel('Pasted key').fill(key.key);
    await page.getByLabel('Model', { exact: true }).selectOption('demo-chat');
    await composer(page).fill('Hello?');
    await page.getByRole('button', { name: 'Send' }).click();
    const alert = page.getByRole('alert');
    await alert.getByText('The balance does not cover this request.').waitFor();
    await alert.getByText('402').waitFor();
  });
});
