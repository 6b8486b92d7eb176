// Two relays in a row: batches between them, each event once, also if the second is killed between its commit and its answer.
import { connect, createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import test from 'ava';
import type { ExecutionContext } from 'ava';
import { createRelay } from '../../src/relay/index.js';
import { createRelayWith } from '../../src/relay/relay.js';
import { defaultParts } from '../../src/relay/wiring.js';
import { startCollector } from '../../src/testing/index.js';
import { BATCHES, lineOf, newId, post } from './helpers/batch.js';
import { lineTransport } from './helpers/line-transport.js';
import { makeFolder, RelayChild } from './helpers/relay-child.js';
import { get } from './helpers/relay-rig.js';
import { until } from './helpers/until.js';
import { proves } from '../helpers/promises.js';

/** A relay that forwards lines to a URL. */
function firstRelay(t: ExecutionContext, forward: string, more: object = {}) {
  const options = { listen: '127.0.0.1:0', forward, spool: makeFolder(t), env: {}, backoffMs: 20, maxBackoffMs: 50, ...more };
  const relay = createRelayWith(options, { ...defaultParts, lineTransport });
  t.teardown(() => relay.close({ deadlineMs: 0 }));
  return relay;
}

/** Forwards connections to a port that may change. `onAnswer` gets each answer before the client does, and may keep it. */
async function startMiddle(t: ExecutionContext, port: () => number) {
  const middle = { url: '', onAnswer: (): boolean => true };
  const server = createServer((client) => {
    const upstream = connect(port(), '127.0.0.1');
    client.on('error', () => upstream.destroy());
    upstream.on('error', () => client.destroy());
    upstream.on('close', () => client.destroy());
    client.on('close', () => upstream.destroy());
    client.on('data', (bytes) => upstream.write(bytes));
    upstream.on('data', (bytes) => {
      if (middle.onAnswer()) client.write(bytes);
      else client.destroy();
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.teardown(() => server.close());
  middle.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return middle;
}

test('events by GET and by batch go through two relays, with their ids, times and kinds, and then as GETs', async (t) => {
  const collector = await startCollector();
  t.teardown(() => collector.close());
  const second = createRelay({ listen: '127.0.0.1:0', forward: collector.url, spool: makeFolder(t), env: {} });
  t.teardown(() => second.close({ deadlineMs: 0 }));
  const { url } = await second.listen();
  const first = firstRelay(t, `${url}${BATCHES}`);
  const { port } = await first.listen();
  t.is((await get(port, '/v3/dag_run?status=success&airflow_version=2.10.1%252Bastro.1&task_count=7')).status, 204);
  t.is((await post(port, [lineOf({ status: 'success' }, newId(), 'task_instance').replace('}', ',"duration":7.0}')])).status, 204);
  await collector.waitFor(2);
  const [ofGet, ofLine] = collector.requests.map(({ url: target }) => target).sort();
  t.is(ofGet, '/v3/dag_run?status=success&airflow_version=2.10.1%252Bastro.1&task_count=7');
  t.regex(ofLine ?? '', /^\/v3\/task_instance\?status=success&duration=7\.0(?:&[a-z_]+=None)*$/);
  await until(() => first.stats().sent === 2 && second.stats().sent === 2);
  t.deepEqual([second.stats().accepted, second.stats().duplicates], [2, 0]);
});

test('one hop more takes one hop: an event is on its way as soon as it is stored', async (t) => {
  const collector = await startCollector();
  t.teardown(() => collector.close());
  const second = createRelay({ listen: '127.0.0.1:0', forward: collector.url, spool: makeFolder(t), env: {} });
  t.teardown(() => second.close({ deadlineMs: 0 }));
  const { url, port: alone } = await second.listen();
  const first = firstRelay(t, `${url}${BATCHES}`);
  const { port } = await first.listen();
  const took = async (to: number): Promise<number> => {
    const before = collector.requests.length;
    const startedAtMs = performance.now();
    t.true((await get(to, '/v3/dag_run?status=success')).status < 300);
    await collector.waitFor(before + 1);
    return performance.now() - startedAtMs;
  };
  const median = (all: number[]) => all.sort((left, right) => left - right)[Math.floor(all.length / 2)] ?? 0;
  const [one, two]: [number[], number[]] = [[], []];
  for (let round = 0; round < 21; round += 1) {
    one.push(await took(alone));
    two.push(await took(port));
  }
  t.log(`to the endpoint, median: ${median(one).toFixed(1)} ms by one relay, ${median(two).toFixed(1)} ms by two`);
  t.is(collector.requests.length, 42);
});

test(
  proves(
    ['relay-same-id', 'relay-sigkill'],
    'the second relay is killed between its commit and its answer: no event is lost or counted twice',
  ),
  async (t) => {
    const spool = makeFolder(t);
    const start = (forward: string) => new RelayChild(t, ['--listen', '127.0.0.1:0', '--spool', spool, '--forward', forward]);
    // Nothing leaves the second relay before it is killed.
    let second = start('http://127.0.0.1:9');
    const open = await second.port();
    // Until everything is on the disk of the first relay, the second one cannot be reached.
    let port = 9;
    const middle = await startMiddle(t, () => port);
    const first = firstRelay(t, `${middle.url}${BATCHES}`);
    const { port: own } = await first.listen();
    const isKilled = new Promise<void>((resolve) => {
      middle.onAnswer = () => {
        second.process.kill('SIGKILL');
        resolve();
        return false;
      };
    });
    const events = Array.from({ length: 40 }, (_, number) => `/v3/dag_run?status=success&task_count=${number}`);
    const lines = Array.from({ length: 300 }, (_, number) => lineOf({ status: 'failed', task_count: number }));
    const answers = await Promise.all([post(own, lines), ...events.map((event) => get(own, event))]);
    t.true(answers.every(({ status }) => status === 204 || status === 200));
    port = open;
    await isKilled;
    await second.ended;
    middle.onAnswer = () => true;
    const collector = await startCollector();
    t.teardown(() => collector.close());
    second = start(collector.url);
    port = await second.port();
    await collector.waitFor(events.length + lines.length);
    await until(() => first.stats().sent === events.length + lines.length);
    const { sent, failed, dropped, pending, published } = first.stats();
    t.deepEqual({ sent, failed, dropped, pending, published }, { sent: 340, failed: 0, dropped: 0, pending: 0, published: 340 });
    const received = collector.requests.map(({ url }) => /status=(\w+)&task_count=(\d+)/.exec(url)?.slice(1).join(' ') ?? url);
    t.is(received.length, 340);
    t.is(new Set(received).size, 340);
    const repeats = await second.metric('events_duplicate_total');
    t.true(repeats >= 100, `${repeats} events that were on disk came again`);
    t.is((await second.metric('events_recovered_total')) + (await second.metric('events_accepted_total')), 340);
    t.log(`${repeats} events came again`);
  },
);

test(proves('relay-same-id', 'killed after it has sent its events, a relay knows them when they come again'), async (t) => {
  const collector = await startCollector();
  t.teardown(() => collector.close());
  const spool = makeFolder(t);
  const start = () => new RelayChild(t, ['--listen', '127.0.0.1:0', '--spool', spool, '--forward', collector.url]);
  const lines = Array.from({ length: 20 }, (_, number) => lineOf({ status: 'success', task_count: number }));
  const first = start();
  t.is((await post(await first.port(), lines)).status, 204);
  await collector.waitFor(lines.length);
  while ((await first.metric('events_sent_total')) < lines.length);
  first.process.kill('SIGKILL');
  await first.ended;
  const second = start();
  t.is((await post(await second.port(), [...lines, lineOf({ status: 'failed' })])).status, 204);
  await collector.waitFor(lines.length + 1);
  t.is(await second.metric('events_duplicate_total'), lines.length);
  t.is(await second.metric('events_recovered_total'), 0);
  t.is(collector.requests.length, lines.length + 1);
});
