// Running the gateway: money, people's accounts, upstreams, the books.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { visit } from './pages.mjs';
import { as, ask, until } from './stand.mjs';

test('an account is created, credited, corrected, suspended and resumed', async () => {
  await as('ada', async ({ page, api }) => {
    await visit(page, '/operate/accounts');
    await page.getByRole('button', { name: 'Create account' }).click();
    const drawer = page.getByRole('dialog', { name: 'Create account' });
    await drawer.getByLabel('Name').fill('harbour');
    await drawer.getByLabel('Money to begin with').fill('3');
    await drawer.getByRole('button', { name: 'Create account' }).click();
    await page.getByRole('heading', { name: 'harbour' }).waitFor();
    const id = new URL(page.url()).pathname.split('/').pop();
    const key = await api('POST', '/api/keys', { name: 'crane', account: id });
    const status = async () => (await ask(key.key, { model: 'demo-chat', max_tokens: 4, messages: [{ role: 'user', content: 'Hi' }] })).status;
    await until('its key works', async () => (await status()) === 200);

    await page.getByRole('button', { name: 'Credit', exact: true }).click();
    const credit = page.getByRole('dialog', { name: 'Credit harbour' });
    await credit.getByRole('radio', { name: 'Adjustment' }).check();
    await credit.getByLabel('Amount').fill('-0.5');
    await credit.getByLabel('Reason').fill('Counted twice');
    await credit.getByRole('button', { name: 'Book it' }).click();
    await page.getByRole('row', { name: /Adjustment.*Counted twice/ }).waitFor();
    const [entry] = (await api('GET', `/api/accounts/${id}/ledger?kind=adjust`)).data;
    assert.equal(entry.amount, '-0.5');

    await page.getByRole('button', { name: 'Suspend' }).click();
    await page.getByRole('dialog', { name: 'Suspend harbour?' }).getByRole('button', { name: 'Suspend' }).click();
    await page.getByText('harbour is suspended.').waitFor();
    await until('the edge refuses it', async () => (await status()) >= 400, 1_000);
    await page.getByRole('button', { name: 'Undo' }).click();
    await until('the edge takes it again', async () => (await status()) === 200, 1_000);

    await visit(page, '/operate/actions');
    const row = page.getByRole('row', { name: /ada.*Counted twice/s }).first();
    await row.waitFor();
    assert.match(await row.innerText(), /127\.0\.0\.1/);
  });
});

test('an upstream is probed, the configuration read again, the books proved', async () => {
  await as('ada', async ({ page }) => {
    await visit(page, '/operate/upstreams');
    await page.getByRole('row', { name: /demo/ }).getByRole('button', { name: 'Probe' }).click();
    await page.getByRole('row', { name: /demo/ }).getByText('200').waitFor();

    await visit(page, '/operate/health');
    assert.ok(!(await page.content()).includes('an-upstream-key'), 'a secret is shown');
    await page.getByRole('button', { name: 'Reload configuration' }).click();
    await page.getByText('The configuration was reloaded.').waitFor();

    await visit(page, '/operate/ledger');
    await page.getByRole('button', { name: 'Prove the books' }).click();
    await page.getByText('The books balance').waitFor({ timeout: 15_000 });
    await page.getByLabel('Kind').selectOption('credit');
    await page.getByRole('cell', { name: 'To begin with' }).waitFor();
    const download = page.waitForEvent('download');
    await page.getByRole('button', { name: 'CSV' }).click();
    assert.match((await download).suggestedFilename(), /ledger.*\.csv$/);
  });
});

test('requests are filtered in the address, and a reload keeps it', async () => {
  await as('ada', async ({ page }) => {
    await visit(page, '/requests');
    const rows = page.getByRole('region', { name: 'Requests' }).locator('tbody tr');
    await page.getByRole('combobox', { name: 'Model' }).selectOption('slow');
    await until('only one is left', async () => (await rows.count()) === 1 && /slow/.test(await rows.first().innerText()));
    assert.equal(new URL(page.url()).searchParams.get('model'), 'slow');
    await page.reload();
    await until('still only one', async () => (await rows.count()) === 1 && /slow/.test(await rows.first().innerText()));
    assert.equal(await page.getByRole('combobox', { name: 'Model' }).inputValue(), 'slow');
    await page.goBack();
    await until('all of them again', async () => (await rows.count()) > 3);
    await page.getByRole('combobox', { name: 'Endpoint' }).selectOption({ index: 1 });
    await until('chats are found', async () => (await rows.count()) > 3);
    await page.getByRole('button', { name: 'Clear filters' }).click();
    assert.equal(new URL(page.url()).search, '');

    // A row is opened by a click anywhere on it, and by the link in it for keyboards.
    await rows.first().locator('td').nth(2).click();
    await page.getByRole('dialog', { name: 'Request' }).waitFor();
    await page.keyboard.press('Escape');
    await page.getByRole('button', { name: 'Live' }).click();
    await page.getByText('Live: new requests appear by themselves').waitFor();
    const download = page.waitForEvent('download');
    await page.getByRole('button', { name: 'CSV' }).click();
    assert.equal((await download).suggestedFilename(), 'tollgate-requests.csv');
  });
});

test('a search goes on where the server has not looked yet, and a cut file is told', async () => {
  await as('ada', async ({ page }) => {
    // More rows than one call looks through are too many to make here: the answers are.
    let calls = 0;
    await page.route(/\/api\/requests\?/, (route) => {
      calls += 1;
      if (route.request().headers().accept === 'text/csv') {
        return route.fulfill({ contentType: 'text/csv', headers: { link: '</api/requests?after=x>; rel="next"' }, body: 'id\r\n' });
      }
      return route.fulfill({ json: { data: [], next: `part-${calls}` } });
    });
    await visit(page, '/requests?model=rare');
    await page.getByText('Nothing found so far').waitFor();
    assert.equal(calls, 10);
    assert.equal(await page.getByText('Nothing matches').count(), 0);
    await page.getByRole('button', { name: 'Show more' }).click();
    await until('the next parts were asked for', async () => calls === 20);
    await page.getByRole('button', { name: 'CSV' }).click();
    await page.getByText('The file ends after 10,000 rows').waitFor();
  });
});

test('a pasted key stays out of the address', async () => {
  await as('ada', async ({ page, api }) => {
    const made = await api('POST', '/api/keys', { name: 'pasted', account: 'harbour' });
    const asked = [];
    page.on('request', (request) => asked.push(decodeURIComponent(request.url())));
    await visit(page, '/operate/keys');
    await page.getByRole('searchbox').fill(made.key);
    await until('the address has what lists show of it', async () => new URL(page.url()).searchParams.get('q') === made.prefix);
    const rows = page.locator('.card table tbody tr');
    await until('its row alone is left', async () => (await rows.count()) === 1 && (await rows.first().innerText()).startsWith('pasted'));
    assert.deepEqual(asked.filter((url) => url.includes(made.key)), []);
  });
});

test('days are days of UTC wherever their reader is', async () => {
  await as('ada', async ({ page }) => {
    await visit(page, '/usage');
    const chart = page.locator('.chart-card');
    await chart.getByRole('button', { name: 'Show as table' }).click();
    await chart.getByRole('columnheader', { name: 'Day (UTC)' }).waitFor();
    const today = new Intl.DateTimeFormat('en-US', { month: 'short', day: 'numeric', timeZone: 'UTC' }).format(new Date());
    assert.equal(await chart.locator('tbody td').first().innerText(), today);
  }, { timezoneId: 'America/Los_Angeles' });
});

test('what was used is found by day, model and key, and leads to its requests', async () => {
  await as('ada', async ({ page }) => {
    await visit(page, '/usage');
    await page.getByText('demo-chat').first().waitFor();
    const table = page.getByRole('region', { name: 'Usage', exact: true });
    await page.getByRole('combobox', { name: 'Account' }).selectOption({ label: 'All accounts' });
    for (const [by, row] of [['Day', /^20\d\d-\d\d-\d\d/], ['Key', /^laptop/], ['Account', /^harbour/], ['Upstream', /^scripted/], ['Model', /^demo-embed/]]) {
      await page.getByRole('radio', { name: by, exact: true }).check();
      await until(`grouped by ${by}`, async () => (await table.locator('tbody tr').allInnerTexts()).some((text) => row.test(text.trim())));
    }
    assert.deepEqual(await colorsMissing(page), [], 'colours of the legend that the chart does not have');
    await table.getByRole('link', { name: 'demo-embed' }).click();
    await page.getByRole('heading', { name: 'Requests' }).waitFor();
    await until('the requests of that model alone', async () => {
      const models = await page.getByRole('region', { name: 'Requests' }).locator('tbody code.mono').allInnerTexts();
      return models.length > 0 && models.every((model) => model === 'demo-embed');
    });
  });
});

// A canvas has no elements to ask: its points are looked through for each colour that the legend names.
function colorsMissing(page) {
  return page.evaluate(() => {
    const pixels = (canvas) => canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data;
    const drawn = new Set();
    const plot = pixels(document.querySelector('.chart-card canvas'));
    for (let i = 0; i < plot.length; i += 4) if (plot[i + 3] === 255) drawn.add(plot.slice(i, i + 3).join());
    const one = document.createElement('canvas');
    one.width = one.height = 1;
    return [...document.querySelectorAll('.legend-item')]
      .filter((item) => /demo-image|pictures/.test(item.innerText))
      .map((item) => {
        const context = one.getContext('2d');
        context.fillStyle = getComputedStyle(item.querySelector('.swatch')).backgroundColor;
        context.fillRect(0, 0, 1, 1);
        return pixels(one).slice(0, 3).join();
      })
      .filter((color) => !drawn.has(color));
  });
}
