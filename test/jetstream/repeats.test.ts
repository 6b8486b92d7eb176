// An event that comes with an id is one event, whichever relays get it: the queue knows its ids.
import test from 'ava';
import type { ExecutionContext } from 'ava';
import { systemClock } from '../../src/base/clock.js';
import type { Clock } from '../../src/base/clock.js';
import { jetstreamStore, jetstreamTransport } from '../../src/jetstream/index.js';
import { readDelivery } from '../../src/jetstream/stream.js';
import { createRelay } from '../../src/relay/index.js';
import type { Relay } from '../../src/relay/index.js';
import { startCollector } from '../../src/testing/index.js';
import { lineOf, newId, post } from '../relay/helpers/batch.js';
import { until } from '../relay/helpers/until.js';
import { StandInNats } from './stand-in-nats.js';
import { settle, VirtualClock } from '../helpers/virtual-clock.js';
import { receiver } from '../helpers/line-receiver.js';
import { holdProcess } from '../helpers/hold-process.js';
import { proves } from '../helpers/promises.js';

holdProcess(test);

const never = new AbortController().signal;
const options = { publishTimeoutMs: 100, connectTimeoutMs: 100 };

async function startRelay(client: StandInNats, forward: string): Promise<{ relay: Relay; send: (...lines: string[]) => Promise<string> }> {
  const relay = createRelay({ listen: '127.0.0.1:0', env: {}, forward, store: jetstreamStore({ client, ...options }) });
  const { port } = await relay.listen();
  return {
    relay,
    send: async (...lines) => {
      const { status, text } = await post(port, lines);
      return `${status} ${text.trim()}`;
    },
  };
}

const QUEUED = '200 accepted by the queue, which may not have it on disk yet';

test(proves('queue-same-id', 'two relays that get the same event send it once, and the second counts a repeat'), async (t) => {
  const client = new StandInNats();
  const collector = await startCollector();
  const [first, second] = [await startRelay(client, collector.url), await startRelay(client, collector.url)];
  const [id, other] = [newId(), newId()];
  t.is(await first.send(lineOf(undefined, id)), QUEUED);
  t.is(await second.send(lineOf(undefined, id), lineOf(undefined, other)), QUEUED);
  t.is(await second.send(lineOf(undefined, id)), QUEUED);
  await collector.waitFor(2);
  await until(() => client.stored.length === 0);
  const reports = [await first.relay.close(), await second.relay.close()];
  t.is(collector.requests.length, 2);
  t.deepEqual(
    reports.map(({ accepted, duplicates }) => [accepted, duplicates]),
    [
      [1, 0],
      [1, 2],
    ],
  );
  for (const { published, sent, failed, dropped, pending } of reports) t.is(published, sent + failed + dropped + pending);
  await collector.close();
});

test('a host that publishes to the queue and posts the same event to a relay sends it once', async (t) => {
  const client = new StandInNats();
  const collector = await startCollector();
  const { relay, send } = await startRelay(client, collector.url);
  const id = newId();
  await send(lineOf(undefined, id));
  const transport = jetstreamTransport({ client });
  const event = { id, type: 'dag_run', metrics: {}, requestTarget: () => '/v3/dag_run?status=success' };
  t.deepEqual(await transport.send([event], never), { kind: 'sent', handedOver: true });
  await collector.waitFor(1);
  await until(() => client.stored.length === 0);
  await transport.close?.();
  await relay.close();
  t.is(collector.requests.length, 1);
  await collector.close();
});

async function openStore(client: StandInNats, clock: Clock = systemClock) {
  return jetstreamStore({ client, prefetch: 1, ...options })({
    maxBytes: 2 ** 20,
    maxAgeMs: 60_000,
    clock,
    log: { debug: () => undefined, warn: () => undefined },
    admit: (target) => target,
    onStored: () => undefined,
    onReady: () => undefined,
    onUnreadable: () => undefined,
  });
}

test('a repeat that waited in memory is counted when the queue tells; an own attempt that was stored is no repeat', async (t) => {
  const client = new StandInNats();
  const [first, second] = [await openStore(client), await openStore(client)];
  const id = newId();
  t.is(await first.append('/a', id), 'queue');
  client.mode = 'refused';
  client.cut();
  await until(() => second.stats().queue?.isReachable === false);
  t.is(await second.append('/b', id), 'memory');
  client.mode = 'open';
  await until(() => second.stats().queue?.held === 0 && first.stats().queue?.isReachable === true);
  t.deepEqual(
    [first, second].map((store) => store.stats().queue?.duplicates),
    [0, 1],
  );
  // The queue stores it, and its answer is lost.
  client.unanswered = /events$/;
  t.is(await first.append('/c', newId()), 'memory');
  client.unanswered = undefined;
  await until(() => first.stats().queue?.held === 0);
  t.is(first.stats().queue?.duplicates, 0);
  t.is(await second.append('/a', id), 'duplicate');
  await Promise.all([first.close(), second.close()]);
});

test('a repeat of a doubtful publish is marked: a server that restarts forgets the ids of what was delivered', async (t) => {
  const client = new StandInNats();
  const [first, second] = [await openStore(client), await openStore(client)];
  // The queue stores it, and its answer is lost.
  client.unanswered = /events$/;
  t.is(await first.append('/a', newId()), 'memory');
  await until(() => first.length + second.length === 1);
  for (const store of [first, second]) store.settle(store.take(1));
  await until(() => client.stored.length === 0);
  client.restart();
  client.unanswered = undefined;
  await until(() => first.length + second.length === 1);
  t.is(first.stats().maybeSentTwice + second.stats().maybeSentTwice, 1);
  await Promise.all([first.close(), second.close()]);
});

test('an event that certainly was not stored is no repeat, and what the queue took once is not marked', async (t) => {
  const client = new StandInNats();
  const store = await openStore(client);
  client.mode = 'no_stream';
  t.is(await store.append('/a', newId()), 'memory');
  client.mode = 'open';
  await until(() => store.length === 1);
  t.is(store.stats().maybeSentTwice, 0);
  await store.close();
});

/** A store whose queue is away, with an event in memory. */
async function openAway(t: ExecutionContext, client: StandInNats, clock?: Clock) {
  const store = await openStore(client, clock);
  client.mode = 'refused';
  client.cut();
  await until(() => store.stats().queue?.isReachable === false);
  t.is(await store.append('/a', newId()), 'memory');
  return store;
}

test('a close takes events that are in memory to a queue that comes back before its deadline', async (t) => {
  const client = new StandInNats();
  const store = await openAway(t, client);
  const { length } = client.connects;
  const closing = store.close(60_000);
  await until(() => client.connects.length > length);
  client.mode = 'open';
  t.is(await closing, 0);
  t.deepEqual(
    client.stored.map(({ target }) => target),
    ['/a'],
  );
});

test('a close in the middle of a dial takes events that are in memory to the queue', async (t) => {
  const client = new StandInNats();
  const store = await openAway(t, client);
  const { length } = client.connects;
  client.mode = 'open';
  await until(() => client.connects.length > length);
  t.is(await store.close(60_000), 0);
  t.is(client.stored.length, 1);
});

test('a close whose queue stays away ends at its deadline, and counts what is lost', async (t) => {
  const client = new StandInNats();
  const clock = new VirtualClock();
  const store = await openAway(t, client, clock);
  const closing = store.close(5000);
  await settle();
  await clock.advance(4999);
  const { length } = client.connects;
  t.true(length > 4, 'it goes on to dial');
  await clock.advance(1);
  t.is(await closing, 1);
  t.is(clock.pendingTimers, 0);
  await clock.advance(60_000);
  t.is(client.connects.length, length, 'nothing dials any more');
});

/** A relay that forwards lines. */
async function lineRelay(client: StandInNats, forward: string, backoffMs: number): Promise<Relay> {
  const relay = createRelay({
    listen: '127.0.0.1:0',
    env: {},
    forward,
    forwardKind: 'ndjson',
    backoffMs,
    maxBackoffMs: backoffMs,
    store: jetstreamStore({ client, ...options }),
  });
  await relay.listen();
  return relay;
}

test('the id of an event of a host is that of its line, and stays so if another relay gets the event', async (t) => {
  const client = new StandInNats();
  const endpoint = await receiver(t);
  const dead = await receiver(t, (_request, response) => void response.writeHead(503).end());
  const first = await lineRelay(client, dead.url, 60_000);
  const transport = jetstreamTransport({ client });
  const ids = [newId(), newId()];
  const events = ids.map((id) => ({ id, timeMs: Date.now(), type: 'dag_run', metrics: {}, requestTarget: () => '/v3/dag_run' }));
  await transport.send(events.slice(0, 1), never);
  await until(() => first.stats().notDelivering === 'http_503' && first.stats().store.waiting === 1);
  await first.close({ deadlineMs: 0 });
  const second = await lineRelay(client, endpoint.url, 20);
  await transport.send(events.slice(1), never);
  await until(() => second.stats().sent === 2);
  const idsOf = (requests: typeof endpoint.requests) =>
    requests.flatMap(({ lines }) => lines.map((line) => (JSON.parse(line) as { id: string }).id));
  t.deepEqual([...new Set(idsOf(dead.requests))], ids.slice(0, 1));
  t.deepEqual(idsOf(endpoint.requests).sort(), [...ids].sort());
  await transport.close?.();
  await second.close();
});

/** The id of a delivery. */
const delivered = (deliveries: number, seq: number, id: string) =>
  readDelivery({
    data: Buffer.from('/v3/dag_run'),
    headers: { code: 0, get: (name) => (name === 'Nats-Msg-Id' ? id : ''), set: () => undefined },
    reply: `$JS.ACK.S.relays.${deliveries}.${seq}.${deliveries}.1767225600000000000.0`,
  })?.id;

test('an event whose message has no UUID gets one from its place in the stream, the same in each delivery', (t) => {
  const id = delivered(1, 7, 'order-7');
  t.regex(id ?? '', /^019b76da-a800-7[0-9a-f]{3}-8[0-9a-f]{3}-[0-9a-f]{12}$/);
  t.is(delivered(2, 7, 'order-7'), id);
  t.is(delivered(1, 7, ''), id);
  t.not(delivered(1, 8, ''), id);
  t.is(delivered(3, 7, '019a2b3c-4d5e-7f60-8a9b-0c1d2e3f4a5b'), '019a2b3c-4d5e-7f60-8a9b-0c1d2e3f4a5b');
});
