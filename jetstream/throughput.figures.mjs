// Events a second through a relay with a queue, with a spool and in memory, and of the transport, all in one run: `npm run test:jetstream --
// --figures`. The rounds take turns, so that what else the machine does falls on all of them.
import { mkdtempSync, rmSync } from 'node:fs';
import { Agent, createServer, get } from 'node:http';
import { once } from 'node:events';
import { cpus, tmpdir } from 'node:os';
import { join } from 'node:path';
import * as client from '@nats-io/transport-node';
import { jetstreamStore, jetstreamTransport } from '../dist/jetstream/index.js';
import { createRelay } from '../dist/relay/index.js';
import { event, never } from './lib.mjs';
import { serverVersion, startNats } from './server.mjs';

const ROUNDS = 5;
const EVENTS = 3000;
/** Connections of clients, each with one request at a time. */
const CLIENTS = 64;

let arrived = 0;
let onArrival = () => undefined;
const endpoint = createServer((_, response) => {
  arrived += 1;
  response.end();
  onArrival();
});
endpoint.listen(0, '127.0.0.1');
await once(endpoint, 'listening');
const forward = `http://127.0.0.1:${endpoint.address().port}`;
const nats = await startNats();
const operator = await client.connect({ servers: nats.url });
const ofHost = { name: 'HOST', subjects: ['HOST.events'], retention: 'workqueue', discard: 'new', storage: 'file' };
await operator.request('$JS.API.STREAM.CREATE.HOST', JSON.stringify(ofHost), { timeout: 5000 });
const agent = new Agent({ keepAlive: true, maxSockets: CLIENTS });

function ask(url) {
  return new Promise((resolve, reject) => {
    get(`${url}/v3/dag_run?status=success&task_count=1`, { agent }, (response) => {
      response.resume();
      response.on('end', () => resolve(response.statusCode));
    }).on('error', reject);
  });
}

/** @returns Events a second that are answered, and that have arrived, and the processor time of this process for one, in microseconds. */
async function throughRelay(store, spool) {
  const relay = createRelay({
    listen: '127.0.0.1:0',
    forward,
    env: {},
    concurrency: 32,
    maxEventsPerSecond: 1_000_000,
    store,
    spool,
  });
  const { url } = await relay.listen();
  const before = arrived;
  const startedAtMs = performance.now();
  const cpuBefore = process.cpuUsage();
  let left = EVENTS;
  const all = new Promise((resolve) => {
    onArrival = () => arrived - before >= EVENTS && resolve();
  });
  await Promise.all(
    Array.from({ length: CLIENTS }, async () => {
      while (left > 0) {
        left -= 1;
        const status = await ask(url);
        if (status !== 200 && status !== 204) throw new Error(`the relay answers ${status}`);
      }
    }),
  );
  const answeredMs = performance.now() - startedAtMs;
  await all;
  const arrivedMs = performance.now() - startedAtMs;
  const { user, system } = process.cpuUsage(cpuBefore);
  const { sent, dropped, failed } = await relay.close();
  if (sent !== EVENTS || dropped + failed > 0) throw new Error(`${sent} sent, ${dropped} dropped, ${failed} failed`);
  return { answered: (1000 * EVENTS) / answeredMs, arrived: (1000 * EVENTS) / arrivedMs, cpu: (user + system) / EVENTS };
}

async function byTransport() {
  const transport = jetstreamTransport({ client, servers: nats.url, stream: 'HOST' });
  const startedAtMs = performance.now();
  for (let from = 0; from < 2 * EVENTS; from += 256) {
    const { kind } = await transport.send(
      Array.from({ length: Math.min(256, 2 * EVENTS - from) }, () => event()),
      never,
    );
    if (kind !== 'sent') throw new Error(`the transport says ${kind}`);
  }
  const ms = performance.now() - startedAtMs;
  await transport.close();
  await operator.request('$JS.API.STREAM.PURGE.HOST', '', { timeout: 5000 });
  return { answered: (2000 * EVENTS) / ms };
}

const spools = [];
const ways = {
  'relay, queue': () => throughRelay(jetstreamStore({ client, servers: nats.url, stream: 'FIGURES', required: true }), undefined),
  'relay, spool': () => {
    spools.push(mkdtempSync(join(tmpdir(), 'cosmos-figures-')));
    return throughRelay(undefined, spools.at(-1));
  },
  'relay, memory': () => throughRelay(undefined, undefined),
  transport: byTransport,
};
const seen = new Map(Object.keys(ways).map((name) => [name, []]));
try {
  // The first round warms up.
  for (let round = 0; round <= ROUNDS; round += 1)
    for (const [name, run] of Object.entries(ways)) {
      const figures = await run();
      if (round > 0) seen.get(name).push(figures);
    }
} finally {
  agent.destroy();
  endpoint.close();
  endpoint.closeAllConnections();
  await operator.close();
  await nats.end();
  for (const spool of spools) rmSync(spool, { recursive: true, force: true });
}

const sorted = (name, what) =>
  seen
    .get(name)
    .map((figures) => figures[what])
    .toSorted((left, right) => left - right);
const words = (numbers) => {
  const [least, median, most] = [numbers[0], numbers[Math.floor(numbers.length / 2)], numbers.at(-1)].map((each) => Math.round(each));
  return `${median.toLocaleString('en')} (${least.toLocaleString('en')} - ${most.toLocaleString('en')})`;
};
console.log(
  `${ROUNDS} rounds of ${EVENTS} events, ${CLIENTS} clients; Node ${process.version}, nats-server ${serverVersion()}, ${cpus().length} cores`,
);
for (const name of seen.keys())
  console.log(
    `${name}: ${words(sorted(name, 'answered'))} confirmed events/s${name === 'transport' ? '' : `, ${words(sorted(name, 'arrived'))} delivered, ${words(sorted(name, 'cpu'))} us of processor time`}`,
  );
const ratios = (what) => seen.get('relay, queue').map((figures, round) => figures[what] / seen.get('relay, spool')[round][what]);
for (const what of ['answered', 'arrived', 'cpu']) {
  const numbers = ratios(what).toSorted((left, right) => left - right);
  const [least, median, most] = [numbers[0], numbers[Math.floor(numbers.length / 2)], numbers.at(-1)].map((each) => each.toFixed(2));
  console.log(`queue over spool in the same round, ${what}: ${median} (${least} - ${most})`);
}
