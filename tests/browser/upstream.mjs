// A provider that does on command what real ones do by accident: the model's name says what.

import { once } from 'node:events';
import http from 'node:http';

// Runs as script, as attribute, as address and as template, wherever somebody forgets to escape.
export const PAYLOAD = `"'><img src=x onerror=alert(1)><script>alert(2)</script><svg/onload=alert(3)>{{7*7}}\${7*7}`;
// The same for a model's name, which has no spaces.
export const HOSTILE_MODEL = `<svg/onload=alert(4)>"'&amp;{{7*7}}`;
const EVIL_ADDRESS = 'http://192.0.2.1/pixel.png';
const HOSTILE_ANSWER = [
  PAYLOAD,
  `\n\n[a link](javascript:alert(5)) <a href="javascript:alert(6)">x</a> ![picture](${EVIL_ADDRESS})\n\n`,
  '```html\n',
  '<script>alert(7)</script>\n',
  '```\n',
  `\n| a | b |\n|---|---|\n| ${PAYLOAD} | <iframe srcdoc="<script>alert(8)</script>"></iframe> |\n`,
];
const PACE_MS = 25;

export async function startUpstream() {
  const provider = { slowStreams: { open: 0, cut: 0 } };
  const server = http.createServer((request, response) => {
    answer(request, response, provider).catch(() => response.destroy());
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  provider.url = `http://127.0.0.1:${server.address().port}/v1`;
  provider.close = () => {
    server.closeAllConnections();
    server.close();
  };
  return provider;
}

async function answer(request, response, provider) {
  const chunks = [];
  for await (const chunk of request) chunks.push(chunk);
  // A probe asks for the models.
  if (request.method === 'GET') return json(response, 500, { error: { message: PAYLOAD, type: PAYLOAD } });
  const asked = JSON.parse(Buffer.concat(chunks));
  if (asked.model === 'slow') return slow(response, provider);
  if (asked.model === 'refusing') {
    return json(response, 400, { error: { message: PAYLOAD, type: PAYLOAD, code: PAYLOAD, param: PAYLOAD } });
  }
  if (asked.model === 'pictures') return json(response, 200, { created: 1, data: [{ url: EVIL_ADDRESS }] });
  return stream(response, asked.model, HOSTILE_ANSWER);
}

// Never ends by itself: only somebody who stops it ends it.
async function slow(response, provider) {
  provider.slowStreams.open += 1;
  let gone = false;
  response.on('close', () => {
    gone = true;
    provider.slowStreams.open -= 1;
    provider.slowStreams.cut += 1;
  });
  response.writeHead(200, { 'content-type': 'text/event-stream' });
  for (let word = 1; !gone && word <= 2000; word += 1) {
    event(response, 'slow', { delta: { content: `word ${word} ` } });
    await new Promise((resolve) => setTimeout(resolve, PACE_MS));
  }
}

function stream(response, model, pieces) {
  response.writeHead(200, { 'content-type': 'text/event-stream' });
  for (const piece of pieces) event(response, model, { delta: { content: piece } });
  event(response, model, { delta: {}, finish_reason: 'stop' }, { prompt_tokens: 20, completion_tokens: 50, total_tokens: 70 });
  response.end('data: [DONE]\n\n');
}

function event(response, model, choice, usage) {
  const chunk = { id: 'chatcmpl-1', object: 'chat.completion.chunk', created: 1, model, choices: [{ index: 0, ...choice }] };
  response.write(`data: ${JSON.stringify(usage ? { ...chunk, usage } : chunk)}\n\n`);
}

function json(response, status, value) {
  response.writeHead(status, { 'content-type': 'application/json' });
  response.end(JSON.stringify(value));
}
