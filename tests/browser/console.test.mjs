// The console in a real browser, flow after flow on one gateway: what an earlier flow makes, the later ones find.

import { after, before } from 'node:test';

import { close, open } from './stand.mjs';

before(open, { timeout: 60_000 });
after(close, { timeout: 60_000 });

await import('./watch.mjs');
await import('./first-steps.mjs');
await import('./playground.mjs');
await import('./customer.mjs');
await import('./operator.mjs');
await import('./habits.mjs');
await import('./hostile.mjs');
await import('./sweep.mjs');
