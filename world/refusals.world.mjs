// An intermediary answers for the endpoint, and the relay is killed meanwhile: the built command with a spool on disk, `kill -9` in the
// middle of each outage, then the origin is back. Every acknowledged event must arrive, and nothing may be counted as failed.
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { startRelay } from './lib/relay-process.mjs';

const EVENTS = 40;
const WAIT_MS = 30_000;

const failures = [];
function expect(holds, what) {
  if (!holds) failures.push(what);
}

const REFUSE = {
  'an edge, 521': (response) => response.writeHead(521).end(),
  'an edge, 507': (response) => response.writeHead(507).end('<h1>error</h1>'),
  'an edge, 599': (response) => response.writeHead(599).end(),
  'a captive portal, 302': (response) => response.writeHead(302, { location: 'http://portal.invalid/login' }).end(),
  'a captive portal, 511': (response) => response.writeHead(511).end(),
  'a gateway, 403': (response) => response.writeHead(403).end(),
};

/** What stands at the endpoint's address now: an intermediary, or undefined for the endpoint itself. */
let intermediary;
const arrived = new Map();
const endpoint = createServer((request, response) => {
  if (intermediary !== undefined) {
    intermediary(response);
    return;
  }
  arrived.set(request.url, (arrived.get(request.url) ?? 0) + 1);
  response.writeHead(200).end();
});
endpoint.listen(0, '127.0.0.1');
await once(endpoint, 'listening');

const folder = mkdtempSync(join(tmpdir(), 'cosmos-telemetry-refusals-'));
let relay;

function start() {
  return startRelay({ folder, spool: join(folder, 'spool'), forward: `http://127.0.0.1:${endpoint.address().port}` });
}

/** A metric of the relay, summed over its labels. */
async function metric(name) {
  const { text } = await relay.get('/metrics');
  const found = [...text.matchAll(new RegExp(`^cosmos_relay_${name}(?:\\{.*\\})? (.+)$`, 'gm'))];
  return found.reduce((sum, [, value]) => sum + Number(value), 0);
}

async function until(what, holds) {
  for (const endMs = Date.now() + WAIT_MS; Date.now() < endMs; await sleep(20)) if (await holds()) return;
  failures.push(`${what}: not within ${WAIT_MS} ms`);
}

let next = 0;
async function acknowledge(count) {
  const targets = [];
  for (let index = 0; index < count; index += 1, next += 1) {
    const target = `/v3/dag_run?status=success&task_count=${next}`;
    const { status } = await relay.get(target);
    expect(status === 204, `event ${next} was answered with ${status}`);
    targets.push(target);
  }
  return targets;
}

try {
  relay = await start();
  for (const [name, refuse] of Object.entries(REFUSE)) {
    intermediary = refuse;
    const targets = await acknowledge(EVENTS);
    await until(`${name}: the pause`, async () => (await metric('paused')) === 1);
    const failedBefore = await metric('events_failed_total');
    await relay.kill();
    relay = await start();
    const [recovered, maybeTwice] = [await metric('events_recovered_total'), await metric('events_maybe_sent_twice_total')];
    expect(recovered === EVENTS, `${name}: ${recovered} of ${EVENTS} events were recovered`);
    // Those in flight, and those that came back a moment ago: their marks are written with the next ones.
    expect(maybeTwice <= 12, `${name}: ${maybeTwice} events in doubt, of 6 in flight at a time`);
    await until(`${name}: the second pause`, async () => (await metric('paused')) === 1);
    intermediary = undefined;
    await until(`${name}: delivery`, async () => (await metric('events_pending')) === 0);
    const failed = failedBefore + (await metric('events_failed_total'));
    const missing = targets.filter((target) => !arrived.has(target)).length;
    const twice = targets.filter((target) => arrived.get(target) > 1).length;
    expect(missing === 0 && failed === 0 && twice === 0, `${name}: ${missing} missing, ${failed} failed, ${twice} twice`);
    console.log(`${name}, kill -9 in between: ${EVENTS - missing} of ${EVENTS} delivered, ${maybeTwice} in doubt, ${failed} failed`);
  }
} finally {
  await relay?.kill();
  endpoint.close();
  endpoint.closeAllConnections();
  rmSync(folder, { recursive: true, force: true });
}

for (const failure of failures) console.error(`FAILED: ${failure}`);
process.exitCode = failures.length === 0 ? 0 : 1;
