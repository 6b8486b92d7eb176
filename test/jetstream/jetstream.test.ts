// The queue on a stand-in of the server: `npm run test:jetstream` has the real one.
import test from 'ava';
import { systemClock } from '../../src/base/clock.js';
import { findClient } from '../../src/jetstream/client.js';
import { JetstreamError, jetstreamStore, jetstreamTransport } from '../../src/jetstream/index.js';
import type { JetstreamStoreOptions, RelayStore, RelayStoreOptions, UsageEvent } from '../../src/jetstream/index.js';
import { createRelay } from '../../src/relay/index.js';
import type { RelayOptions } from '../../src/relay/index.js';
import { relayStoreContract, startCollector, transportContract } from '../../src/testing/index.js';
import { until } from '../relay/helpers/until.js';
import { StandInNats } from './stand-in-nats.js';
import { holdProcess } from '../helpers/hold-process.js';
import { proves } from '../helpers/promises.js';

holdProcess(test);

const servers = 'nats://127.0.0.1:4222';
const EVENT = '/v3/dag_run?status=success&task_count=1';
const never = new AbortController().signal;
const event = (id: string = crypto.randomUUID(), target = EVENT): UsageEvent => ({
  id,
  type: 'dag_run',
  metrics: {},
  requestTarget: () => target,
});

const natsOf = new Map<string, StandInNats>();
for (const { name, run } of relayStoreContract(({ id, ...relay }) => {
  const client = natsOf.get(id) ?? new StandInNats();
  natsOf.set(id, client);
  return jetstreamStore({ client, servers, stream: id })(relay);
})) {
  test(`a queue ${name}`, (t) => t.notThrowsAsync(run));
}

const shared = new StandInNats();
shared.config = { retention: 'workqueue', discard: 'new', subjects: ['COSMOS_TELEMETRY.events'], max_bytes: 2 ** 30 };
for (const { name, run } of transportContract(() => jetstreamTransport({ client: shared }), { arrived: () => shared.stored.length })) {
  test.serial(`the transport: ${name}`, (t) => t.notThrowsAsync(run));
}

/** A store, what it logged, and how many events it reported. */
async function openStore(client: StandInNats, options: JetstreamStoreOptions = {}, relay: Partial<RelayStoreOptions> = {}) {
  const log: string[] = [];
  const counts = { stored: 0, unreadable: 0 };
  const store = await jetstreamStore({ client, publishTimeoutMs: 100, connectTimeoutMs: 100, ...options })({
    maxBytes: 2 ** 20,
    maxAgeMs: 60_000,
    clock: systemClock,
    log: { debug: () => undefined, warn: (code) => void log.push(code) },
    admit: (target) => (target.startsWith('/v3/') ? target : undefined),
    onStored: (events) => (counts.stored += events),
    onReady: () => undefined,
    onUnreadable: (events) => (counts.unreadable += events),
    ...relay,
  });
  return { store, log, counts };
}

test('options are checked by name and value, and credentials in a URL are never shown', (t) => {
  const client = new StandInNats();
  t.throws(() => jetstreamStore({ client, servers: 'http://x' }), { instanceOf: TypeError, message: /`servers`.*"http:\/\/x"/ });
  t.throws(() => jetstreamStore({ client, stream: 'a b' }), { message: /`stream`.*"a b"/ });
  t.throws(() => jetstreamStore({ client, replicas: 6 }), { message: /`replicas`.*6/ });
  t.throws(() => jetstreamStore({ client, ackWaitMs: 1 }), { message: /`ackWaitMs`/ });
  t.throws(() => jetstreamTransport({ client, maxBatchSize: 0 }), { message: /`maxBatchSize`.*0/ });
  t.throws(() => jetstreamTransport({ client, prefetch: 1 } as object), { message: /known keys only/ });
  const error = t.throws(() => jetstreamTransport({ client, servers: 'nats://me:secret@host' }), { instanceOf: TypeError });
  t.false(error.message.includes('secret'));
});

test('without the package of the client, the error says what to install', (t) => {
  const error = t.throws(
    () =>
      findClient(() => {
        throw new Error('no such module');
      }),
    { instanceOf: JetstreamError },
  );
  t.is(error.code, 'client_missing');
  t.regex(error.message, /npm install @nats-io\/transport-node/);
  // It is no dependency of this package.
  t.throws(() => jetstreamTransport(), { instanceOf: JetstreamError });
});

test('an answer says whether the queue has an event on disk: by its replicas, or by what the operator says', async (t) => {
  const answers: string[] = [];
  for (const options of [{}, { replicas: 3 }, { syncsAlways: true }]) {
    const { store } = await openStore(new StandInNats(), options);
    answers.push(await store.append(EVENT));
    t.is(store.stats().isDurable, answers.at(-1) === 'disk');
    await store.close();
  }
  t.deepEqual(answers, ['queue', 'disk', 'disk']);
});

test('a stream that is no work queue, or drops old events, is refused by name', async (t) => {
  const fit = { retention: 'workqueue', discard: 'new', subjects: ['COSMOS_TELEMETRY.events'], max_bytes: 1e6 };
  for (const [config, words] of [
    [{ ...fit, retention: 'limits' }, /no work queue/],
    [{ ...fit, discard: 'old' }, /drops old events/],
    [{ ...fit, subjects: ['other'] }, /does not have the subject/],
  ] as const) {
    const client = new StandInNats();
    client.config = config;
    const error = await t.throwsAsync(openStore(client), { instanceOf: JetstreamError, message: words });
    t.is(error.code, 'stream_unfit');
  }
});

test('a server that is away is an error only if it is required', async (t) => {
  const client = new StandInNats();
  client.mode = 'refused';
  const error = await t.throwsAsync(openStore(client, { required: true }), { instanceOf: JetstreamError });
  t.is(error.code, 'unreachable');
  const { store, log, counts } = await openStore(client);
  t.is(await store.append(EVENT), 'memory');
  t.deepEqual(store.stats().queue, { isReachable: false, held: 1, duplicates: 0, maxFetched: 256 });
  client.mode = 'open';
  await until(() => store.length === 1);
  t.deepEqual(store.stats().queue, { isReachable: true, held: 0, duplicates: 0, maxFetched: 256 });
  t.deepEqual([log, counts.stored], [['queue_unreachable', 'queue_reached'], 1]);
  t.is(await store.close(), 0);
});

test('an event whose publish gets no answer is published again with the same id, and comes once', async (t) => {
  const client = new StandInNats();
  const { store } = await openStore(client);
  client.unanswered = /events$/;
  t.is(await store.append(EVENT), 'memory');
  t.is(client.stored.length, 1);
  client.unanswered = undefined;
  await until(() => store.stats().queue?.held === 0);
  t.is(client.published.filter(([subject]) => subject.endsWith('.events')).length >= 2, true);
  await until(() => store.length === 1);
  t.is(store.nextSeq, 1);
  await store.close();
});

test('an event in memory expires, is cleared, and is lost at the close: each time it is counted', async (t) => {
  const client = new StandInNats();
  client.mode = 'refused';
  let nowMs = 0;
  const clock = { ...systemClock, now: () => nowMs };
  const { store, counts } = await openStore(client, {}, { clock });
  await store.append(EVENT);
  nowMs += 60_001;
  t.deepEqual([store.expire(), counts.stored], [1, 1]);
  await store.append(EVENT);
  t.deepEqual([store.clear(), counts.stored], [1, 2]);
  await store.append(EVENT);
  t.deepEqual([await store.close(10), counts.stored, store.length], [1, 3, 1]);
  t.is(await store.append(EVENT), 'full');
});

test('memory has the room of the relay', async (t) => {
  const client = new StandInNats();
  client.mode = 'refused';
  const { store } = await openStore(client, {}, { maxBytes: 1000 });
  const answers = await Promise.all(Array.from({ length: 5 }, () => store.append(EVENT)));
  t.deepEqual(answers, ['memory', 'memory', 'memory', 'full', 'full']);
  await store.close(0);
});

test('a settled event that comes again, since its acknowledgement was lost, is acknowledged again and not given out', async (t) => {
  const client = new StandInNats();
  const { store } = await openStore(client);
  await store.append(EVENT);
  await until(() => store.length === 1);
  client.mode = 'silent';
  store.settle(store.take(1));
  client.cut();
  t.is(client.stored.length, 1);
  client.mode = 'open';
  await until(() => client.stored.length === 0);
  t.deepEqual([store.length, store.nextSeq], [0, 1]);
  await store.close();
});

test('an event that this process holds and that comes again is one event', async (t) => {
  const client = new StandInNats();
  const { store } = await openStore(client);
  await store.append(EVENT);
  await until(() => store.length === 1);
  client.cut();
  await until(() => store.stats().queue?.isReachable === true && client.stored[0]?.deliveries === 2);
  store.settle(store.take(2));
  await until(() => client.stored.length === 0);
  t.is(store.nextSeq, 1);
  await store.close();
});

test('what may not be sent today is deleted and counted, and does not come again', async (t) => {
  const client = new StandInNats();
  const { store, counts } = await openStore(client);
  const transport = jetstreamTransport({ client });
  t.deepEqual(await transport.send([event('1', '/elsewhere')], never), { kind: 'sent', handedOver: true });
  await until(() => client.stored.length === 0);
  t.deepEqual([counts, store.length, store.stats().tornLines], [{ stored: 1, unreadable: 1 }, 0, 1]);
  await transport.close?.();
  await store.close();
});

test('a relay asks again after each kind of status, and gives signs of the events that it holds', async (t) => {
  const client = new StandInNats();
  const { store } = await openStore(client, { ackWaitMs: 1000, prefetch: 2 });
  for (const code of [100, 408, 404, 409]) {
    client.sendStatus(code);
    await new Promise((resolve) => void setTimeout(resolve, 20));
    if (code === 100) client.cut();
  }
  await store.append(EVENT);
  await until(() => store.length === 1);
  await until(() => client.published.some(([, payload]) => payload === '+WPI'));
  await store.close();
  t.true(client.published.some(([, payload]) => payload === '-NAK'));
});

async function startRelay(
  options: RelayOptions,
): Promise<{ get: (path?: string) => Promise<string>; relay: ReturnType<typeof createRelay> }> {
  const relay = createRelay({ listen: '127.0.0.1:0', env: {}, backoffMs: 20, maxBackoffMs: 50, ...options });
  const { url } = await relay.listen();
  return {
    relay,
    get: async (path = EVENT) => {
      const response = await fetch(`${url}${path}`);
      return `${response.status} ${(await response.text()).trim()}`;
    },
  };
}

test(proves('queue-accounts', 'two relays share a queue: each event is delivered once, and the accounts of each balance'), async (t) => {
  const client = new StandInNats();
  const collector = await startCollector();
  const store = jetstreamStore({ client, prefetch: 4 });
  const relays = [await startRelay({ forward: collector.url, store }), await startRelay({ forward: collector.url, store })];
  for (let count = 0; count < 20; count += 1) t.regex((await relays[0]?.get()) ?? '', /^200 accepted by the queue/);
  await collector.waitFor(20);
  await until(() => client.stored.length === 0);
  const reports = await Promise.all(relays.map(({ relay }) => relay.close()));
  t.is(collector.requests.length, 20);
  t.is(reports[0]?.accepted, 20);
  t.is(reports[1]?.accepted, 0);
  t.is(
    reports.reduce((sum, { sent }) => sum + sent, 0),
    20,
  );
  for (const { published, sent, failed, dropped, pending } of reports) t.is(published, sent + failed + dropped + pending);
  await collector.close();
});

test('/readyz says what the queue cannot do, and what is in memory is pending', async (t) => {
  const client = new StandInNats();
  const collector = await startCollector();
  const { relay, get } = await startRelay({ forward: collector.url, store: jetstreamStore({ client, connectTimeoutMs: 50 }) });
  t.is(await get('/readyz'), '200 ready: the queue confirms an event before it is on disk, so the answer is 200 and not 204');
  client.mode = 'refused';
  client.cut();
  await until(() => relay.stats().store.queue?.isReachable === false);
  t.is(await get('/readyz'), '200 ready, but the queue cannot be reached: events are in memory only');
  t.is(await get(), '200 accepted in memory only');
  const { accepted, published, pending } = relay.stats();
  t.deepEqual([accepted, published, pending], [1, 1, 1]);
  const { droppedBy, ...report } = await relay.close({ deadlineMs: 20 });
  t.deepEqual(droppedBy, { deadline: 1 });
  t.deepEqual([report.published, report.dropped, report.pending], [1, 1, 0]);
  await collector.close();
});

test('a relay that is opted out leaves the queue to others, and empties a store of its own', async (t) => {
  const client = new StandInNats();
  const { store } = await openStore(client);
  await store.append(EVENT);
  await until(() => store.length === 1);
  await store.close();
  const off = { DO_NOT_TRACK: '1' };
  const { relay, get } = await startRelay({ env: off, store: jetstreamStore({ client }) });
  t.regex(await get(), /^202 /);
  await relay.close();
  t.is(client.stored.length, 1);
  let cleared = 0;
  const own = (): RelayStore => ({ ...emptyStore(), clear: () => (cleared += 1) });
  await (await startRelay({ env: off, store: own })).relay.close();
  t.is(cleared, 1);
});

function emptyStore(): RelayStore {
  return {
    length: 0,
    ready: 0,
    nextSeq: 0,
    oldestSeq: 0,
    append: () => Promise.resolve('full'),
    take: () => [],
    putBack: () => undefined,
    settle: () => undefined,
    expire: () => 0,
    clear: () => 0,
    close: () => Promise.resolve(0),
    stats: () => ({ waiting: 0, bytes: 0, isDurable: false, recovered: 0, maybeSentTwice: 0, tornLines: 0 }),
  };
}

test('createRelay refuses two stores, and what is no store', async (t) => {
  t.throws(() => createRelay({ store: emptyStore, spool: '/tmp/x' }), { instanceOf: TypeError, message: /`store` or `spool`/ });
  t.throws(() => createRelay({ store: {} as never }), { instanceOf: TypeError, message: /`store`/ });
  const relay = createRelay({ listen: '127.0.0.1:0', env: {}, store: () => ({}) as never });
  await t.throwsAsync(relay.listen(), { instanceOf: TypeError, message: /`store`/ });
  const { relay: inMemory, get } = await startRelay({ forward: 'http://127.0.0.1:9', store: emptyStore });
  t.regex(await get('/readyz'), /events are in memory only/);
  await inMemory.close({ deadlineMs: 0 });
});

test('the outcome of an event says what became of it', async (t) => {
  const client = new StandInNats();
  client.config = { ...shared.config, max_bytes: 600 };
  const transport = jetstreamTransport({ client, publishTimeoutMs: 300, connectTimeoutMs: 50 });
  const sendOne = (target = EVENT) => transport.send([event(undefined, target)], never);
  t.deepEqual(await transport.send([event(), event(), event()], never), {
    kind: 'partial',
    outcomes: [
      { kind: 'sent', handedOver: true },
      { kind: 'sent', handedOver: true },
      { kind: 'retryable', reason: 'stream_full' },
    ],
  });
  t.deepEqual(await sendOne(`/v3/${'x'.repeat(5000)}`), { kind: 'partial', outcomes: [{ kind: 'refused', reason: 'too_large' }] });
  client.mode = 'no_stream';
  t.deepEqual(await sendOne(), { kind: 'partial', outcomes: [{ kind: 'retryable', reason: 'no_stream' }] });
  client.mode = 'open';
  client.unanswered = /events$/;
  t.deepEqual(await sendOne(), { kind: 'partial', outcomes: [{ kind: 'retryable', reason: 'timeout', cause: 'slow' }] });
  const before = client.published.length;
  const cutOff = sendOne();
  await until(() => client.published.length > before);
  client.cut();
  t.deepEqual(await cutOff, { kind: 'partial', outcomes: [{ kind: 'retryable', reason: 'network', cause: 'reset' }] });
  client.unanswered = undefined;
  client.mode = 'silent';
  t.deepEqual(await sendOne(), { kind: 'retryable', reason: 'connect' });
  client.mode = 'unauthorized';
  t.deepEqual(await sendOne(), { kind: 'rejected', reason: 'unauthorized' });
  client.mode = 'open';
  client.cut();
  t.like(await sendOne(), { kind: 'partial' });
  await transport.close?.();
  t.deepEqual(await sendOne(), { kind: 'retryable', reason: 'connect' });
});
