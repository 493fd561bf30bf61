// One real gateway: the built binary, on free ports, with an empty storage in a folder of its own.

import { execFile, spawn } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { promisify } from 'node:util';

import { HOSTILE_MODEL, startUpstream } from './upstream.mjs';

const run = promisify(execFile);
const READY_WITHIN_MS = 30_000;
const STOPPED_WITHIN_MS = 20_000;

// JSON is YAML.
function config(upstreamUrl, settings) {
  const scripted = (model) => ({
    upstreams: [{ name: 'scripted', model }],
    price: { input: '0.15', cached_input: '0.075', output: '0.60' },
    max_output_tokens: 4096,
  });
  return {
    edge: { listen: ['127.0.0.1:0'], drain: '5s' },
    console: { listen: '127.0.0.1:0', ...settings.console },
    metrics: { listen: '127.0.0.1:0' },
    storage: { url: 'sqlite:tollgate.db' },
    upstreams: {
      demo: { kind: 'demo' },
      scripted: { kind: 'openai', base_url: upstreamUrl, api_keys: ['an-upstream-key'] },
    },
    models: {
      'demo-chat': {
        aliases: ['gpt-4o-mini'],
        upstreams: [{ name: 'demo' }],
        price: { input: '0.15', cached_input: '0.075', output: '0.60' },
        max_output_tokens: 4096,
        output_hold: 1024,
      },
      'demo-embed': { upstreams: [{ name: 'demo' }], price: { input: '0.02', output: '0' } },
      'demo-image': { upstreams: [{ name: 'demo' }], images: { 'standard/1024x1024': '0.04', 'hd/1024x1024': '0.08' } },
      slow: scripted('slow'),
      refusing: scripted('refusing'),
      pictures: { upstreams: [{ name: 'scripted', model: 'pictures' }], images: { 'standard/1024x1024': '0.04' } },
      [HOSTILE_MODEL]: scripted('hostile'),
    },
    groups: { default: {}, partners: { markup: '1.05' } },
    logging: { level: 'info', format: 'json' },
  };
}

export async function startGateway(bin, settings = {}) {
  const upstream = await startUpstream();
  const folder = await mkdtemp(join(tmpdir(), 'tollgate-browser-'));
  const file = join(folder, 'tollgate.yaml');
  await writeFile(file, JSON.stringify(config(upstream.url, settings)));

  const process = spawn(bin, ['serve', '-c', file], { stdio: ['ignore', 'ignore', 'pipe'] });
  const ended = new Promise((resolve) => process.once('exit', resolve));
  const log = [];
  const gateway = {
    upstream,
    log,
    /** Runs one command of the command line and gives its JSON. */
    async cli(...words) {
      const { stdout } = await run(bin, ['-c', file, '--json', ...words], { timeout: 60_000 });
      return stdout.trim() ? JSON.parse(stdout) : null;
    },
    /** Stops it as an operator does, and proves the books. */
    async stop() {
      process.kill('SIGTERM');
      const timer = setTimeout(() => process.kill('SIGKILL'), STOPPED_WITHIN_MS);
      const code = await ended;
      clearTimeout(timer);
      try {
        if (code !== 0) throw new Error(`the gateway ended with ${code}:\n${log.slice(-20).join('\n')}`);
        const books = await gateway.cli('audit');
        if (books.ok === false) throw new Error(`the books do not balance: ${JSON.stringify(books)}`);
      } finally {
        upstream.close();
        await rm(folder, { recursive: true, force: true });
      }
    },
  };
  try {
    Object.assign(gateway, await addresses(process, ended, log));
  } catch (error) {
    process.kill('SIGKILL');
    upstream.close();
    await rm(folder, { recursive: true, force: true });
    throw error;
  }
  return gateway;
}

// Reads them from the log, where people read them too: the edge's, the console's, and the first operator's link.
function addresses(process, ended, log) {
  return new Promise((resolve, reject) => {
    const found = {};
    const failed = (why) => reject(new Error(`${why}:\n${log.slice(-20).join('\n')}`));
    const timer = setTimeout(() => failed('the gateway was not ready in time'), READY_WITHIN_MS);
    createInterface({ input: process.stderr }).on('line', (line) => {
      log.push(line);
      found.invitation ??= line.match(/http:\/\/[^"\s]+\/sign-up#tginv_[\w-]+/)?.[0];
      if (line.includes('"message":"ready"')) {
        found.edge = JSON.parse(line).edge.match(/http:\/\/127\.0\.0\.1:\d+/)[0];
      }
      if (found.edge && found.invitation) {
        clearTimeout(timer);
        resolve({ ...found, console: new URL(found.invitation).origin });
      }
    });
    ended.then((code) => {
      clearTimeout(timer);
      failed(`the gateway ended with ${code}`);
    });
  });
}
