// An event that comes with an id is one event, whichever relays get it: the queue knows its ids.
import test from 'ava';
import { systemClock } from '../../src/base/clock.js';
import { jetstreamStore, jetstreamTransport } from '../../src/jetstream/index.js';
import { createRelay } from '../../src/relay/index.js';
import type { Relay } from '../../src/relay/index.js';
import { startCollector } from '../../src/testing/index.js';
import { lineOf, newId, post } from '../relay/helpers/batch.js';
import { until } from '../relay/helpers/until.js';
import { StandInNats } from './stand-in-nats.js';
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

async function openStore(client: StandInNats) {
  return jetstreamStore({ client, ...options })({
    maxBytes: 2 ** 20,
    maxAgeMs: 60_000,
    clock: systemClock,
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
