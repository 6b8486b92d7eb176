// Three relays on one stream under load, of which one is killed every few seconds for a minute, and a server that is restarted once. What
// clients and hosts were told is stored must reach the endpoint; what comes twice must be counted, and be no more than was in flight.
import { spawn } from 'node:child_process';
import { createServer, Agent, get } from 'node:http';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { startNats } from './server.mjs';

const LOAD_MS = 60_000;
const KILL_EVERY_MS = 5000;
const RELAYS = 3;
/** `concurrency` of a relay: what it may have sent without an acknowledgement when it is killed. */
const IN_FLIGHT = 6;

/** How often each event has arrived, by its number. */
const arrived = new Map();
const collector = createServer((request, response) => {
  const count = Number(/task_count=(\d+)/.exec(request.url)?.[1]);
  arrived.set(count, (arrived.get(count) ?? 0) + 1);
  response.writeHead(200).end();
});
collector.listen(0, '127.0.0.1');
await once(collector, 'listening');
const forward = `http://127.0.0.1:${collector.address().port}/up`;
const nats = await startNats();

const program = (name, options) =>
  spawn(process.execPath, [join(import.meta.dirname, name), JSON.stringify(options)], { stdio: ['pipe', 'pipe', 'inherit'] });

/** All relays that were ever started. */
const started = [];

async function startRelay() {
  const child = program('relay-program.mjs', { servers: nats.url, forward });
  const lines = createInterface({ input: child.stdout });
  const [url] = await once(lines, 'line', { signal: AbortSignal.timeout(15_000) });
  const relay = { child, url, maybeSentTwice: 0, report: undefined };
  lines.on('line', (line) => Object.assign(relay, JSON.parse(line)));
  started.push(relay);
  return relay;
}

const relays = await Promise.all(Array.from({ length: RELAYS }, startRelay));
const agent = new Agent({ keepAlive: true, maxSockets: 32 });
/** Events that a relay confirmed: those in the queue, and those in the memory of a relay, which a kill may take. */
const inQueue = [];
const inMemory = new Set();
let refused = 0;
let unanswered = 0;

function ask(url, count) {
  return new Promise((resolve) => {
    const request = get(`${url}/v3/dag_run?status=success&task_count=${count}`, { agent, timeout: 5000 }, (response) => {
      let body = '';
      response.on('data', (chunk) => (body += chunk));
      response.on('end', () => resolve({ status: response.statusCode, body }));
      response.on('error', () => resolve({ status: 0 }));
    });
    request.on('timeout', () => request.destroy());
    request.on('error', () => resolve({ status: 0 }));
  });
}

const startedAtMs = performance.now();
const isLoading = () => performance.now() - startedAtMs < LOAD_MS;
let next = 0;
async function client(index) {
  while (isLoading()) {
    const count = next;
    next += 1;
    const { status, body } = await ask(relays[(index + count) % RELAYS].url, count);
    if (status === 200 && body.startsWith('accepted by the queue')) inQueue.push(count);
    else if (status === 204) inQueue.push(count);
    else if (status === 200) inMemory.add(count);
    else if (status === 0) unanswered += 1;
    else refused += 1;
    await sleep(10);
  }
}

let kills = 0;
async function killer() {
  await sleep(KILL_EVERY_MS / 2);
  while (performance.now() - startedAtMs < LOAD_MS - KILL_EVERY_MS) {
    const index = kills % RELAYS;
    const { child } = relays[index];
    const ended = once(child, 'exit');
    child.kill('SIGKILL');
    kills += 1;
    await ended;
    relays[index] = await startRelay();
    await sleep(KILL_EVERY_MS);
  }
}

let restarts = 0;
async function restarter() {
  await sleep(LOAD_MS / 2);
  await nats.stop();
  await sleep(1000);
  await nats.start();
  restarts += 1;
}

async function producer() {
  const child = program('producer-program.mjs', { servers: nats.url, producer: 1, ms: LOAD_MS, every: 50 });
  const lines = createInterface({ input: child.stdout });
  let report;
  for await (const line of lines) report = JSON.parse(line);
  return report;
}

let isFine = true;
const check = (isRight, text) => {
  isFine &&= isRight;
  console.log(`${isRight ? 'ok' : 'NOT'}: ${text}`);
};

try {
  const [produced] = await Promise.all([producer(), killer(), restarter(), ...Array.from({ length: 8 }, (_, index) => client(index))]);
  const missing = () => [...inQueue, ...produced.sent].filter((count) => !arrived.has(count));
  // What a killed relay held comes to another one after the time of an acknowledgement.
  const untilMs = performance.now() + 30_000;
  while (missing().length > 0 && performance.now() < untilMs) await sleep(100);
  const reports = await Promise.all(
    relays.map(async (relay) => {
      const ended = once(relay.child, 'close');
      relay.child.stdin.end();
      await ended;
      return relay.report;
    }),
  );
  const twice = [...arrived.values()].filter((times) => times > 1).length;
  const marked = started.reduce((sum, { maybeSentTwice }) => sum + maybeSentTwice, 0);
  const unbalanced = reports.filter(({ published, sent, failed, dropped, pending }) => published !== sent + failed + dropped + pending);
  const inFlight = (kills + restarts * RELAYS) * IN_FLIGHT;
  console.log(`${next} requests: ${inQueue.length} in the queue, ${inMemory.size} in memory, ${refused} refused, ${unanswered} unanswered`);
  console.log(`${produced.made} events of a host, ${produced.sent.length} confirmed; ${kills} kills, ${restarts} restarts of the server`);
  console.log(`${arrived.size} events arrived, ${twice} twice; the relays counted ${marked} that might`);
  const lostInMemory = [...inMemory].filter((count) => !arrived.has(count)).length;
  console.log(`${lostInMemory} events of those in memory ended with a killed relay`);
  check(kills >= 8 && restarts === 1, 'relays were killed, and the server restarted');
  check(inQueue.length > 1000 && produced.sent.length > 1000, 'the load is no toy');
  check(missing().length === 0, `no confirmed event is missing (${missing().length})`);
  check(twice <= marked, 'what arrived twice is counted');
  check(twice <= inFlight, `${twice} events arrived twice, ${inFlight} were in flight at most`);
  check(unbalanced.length === 0, 'the accounts of each relay balance');
} finally {
  for (const { child } of relays) child.kill('SIGKILL');
  await nats.end();
  collector.close();
  collector.closeAllConnections();
  agent.destroy();
}
process.exitCode = isFine ? 0 : 1;
