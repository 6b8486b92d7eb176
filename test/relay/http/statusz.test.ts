// `/statusz` of a relay that listens: what it says in an outage, of an opt-out and at the end, and to whom it says nothing.
import 'p-queue';
import { createServer } from 'node:http';
import test from 'ava';
import { systemClock } from '../../../src/base/clock.js';
import type { RelayStatus } from '../../../src/relay/index.js';
import { createRelayWith } from '../../../src/relay/relay.js';
import { startCollector } from '../../../src/testing/index.js';
import { refusedPort } from '../../../src/testing/collector.js';
import { listen as listenOn } from '../../helpers/loopback.js';
import { exchange, get as getFrom, machine, startRig, statuses } from '../helpers/relay-rig.js';
import type { Rig } from '../helpers/relay-rig.js';
import { StandInStore } from '../helpers/stand-in-store.js';
import { until } from '../helpers/until.js';

const EVENT = '/v3/dag_run?status=success&task_count=3';
const POLICY = '/etc/xdg/cosmos/telemetry.json';

async function statusOf(from: Pick<Rig, 'get'> | number): Promise<RelayStatus> {
  const { text } = typeof from === 'number' ? await getFrom(from, '/statusz') : await from.get('/statusz');
  return JSON.parse(text) as RelayStatus;
}

test('the first failed attempt says since when and why nothing is delivered, and the first success that it is', async (t) => {
  const port = await refusedPort();
  const rig = await startRig(t, { forward: `http://127.0.0.1:${port}/up`, backoffMs: 20, maxBackoffMs: 100 });
  t.like(await statusOf(rig), { state: 'idle', pending: 0, lastFailure: undefined, cause: undefined });
  const beforeMs = Date.now();
  t.is((await rig.get(EVENT)).status, 204);
  await until(() => rig.relay.stats().notDelivering !== undefined);
  const waiting = await statusOf(rig);
  t.like(waiting, { state: 'waiting', cause: 'refused', pending: 1, lastSuccessAt: undefined, endpoint: `http://127.0.0.1:${port}/up` });
  t.regex(waiting.sentence, /^Waiting since \d\d:\d\d UTC: the endpoint refuses connections \(refused\)\. 1 event waits\.$/);
  t.is(waiting.lastFailure?.cause, 'refused');
  const sinceMs = Date.parse(waiting.since ?? '');
  t.true(sinceMs >= beforeMs && sinceMs <= Date.now(), waiting.since);
  t.deepEqual(Object.keys(waiting.attemptsFailedBy), ['refused']);

  const endpoint = createServer((_request, response) => response.end());
  t.teardown(() => {
    endpoint.close();
    endpoint.closeAllConnections();
  });
  await new Promise<void>((resolve) => {
    endpoint.listen(port, '127.0.0.1', resolve);
  });
  await until(() => rig.relay.stats().sent === 1);
  const delivering = await statusOf(rig);
  t.like(delivering, { state: 'delivering', cause: undefined, pending: 0, totals: { accepted: 1, sent: 1, failed: 0 } });
  t.true(Date.parse(delivering.lastSuccessAt ?? '') >= sinceMs);
  t.is(delivering.lastFailure?.cause, 'refused');
  const counted = delivering.minutes.reduce((sum, { accepted, sent }) => [(sum[0] ?? 0) + accepted, (sum[1] ?? 0) + sent], [0, 0]);
  t.deepEqual(counted, [1, 1]);
});

test('it is JSON that is not kept, and HEAD has its headers', async (t) => {
  const { port, relay, get } = await startRig(t);
  const { status, headers, text } = await get('/statusz');
  t.like(headers, {
    'content-type': 'application/json',
    'cache-control': 'no-store',
    'x-content-type-options': 'nosniff',
    'content-length': String(Buffer.byteLength(text)),
  });
  t.is(status, 200);
  const head = await exchange(port, `HEAD /statusz HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\nConnection: close\r\n\r\n`);
  t.regex(head, /^HTTP\/1\.1 200 OK\r\ncontent-type: application\/json\r\ncontent-length: \d+\r\ncache-control: no-store\r\n[^]*\r\n\r\n$/);
  t.deepEqual(relay.stats().answers, { '200': 2 });
});

test('browsers, foreign hosts and other methods get no status', async (t) => {
  const { port } = await startRig(t);
  const host = `Host: 127.0.0.1:${port}\r\nConnection: close\r\n`;
  for (const [request, status] of [
    [`GET /statusz HTTP/1.1\r\nHost: example.com\r\nConnection: close\r\n\r\n`, 403],
    [`GET /statusz HTTP/1.0\r\n\r\n`, 403],
    [`GET /statusz HTTP/1.1\r\n${host}Origin: http://127.0.0.1:${port}\r\n\r\n`, 403],
    [`GET /statusz HTTP/1.1\r\n${host}Sec-Fetch-Site: none\r\n\r\n`, 403],
    [`POST /statusz HTTP/1.1\r\n${host}\r\n`, 405],
    [`GET /statusz HTTP/1.1\r\n${host}Content-Length: 1\r\n\r\nx`, 413],
    [`GET /statusz/ HTTP/1.1\r\n${host}\r\n`, 404],
    [`GET /statusz?x=1 HTTP/1.1\r\n${host}\r\n`, 200],
  ] as const)
    t.deepEqual(statuses(await exchange(port, request)), [status], request);
});

test('it is beside /metrics: on the address of its own, or below the prefix', async (t) => {
  const apart = await startRig(t, { metricsListen: '127.0.0.1:0' });
  t.is((await apart.get('/statusz')).status, 404);
  t.is((await statusOf(Number(new URL(apart.address.metricsUrl ?? '').port))).state, 'idle');
  const hidden = await startRig(t, { prefix: 'correct-horse-battery' });
  t.is((await hidden.get('/statusz')).status, 404);
  const { status, text } = await hidden.get('/correct-horse-battery/statusz');
  t.is(status, 200);
  t.false(text.includes('correct-horse'));
});

test('an endpoint is shown without its query, which may hold a key', async (t) => {
  const rig = await startRig(t, { forwardKind: 'ndjson', forward: 'http://127.0.0.1:9/in/?key=secret' });
  t.like(await statusOf(rig), { endpoint: 'http://127.0.0.1:9/in', forwardKind: 'ndjson' });
  t.false((await rig.get('/statusz')).text.includes('secret'));
});

test('a relay says which variable opts out, from the start and while it runs', async (t) => {
  const off = await startRig(t, { env: { DO_NOT_TRACK: '1' } });
  const first = await statusOf(off);
  t.like(first, { state: 'opted_out', cause: 'opted_out', optedOutBy: 'DO_NOT_TRACK=1 in the environment', warnings: [] });
  t.is(first.since, first.startedAt);

  const env: NodeJS.ProcessEnv = {};
  const rig = await startRig(t, { env });
  const beforeMs = Date.now();
  env['COSMOS_TELEMETRY'] = 'off';
  await until(() => rig.relay.stats().isOptedOut);
  await until(() => rig.relay.stats().notDelivering === 'opted_out');
  const later = await statusOf(rig);
  t.like(later, { state: 'opted_out', optedOutBy: 'COSMOS_TELEMETRY=off in the environment' });
  t.true(Date.parse(later.since ?? '') >= beforeMs);
  t.regex(later.sentence, /^Opted out since \d\d:\d\d UTC by COSMOS_TELEMETRY=off in the environment\. Every event is discarded\.$/);
});

/** A machine with one policy file, whose clock a test moves. Files are read again when `look` is called. */
function machineWith(file: { content: string }) {
  const timers = new Set<() => void>();
  let aheadMs = 0;
  const read = (asked: string): string => {
    const content = asked === POLICY ? file.content : '!ENOENT';
    if (content.startsWith('!')) throw Object.assign(new Error('text of a library'), { code: content.slice(1) });
    return content;
  };
  const clock = {
    ...systemClock,
    now: () => systemClock.now() + aheadMs,
    setTimeout: (callback: () => void, delayMs: number) => {
      const timer = systemClock.setTimeout(callback, delayMs);
      if (delayMs === 1000) timers.add(callback);
      return timer;
    },
  };
  return {
    machine: { ...machine, clock, readFile: read, readFileLater: (asked: string) => Promise.resolve().then(() => read(asked)) },
    look: (afterMs = 0) => {
      aheadMs += afterMs;
      for (const timer of Array.from(timers)) timer();
    },
  };
}

test('while a file cannot be read the state is undecided, and then the file is named that opts out', async (t) => {
  const file = { content: '!EIO' };
  const { machine: unreadable, look } = machineWith(file);
  const rig = await startRig(t, {}, { machine: unreadable });
  t.is((await rig.get(EVENT)).status, 204);
  const undecided = await statusOf(rig);
  t.like(undecided, { state: 'undecided', cause: 'undecided', pending: 1, optedOutBy: undefined });
  t.is(typeof undecided.since, 'string');
  file.content = '\n{"enabled": false}';
  look();
  await until(() => rig.relay.stats().isOptedOut);
  // The rule is found in a later turn: files are read without blocking.
  while ((await statusOf(rig)).optedOutBy === undefined);
  t.like(await statusOf(rig), { state: 'opted_out', optedOutBy: `policy file = false, ${POLICY}:2`, totals: { dropped: 1 } });
});

test('a file that stays malformed is named as unusable', async (t) => {
  const { machine: broken, look } = machineWith({ content: '{' });
  const rig = await startRig(t, {}, { machine: broken });
  t.is((await statusOf(rig)).state, 'undecided');
  look(61_000);
  await until(() => rig.relay.stats().isOptedOut);
  while ((await statusOf(rig)).optedOutBy === undefined);
  t.regex((await statusOf(rig)).optedOutBy ?? '', /^policy file cannot be used \(.+\), \/etc\/xdg\/cosmos\/telemetry\.json/);
});

test('a relay that closes says so until its servers are closed', async (t) => {
  const collector = await startCollector({ faults: { kind: 'hang' } });
  t.teardown(() => collector.close());
  const rig = await startRig(t, { forward: collector.url, attemptTimeoutMs: 3_600_000 });
  await rig.get(EVENT);
  await collector.waitFor(1);
  const closing = rig.relay.close({ deadlineMs: 1500 });
  const status = await statusOf(rig);
  t.like(status, { state: 'closing', pending: 1 });
  t.regex(status.sentence, /^Closing since \d\d:\d\d UTC: new events are refused with 503\. 1 event waits\.$/);
  await closing;
});

test('a handler in a server of the caller has a status too, also while its store cannot be opened', async (t) => {
  let mayOpen = false;
  const relay = createRelayWith(
    { env: {}, forward: 'http://127.0.0.1:9' },
    {
      machine,
      openStore: ({ onStored }) => (mayOpen ? Promise.resolve(new StandInStore(onStored)) : Promise.reject(new Error('no disk'))),
    },
  );
  t.teardown(() => relay.close({ deadlineMs: 0 }));
  const { port } = await listenOn(t, createServer(relay.handler));
  t.like(await statusOf(port), { state: 'starting', warnings: [], minutes: { length: 1 } });
  mayOpen = true;
  t.is((await getFrom(port, EVENT)).status, 204);
  t.like(await statusOf(port), { pending: 1, totals: { accepted: 1 } });
});
