// A stream that is deleted, messages that are too large, and acknowledgements without an answer: `npm run test:jetstream` has a real server.
import test from 'ava';
import { systemClock } from '../../src/base/clock.js';
import type { Clock } from '../../src/base/clock.js';
import { Acknowledgements } from '../../src/jetstream/acknowledgements.js';
import { LinkError } from '../../src/jetstream/connection.js';
import type { Link } from '../../src/jetstream/connection.js';
import { JetstreamError, jetstreamStore } from '../../src/jetstream/index.js';
import { until } from '../relay/helpers/until.js';
import { settle, VirtualClock } from '../helpers/virtual-clock.js';
import { StandInNats } from './stand-in-nats.js';
import { holdProcess } from '../helpers/hold-process.js';
import { proves } from '../helpers/promises.js';

holdProcess(test);

async function openStore(client: StandInNats, clock: Clock = systemClock, prefetch = 256) {
  const log: string[] = [];
  const counts = { stored: 0, unreadable: 0 };
  const store = await jetstreamStore({ client, prefetch, publishTimeoutMs: 100, connectTimeoutMs: 100 })({
    maxBytes: 2 ** 20,
    maxAgeMs: 60_000,
    clock,
    log: { debug: () => undefined, warn: (code) => void log.push(code) },
    admit: (target) => target,
    onStored: (events) => (counts.stored += events),
    onReady: () => undefined,
    onUnreadable: (events) => (counts.unreadable += events),
  });
  return { store, log, counts };
}

test(proves('queue-lost', 'a stream that is deleted is made anew, and an event whose number there was is no other one'), async (t) => {
  const client = new StandInNats();
  const { store, log } = await openStore(client);
  await store.append('/old');
  await until(() => store.length === 1);
  // The server never hears that its fate is known.
  client.deaf = /ACK/;
  store.settle(store.take(1));
  client.deleteStream();
  t.is(await store.append('/new'), 'memory');
  await until(() => store.length === 1);
  t.deepEqual(
    store.take(1).map(({ target }) => target),
    ['/new'],
  );
  t.is(client.stored[0]?.seq, 1);
  t.deepEqual(log, ['queue_unreachable', 'queue_replaced', 'queue_reached']);
  t.is(await store.close(100), 0);
});

test(proves('queue-lost', 'what a relay holds of a deleted stream is sent, and counts as lost if the relay ends before'), async (t) => {
  const client = new StandInNats();
  const { store, counts } = await openStore(client);
  for (const target of ['/a', '/b', '/c']) await store.append(target);
  await until(() => store.length === 3);
  client.deleteStream();
  await store.append('/d');
  await until(() => store.length === 4);
  const [first] = store.take(1);
  t.is(first?.target, '/a');
  store.settle(first === undefined ? [] : [first]);
  // It is in no stream: nothing is asked of the server.
  t.false(client.published.some(([subject, payload]) => subject.startsWith('$JS.ACK') && payload === '+ACK'));
  t.is(await store.close(100), 2);
  t.deepEqual([counts.stored, store.length], [4, 3]);
});

test(
  proves('queue-lost', 'a publish that finds no stream has it made anew at once, before the silence of the old one tells'),
  async (t) => {
    const client = new StandInNats();
    const clock = new VirtualClock();
    const { store } = await openStore(client, clock);
    client.deleteStream();
    const stored = store.append('/new');
    await settle();
    await clock.advance(250);
    await settle();
    t.is(await stored, 'memory');
    t.deepEqual(
      client.stored.map(({ target }) => target),
      ['/new'],
    );
    await store.close(100);
  },
);

test(proves('queue-lost', 'an event of a stream that another relay made anew is no other one of the same number'), async (t) => {
  const client = new StandInNats();
  const { store } = await openStore(client, systemClock, 2);
  for (const target of ['/old1', '/old2']) await store.append(target);
  await until(() => store.length === 2);
  client.deleteStream();
  // Another relay finds that out first.
  const other = (await openStore(client, systemClock, 1)).store;
  await other.append('/new1');
  await until(() => other.length === 1);
  other.settle(other.take(1));
  await until(() => client.stored.length === 0);
  await other.close();
  await store.append('/new2');
  const [first] = store.take(1);
  store.settle(first === undefined ? [] : [first]);
  await until(() => client.stored[0]?.isOut === true);
  await settle();
  t.deepEqual(
    store.take(2).map(({ target }) => target),
    ['/old2', '/new2'],
  );
  await store.close();
});

test('a stream that is made anew counts on where no other one came to: what acknowledges an old event meets no new one', async (t) => {
  const client = new StandInNats();
  const clock = new VirtualClock();
  const { store } = await openStore(client, clock);
  // Microseconds since 1970: no stream stores a million events a second.
  t.is(client.config?.['first_seq'], Date.UTC(2026, 0, 1) * 1000);
  await store.close();
});

test('a stream that confirms no event is refused by name', async (t) => {
  const client = new StandInNats();
  client.config = { retention: 'workqueue', discard: 'new', subjects: ['COSMOS_TELEMETRY.events'], no_ack: true };
  const error = await t.throwsAsync(openStore(client), { instanceOf: JetstreamError, message: /"no_ack" must be false/ });
  t.is(error.code, 'stream_unfit');
});

test('a connection that ends with the last answer about the queue is made anew', async (t) => {
  const client = new StandInNats();
  let left = 1;
  const connect = client.connect.bind(client);
  client.connect = async (options) => {
    const connection = await connect(options);
    const request = connection.request.bind(connection);
    connection.request = async (subject, ...more) => {
      const answer = await request(subject, ...more);
      if (subject.includes('CONSUMER.DURABLE') && left > 0) {
        left -= 1;
        void connection.close();
        await settle(1);
      }
      return answer;
    };
    return connection;
  };
  const { store } = await openStore(client);
  await until(() => store.stats().queue?.isReachable === true);
  t.true(client.connects.length > 1);
  await store.close();
});

test('an event that is too large with its headers is refused, or dropped and counted if it waited in memory', async (t) => {
  const client = new StandInNats();
  const { store, log, counts } = await openStore(client);
  const large = `/${'x'.repeat(4000)}`;
  t.is(await store.append(large), 'full');
  t.deepEqual(client.published.filter(([subject]) => subject.endsWith('.events')).length, 0);
  client.mode = 'refused';
  client.cut();
  await until(() => store.stats().queue?.isReachable === false);
  t.is(await store.append(large), 'memory');
  client.mode = 'open';
  await until(() => store.stats().queue?.held === 0);
  t.deepEqual([counts.stored, counts.unreadable], [1, 1]);
  t.true(log.includes('event_too_large'));
  await store.close();
});

test('a consumer that gives events up, or that is not asked for them, is refused by name', async (t) => {
  for (const [more, words] of [
    [{ max_deliver: 5 }, /"max_deliver" must be -1/],
    [{ deliver_subject: 'elsewhere' }, /must be one that is asked for events/],
  ] as const) {
    const client = new StandInNats();
    const { store } = await openStore(client);
    await store.close();
    client.consumerMore = more;
    const error = await t.throwsAsync(openStore(client), { instanceOf: JetstreamError, message: words });
    t.is(error.code, 'stream_unfit');
  }
});

test('acknowledgements that get no answer are repeated once a second, however many they are', async (t) => {
  const clock = new VirtualClock();
  let asked = 0;
  let isDeaf = true;
  const link = {
    isUp: true,
    request: () => {
      asked += 1;
      return isDeaf ? Promise.reject(new LinkError('no_stream')) : Promise.resolve();
    },
  } as unknown as Link;
  const acks = new Acknowledgements(link, clock, 1000);
  for (const event of ['a', 'b', 'c']) acks.send(event, `$JS.ACK.${event}`);
  await settle();
  for (const expected of [3, 6, 9, 12]) {
    t.is(asked, expected);
    await clock.advance(1000);
    await settle();
  }
  isDeaf = false;
  await clock.advance(1000);
  await settle();
  t.false(acks.has('a'));
  await acks.end();
});
