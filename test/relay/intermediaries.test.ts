// An intermediary answers for the endpoint: an edge, a captive portal, a gateway with a wrong setting. Over HTTP, with a spool on disk.
import { cpSync } from 'node:fs';
import path from 'node:path';
import test from 'ava';
import type { ExecutionContext } from 'ava';
import { Log } from '../../src/base/log.js';
import { defaultParts } from '../../src/relay/wiring.js';
import { openSpool } from '../../src/relay/spool/index.js';
import { startCollector } from '../../src/testing/index.js';
import type { Collector, Fault } from '../../src/testing/index.js';
import { startTcp } from '../helpers/loopback.js';
import { proves } from '../helpers/promises.js';
import { VirtualClock } from '../helpers/virtual-clock.js';
import { makeFolder } from './helpers/relay-child.js';
import { closeOf, machine, startRig } from './helpers/relay-rig.js';
import type { Rig } from './helpers/relay-rig.js';
import { until } from './helpers/until.js';

const { openStore } = defaultParts;
const event = (count: number) => `/v3/dag_run?status=success&task_count=${count}`;
const QUICK = { backoffMs: 10, maxBackoffMs: 50 };
/** An hour passes at once on the clock of the test, and a request takes none of it. */
const PATIENT = { attemptTimeoutMs: 3_600_000, connectTimeoutMs: 3_600_000 };

/** A collector whose faults the test changes while it runs. */
async function startEndpoint(t: ExecutionContext, first: Fault): Promise<{ collector: Collector; answer: (fault: Fault) => void }> {
  let fault = first;
  const collector = await startCollector({ faults: () => fault });
  t.teardown(() => collector.close());
  return { collector, answer: (next) => (fault = next) };
}

function counts({ requests }: Collector): number[] {
  const accepted = requests.filter(({ status }) => (status ?? 599) < 300);
  return accepted.map(({ query }) => Number(query[1]?.[1])).sort((left, right) => left - right);
}

function accounts({ relay }: Rig) {
  const { published, sent, failedBy, droppedBy, pending } = relay.stats();
  return { published, sent, failedBy, droppedBy, pending };
}

const EVENTS = Array.from({ length: 20 }, (_, index) => index);

test(
  proves(
    'relay-refusals',
    'an edge answers 521 for an hour while 20 acknowledged events wait, with a restart in between: all 20 are delivered once',
  ),
  async (t) => {
    const spool = path.join(makeFolder(t), 'spool');
    const { collector, answer } = await startEndpoint(t, { kind: 'status', status: 521 });
    const options = { ...PATIENT, spool, forward: collector.url };
    const clock = new VirtualClock();
    const first = await startRig(t, options, { openStore, machine: { ...machine, clock } });
    for (const count of EVENTS) t.is((await first.get(event(count))).status, 204);
    while (clock.now() < 1_800_000) await clock.advance(10_000);
    t.deepEqual(accounts(first), { published: 20, sent: 0, failedBy: {}, droppedBy: {}, pending: 20 });
    t.true(first.relay.stats().isPaused);
    const ready = await first.get('/readyz');
    t.deepEqual([ready.status, ready.text], [200, 'ready, but the endpoint refuses events: they are kept, and one at a time is tried\n']);
    t.regex((await first.get('/metrics')).text, /^cosmos_relay_paused 1$/m);
    t.like(await closeOf(first.relay, clock, 1000), { sent: 0, failed: 0, dropped: 0, pending: 20 });

    const second = await startRig(t, options, { openStore, machine: { ...machine, clock } });
    while (clock.now() < 3_600_000) await clock.advance(10_000);
    t.log(`${collector.requests.length} requests in an hour of 521`);
    t.true(collector.requests.length < 200);
    answer({ kind: 'ok' });
    while (second.relay.stats().pending > 0) await clock.advance(1000);
    t.deepEqual(accounts(second), { published: 20, sent: 20, failedBy: {}, droppedBy: {}, pending: 0 });
    t.deepEqual(counts(collector), EVENTS);
    t.is(second.relay.stats().store.maybeSentTwice, 0);
    t.regex((await second.get('/metrics')).text, /^cosmos_relay_paused 0$/m);
    const codes = second.log
      .map((line) => /^\[telemetry\] (\w+):/.exec(line)?.[1])
      .filter((code) => code === 'paused' || code === 'resumed');
    t.deepEqual(codes, ['paused', 'resumed']);
  },
);

test('a relay that is killed while events are aside finds them as events that were not sent', async (t) => {
  const folder = makeFolder(t);
  const spool = path.join(folder, 'spool');
  const { collector } = await startEndpoint(t, { kind: 'status', status: 530 });
  const clock = new VirtualClock();
  const rig = await startRig(t, { ...PATIENT, spool, forward: collector.url }, { openStore, machine: { ...machine, clock } });
  for (const count of EVENTS) t.is((await rig.get(event(count))).status, 204);
  const isAside = () => rig.relay.stats().isPaused && rig.relay.stats().store.waiting === 20;
  while (!isAside()) await clock.advance(1);
  const left = path.join(folder, 'left');
  cpSync(spool, left, { recursive: true, filter: (name) => !name.includes('lock') });
  const store = await openSpool({ directory: left, clock, log: new Log(undefined, clock), onStored: () => undefined });
  t.like(store.stats(), { recovered: 20, maybeSentTwice: 0 });
  await store.close();
});

const SWITCHING = 'HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n';

const INTERMEDIARIES: readonly (readonly [name: string, fault: Fault])[] = [
  ['a captive portal redirects to its login page', { kind: 'redirect', location: 'http://portal.test/login' }],
  ['a captive portal answers 511', { kind: 'status', status: 511 }],
  ['a gateway answers 401', { kind: 'status', status: 401 }],
  ['a gateway answers 403', { kind: 'status', status: 403 }],
  ['a gateway answers 404', { kind: 'status', status: 404 }],
  ['an edge answers 502', { kind: 'status', status: 502 }],
  ['an edge answers 599', { kind: 'status', status: 599 }],
  ['a captive portal answers HTML without a status line', { kind: 'not_http', bytes: '<!DOCTYPE html><title>Log in</title>' }],
  ['another protocol answers', { kind: 'not_http' }],
  ['a server answers an HTTP/2 frame', { kind: 'not_http', bytes: Buffer.from('00000604000000000000030000006400', 'hex') }],
  ['an edge answers 503 with a header of 20 KB', { kind: 'status', status: 503, headers: { 'x-cache': 'x'.repeat(20_000) } }],
  ['an edge answers 503 with more headers than are read', { kind: 'status', status: 503, headers: { 'x-cache': 'x'.repeat(200_000) } }],
  ['an edge answers 503 with a header that is none', { kind: 'not_http', bytes: 'HTTP/1.1 503 Away\r\nX(Cache: miss\r\n\r\n' }],
  [
    'an edge answers 502 with two lengths',
    { kind: 'not_http', bytes: 'HTTP/1.1 502 Bad\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n' },
  ],
  ['an edge answers a status that is none', { kind: 'not_http', bytes: 'HTTP/1.1 banana\r\n\r\n' }],
  ['an edge switches to another protocol', { kind: 'not_http', bytes: SWITCHING }],
];

for (const [name, fault] of INTERMEDIARIES) {
  test(proves('relay-refusals', `${name} for a while: all acknowledged events are delivered once`), async (t) => {
    const { collector, answer } = await startEndpoint(t, fault);
    const rig = await startRig(t, { ...QUICK, forward: collector.url });
    for (const count of EVENTS) t.is((await rig.get(event(count))).status, 204);
    await until(() => collector.requests.length > 10);
    t.deepEqual(accounts(rig), { published: 20, sent: 0, failedBy: {}, droppedBy: {}, pending: 20 });
    answer({ kind: 'ok' });
    await until(() => rig.relay.stats().pending === 0);
    t.deepEqual(accounts(rig), { published: 20, sent: 20, failedBy: {}, droppedBy: {}, pending: 0 });
    t.deepEqual(counts(collector), EVENTS);
  });
}

const MAYBE_COUNTED: readonly (readonly [name: string, fault: Fault])[] = [
  ['a reset without an answer', { kind: 'reset' }],
  ['the end of the connection without an answer', { kind: 'not_http', bytes: '' }],
  ['an answer that ends in its status line', { kind: 'not_http', bytes: 'HTTP/1.1 5' }],
  ['an answer that ends in its headers', { kind: 'not_http', bytes: 'HTTP/1.1 503 Away\r\nX-Cache: mi' }],
  ['a 200 with a header that is none', { kind: 'not_http', bytes: 'HTTP/1.1 200 OK\r\nX(Cache: miss\r\n\r\n' }],
  [
    'a 204 after an interim answer, with two lengths',
    {
      kind: 'not_http',
      bytes: 'HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 204 No\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n',
    },
  ],
];

for (const [name, fault] of MAYBE_COUNTED) {
  test(proves('relay-once', `${name}: the endpoint may have counted the event, so it is not sent again`), async (t) => {
    const { collector } = await startEndpoint(t, fault);
    const rig = await startRig(t, { ...QUICK, forward: collector.url });
    for (const count of [1, 2, 3, 4, 5]) t.is((await rig.get(event(count))).status, 204);
    await until(() => rig.relay.stats().pending === 0);
    t.deepEqual(accounts(rig), { published: 5, sent: 0, failedBy: { network: 5 }, droppedBy: {}, pending: 0 });
    const received = collector.requests.map(({ query }) => Number(query[1]?.[1])).sort((left, right) => left - right);
    t.deepEqual(received, [1, 2, 3, 4, 5]);
  });
}

test(
  proves('relay-once', 'on a connection that was used before, bytes without a status line may be the rest of the answer before'),
  async (t) => {
    // A server that sends a body after 204, when the next request has come over the same connection.
    const server = await startTcp(t, (socket) => {
      let requests = 0;
      socket.on('data', () => {
        requests += 1;
        socket.write(requests === 1 ? 'HTTP/1.1 204 No Content\r\n\r\n' : 'a body that 204 has not');
      });
    });
    const rig = await startRig(t, { ...QUICK, forward: `http://127.0.0.1:${server.port}`, concurrency: 1 });
    // On a busy machine a connection may be too old to be used again: then two more events follow each other.
    for (let count = 1; rig.relay.stats().failed === 0; count += 2) {
      await Promise.all([rig.get(event(count)), rig.get(event(count + 1))]);
      await until(() => rig.relay.stats().pending === 0);
    }
    const { published, sent, failedBy, droppedBy } = rig.relay.stats();
    t.deepEqual({ failedBy, droppedBy }, { failedBy: { network: 1 }, droppedBy: {} });
    t.is(sent, published - 1);
  },
);

test(
  proves('relay-refusals', 'an event that the endpoint itself refuses fails with its status, and the others are delivered'),
  async (t) => {
    const collector = await startCollector({
      faults: ({ query }) => (query[1]?.[1] === '7' ? { kind: 'status', status: 404 } : { kind: 'ok' }),
    });
    t.teardown(() => collector.close());
    const rig = await startRig(t, { ...QUICK, forward: collector.url });
    for (const count of EVENTS) t.is((await rig.get(event(count))).status, 204);
    await until(() => rig.relay.stats().pending === 0);
    t.deepEqual(accounts(rig), { published: 20, sent: 19, failedBy: { http_404: 1 }, droppedBy: {}, pending: 0 });
    t.is(collector.requests.length, 21);
  },
);

test('a proxy setting that names no proxy costs no event', async (t) => {
  const rig = await startRig(t, { ...QUICK, forward: 'http://endpoint.test/up', env: { http_proxy: 'socks5://127.0.0.1:9' } });
  for (const count of EVENTS) t.is((await rig.get(event(count))).status, 204);
  await until(() => rig.relay.stats().isPaused);
  t.deepEqual(accounts(rig), { published: 20, sent: 0, failedBy: {}, droppedBy: {}, pending: 20 });
});
