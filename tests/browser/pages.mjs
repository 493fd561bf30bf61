// Every page there is, and how to know that one is complete.

export const PUBLIC = ['/', '/docs', '/models', '/status', '/sign-in', '/sign-up', '/playground', '/no-such-page'];
export const WORKSPACE = ['/overview', '/keys', '/usage', '/requests', '/requests/{request}', '/billing', '/account', '/playground'];
export const OPERATE = [
  '/operate',
  '/operate/accounts',
  '/operate/accounts/{account}',
  '/operate/keys',
  '/operate/people',
  '/operate/models',
  '/operate/upstreams',
  '/operate/codes',
  '/operate/ledger',
  '/operate/requests',
  '/operate/actions',
  '/operate/health',
];

/** Opens a page and waits until it shows what it has to show: its heading, its letters, and nothing still under way. */
export async function visit(page, path) {
  await page.goto(path);
  await complete(page);
}

export async function complete(page) {
  await page.locator('h1').first().waitFor();
  await page.waitForFunction(async () => {
    await document.fonts.ready;
    const busy = document.querySelector('[aria-busy="true"], .skeleton');
    const idle = new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(() => resolve(true))));
    return !busy && idle;
  });
}

export const fileName = (path) => path.replaceAll(/[{}]/g, '').replaceAll('/', '-').replace(/^-/, '') || 'landing';
