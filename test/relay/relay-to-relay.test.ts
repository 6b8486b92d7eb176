// Two relays in a row: batches between them, each event once, also if the second is killed between its commit and its answer.
import { connect, createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import test from 'ava';
import type { ExecutionContext } from 'ava';
import { createRelay } from '../../src/relay/index.js';
import type { RelayOptions } from '../../src/relay/index.js';
import { startCollector } from '../../src/testing/index.js';
import { BATCHES, lineOf, newId, post } from './helpers/batch.js';
import { makeFolder, RelayChild } from './helpers/relay-child.js';
import { get } from './helpers/relay-rig.js';
import { until } from './helpers/until.js';
import { proves } from '../helpers/promises.js';

/** A relay that forwards lines to a URL. */
function firstRelay(t: ExecutionContext, forward: string, more: RelayOptions = {}) {
  const common = { listen: '127.0.0.1:0', forward, forwardKind: 'ndjson', spool: makeFolder(t), env: {} } as const;
  const relay = createRelay({ ...common, backoffMs: 20, maxBackoffMs: 50, ...more });
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

const median = (all: number[]): number => all.sort((left, right) => left - right)[Math.floor(all.length / 2)] ?? 0;

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
  for (let asked = 0; asked < 1000 && (await first.metric('events_sent_total')) < lines.length; asked += 1);
  t.is(await first.metric('events_sent_total'), lines.length);
  first.process.kill('SIGKILL');
  await first.ended;
  const second = start();
  t.is((await post(await second.port(), [...lines, lineOf({ status: 'failed' })])).status, 204);
  await collector.waitFor(lines.length + 1);
  t.is(await second.metric('events_duplicate_total'), lines.length);
  t.is(await second.metric('events_recovered_total'), 0);
  t.is(collector.requests.length, lines.length + 1);
});

test('lines go to the very URL, and events of DAG Factory beside them to their own endpoint, as they came', async (t) => {
  const [lines, dags] = [await startCollector(), await startCollector()];
  t.teardown(() => Promise.all([lines.close(), dags.close()]));
  const relay = firstRelay(t, `${lines.url}/ingest/?table=usage%20events`, { forwardDagFactory: dags.url });
  const { port } = await relay.listen();
  const dagFactory = '/v2/1.1.0/2.10.1/3.11.7/Linux/x86_64/dag_run/success/9e107d9d372bb6826bd81d3542a419d6/12';
  t.true((await get(port, '/v3/dag_run?status=success')).status < 300);
  t.true((await get(port, `/dag-factory${dagFactory}`)).status < 300);
  await Promise.all([lines.waitFor(1), dags.waitFor(1)]);
  await until(() => relay.stats().sent === 2);
  t.deepEqual(
    [lines, dags].map(({ requests }) => requests.map(({ method, url }) => `${method} ${url}`)),
    [['POST /ingest/?table=usage%20events'], [`GET ${dagFactory}`]],
  );
});

test('an event that the endpoint of lines refuses in its answer fails, and the others are sent', async (t) => {
  const second = createRelay({ listen: '127.0.0.1:0', forward: 'http://127.0.0.1:9', spool: makeFolder(t), env: {} });
  t.teardown(() => second.close({ deadlineMs: 0 }));
  const { url } = await second.listen();
  const first = firstRelay(t, `${url}${BATCHES}`, { verbatim: true });
  const { port } = await first.listen();
  t.true(
    (await post(port, [lineOf({ status: 'success' }), lineOf({ a: 1 }, newId(), 'acme_run'), lineOf({ status: 'failed' })])).status < 300,
  );
  await until(() => first.stats().pending === 0);
  const { sent, failedBy } = first.stats();
  t.deepEqual({ sent, failedBy }, { sent: 2, failedBy: { http_404: 1 } });
  t.deepEqual([second.stats().accepted, second.stats().refusedBy], [2, { unknown_event: 1 }]);
});

test('a spool of targets is sent as lines, each event with one id, and a spool of lines as targets', async (t) => {
  const spool = makeFolder(t);
  const away = 'http://127.0.0.1:9/v3/events';
  const asTargets = createRelay({ listen: '127.0.0.1:0', forward: away, spool, env: {} });
  t.true((await get((await asTargets.listen()).port, '/v3/dag_run?status=success')).status < 300);
  await asTargets.close({ deadlineMs: 0 });
  const asLines = firstRelay(t, away, { spool });
  t.true((await get((await asLines.listen()).port, '/v3/dag_run?status=failed')).status < 300);
  t.is((await asLines.close({ deadlineMs: 0 })).pending, 2);
  const collector = await startCollector();
  t.teardown(() => collector.close());
  const second = createRelay({ listen: '127.0.0.1:0', forward: collector.url, spool: makeFolder(t), env: {} });
  t.teardown(() => second.close({ deadlineMs: 0 }));
  const { url } = await second.listen();
  const again = firstRelay(t, `${url}${BATCHES}`, { spool });
  await again.listen();
  await collector.waitFor(2);
  t.deepEqual(collector.requests.map((request) => request.url).sort(), ['/v3/dag_run?status=failed', '/v3/dag_run?status=success']);
  await until(() => again.stats().sent === 2);
  await again.close();
  // Lines that wait, and a relay that forwards targets.
  const waiting = firstRelay(t, away, { spool });
  t.true((await get((await waiting.listen()).port, '/v3/task_instance?status=success&duration=7.0')).status < 300);
  t.is((await waiting.close({ deadlineMs: 0 })).pending, 1);
  const back = createRelay({ listen: '127.0.0.1:0', forward: collector.url, spool, env: {} });
  t.teardown(() => back.close({ deadlineMs: 0 }));
  await back.listen();
  await collector.waitFor(3);
  t.regex(collector.requests[2]?.url ?? '', /^\/v3\/task_instance\?status=success&duration=7\.0&/);
});

test('lines need a URL that takes them', (t) => {
  const cases: [options: RelayOptions, message: RegExp][] = [
    [
      { forwardKind: 'ndjson' },
      /^Expected `forward` to be the http or https URL that takes NDJSON if `forwardKind` is ndjson, .* got undefined/,
    ],
    [
      { forwardKind: 'ndjson', forward: 'http://me:secret@a.example/' },
      /^Expected `forward` to be the http or https URL that takes NDJSON/,
    ],
    [
      { forwardKind: 'ndjson', forward: 'http://127.0.0.1:8787/v3/events?a=b' },
      /^Expected `forward` to be a server other than the relay itself/,
    ],
    [{ forwardKind: 'lines' as 'ndjson' }, /^Expected `forwardKind` to be/],
  ];
  for (const [options, message] of cases) t.throws(() => createRelay(options), { instanceOf: TypeError, message });
});
