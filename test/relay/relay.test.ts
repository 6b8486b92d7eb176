import { createServer } from 'node:http';
import test from 'ava';
import { createRelay } from '../../src/relay/index.js';
import type { RelayOptions } from '../../src/relay/index.js';
import type { RelayParts, StoreRequest } from '../../src/relay/wiring.js';
import { createRelayWith } from '../../src/relay/relay.js';
import { startCollector } from '../../src/testing/index.js';
import { systemClock } from '../../src/base/clock.js';
import { listen } from '../helpers/loopback.js';
import { until } from './helpers/until.js';
import { get, machine, startRig } from './helpers/relay-rig.js';
import { StandInStore } from './helpers/stand-in-store.js';

const EVENT = '/astronomer-cosmos/v3/dag_run?status=success';

test('its handler can be mounted in a server that is there', async (t) => {
  const collector = await startCollector();
  t.teardown(() => collector.close());
  const relay = createRelayWith(
    { forward: collector.url, env: {} },
    { machine, openStore: ({ onStored }) => Promise.resolve(new StandInStore(onStored)) },
  );
  t.teardown(() => relay.close({ deadlineMs: 0 }));
  const { port } = await listen(t, createServer(relay.handler));
  const answers = await Promise.all([get(port, EVENT), get(port, EVENT), get(port, EVENT, { host: `example.com:${port}` })]);
  t.deepEqual(
    answers.map(({ status }) => status),
    [204, 204, 403],
  );
  await collector.waitFor(2);
  await until(() => relay.stats().pending === 0);
  const { sent } = await relay.close();
  t.is(sent, 2);
  t.is((await get(port, EVENT)).status, 503);
});

test('mounted, it opens its store at the first request, whatever that asks for', async (t) => {
  const collector = await startCollector();
  t.teardown(() => collector.close());
  const relay = createRelayWith(
    { forward: collector.url, env: {} },
    { machine, openStore: ({ onStored }) => Promise.resolve(new StandInStore(onStored, ['/v3/dag_run?status=failed'])) },
  );
  t.teardown(() => relay.close({ deadlineMs: 0 }));
  const { port } = await listen(t, createServer(relay.handler));
  t.is((await get(port, '/readyz')).status, 503, 'not yet');
  await collector.waitFor(1);
  t.is((await get(port, '/readyz')).status, 200);
  t.deepEqual(
    collector.requests.map(({ url }) => url),
    ['/v3/dag_run?status=failed'],
  );
});

for (const [verbatim, admitted] of [
  [false, ['/v3/dag_run?status=success', undefined, undefined]],
  [true, ['/v3/dag_run?status=success&secret=1', '/v3/own?a=1', undefined]],
] as const) {
  test(`what an earlier process left is looked at as if it came now${verbatim ? ', with --verbatim' : ''}`, async (t) => {
    let admit: StoreRequest['admit'] | undefined;
    const openStore: RelayParts['openStore'] = ({ onStored, ...asked }) => {
      ({ admit } = asked);
      return Promise.resolve(new StandInStore(onStored));
    };
    await startRig(t, { verbatim }, { openStore });
    t.deepEqual(
      ['/v3/dag_run?status=success&secret=1', '/v3/own?a=1', ':1234/steal'].map((target) => admit?.(target)),
      admitted,
    );
  });
}

test('a store that cannot be opened is an answer, and no end', async (t) => {
  const relay = createRelayWith({ env: {} }, { machine, openStore: () => Promise.reject(new Error('no disk')) });
  const { port } = await listen(t, createServer(relay.handler));
  t.deepEqual(await get(port, EVENT).then(({ status, text }) => [status, text]), [503, 'the spool cannot be used\n']);
  t.is((await get(port, '/readyz')).status, 503);
  await t.throwsAsync(relay.listen(), { message: 'no disk' });
  t.is((await relay.close()).published, 0);
});

test('a store that could not be opened is tried again with the next event', async (t) => {
  let tries = 0;
  const relay = createRelayWith(
    { env: {}, forward: 'http://127.0.0.1:9' },
    {
      machine,
      openStore: ({ onStored }) =>
        (tries += 1) === 1 ? Promise.reject(new Error('used by another process')) : Promise.resolve(new StandInStore(onStored)),
    },
  );
  t.teardown(() => relay.close({ deadlineMs: 0 }));
  const { port } = await listen(t, createServer(relay.handler));
  t.is((await get(port, EVENT)).status, 503);
  t.deepEqual([(await get(port, EVENT)).status, (await get(port, EVENT)).status, (await get(port, '/readyz')).status], [204, 204, 200]);
  t.is(tries, 2);
});

test('a handler alone empties the spool, too, where telemetry is opted out of', async (t) => {
  let store: StandInStore | undefined;
  const relay = createRelayWith(
    { env: { DO_NOT_TRACK: '1' }, spool: '/' },
    {
      machine,
      openStore: ({ onStored }) => Promise.resolve((store ??= new StandInStore(onStored, ['/v3/dag_run?status=success']))),
    },
  );
  const { port } = await listen(t, createServer(relay.handler));
  t.is((await get(port, EVENT)).status, 202);
  const { droppedBy } = await relay.close();
  t.deepEqual([droppedBy, store?.length, store?.isClosed], [{ opted_out: 1 }, 0, true]);
});

test('who was told that the spool is full may come again after as long as was said', async (t) => {
  let aheadMs = 0;
  const clock = { ...systemClock, now: () => systemClock.now() + aheadMs };
  const { get: ask, store } = await startRig(t, {}, { machine: { ...machine, clock } });
  store().answer = 'full';
  const { status, headers } = await ask(EVENT);
  t.deepEqual([status, headers['retry-after'], (await ask('/readyz')).status], [503, '10', 503]);
  aheadMs = 10_000;
  t.is((await ask('/readyz')).status, 200);
});

test('in memory alone, out of the box', async (t) => {
  const collector = await startCollector();
  t.teardown(() => collector.close());
  const relay = createRelay({
    listen: '127.0.0.1:0',
    forward: `${collector.url}/up`,
    env: { HOME: '/nowhere', XDG_CONFIG_DIRS: '/nowhere' },
  });
  const { port, url } = await relay.listen();
  t.is(url, `http://127.0.0.1:${port}`);
  t.is((await get(port, EVENT)).status, 200);
  const report = await relay.close();
  t.like(report, { published: 1, accepted: 1, sent: 1, failed: 0, dropped: 0, pending: 0, timedOut: false, answers: { '200': 1 } });
  t.is(collector.requests[0]?.url, '/up/v3/dag_run?status=success');
});

test('who is closed while it starts does not listen, and who was closed does not start', async (t) => {
  let open: ((store: StandInStore) => void) | undefined;
  const relay = createRelayWith(
    { listen: '127.0.0.1:0', env: {} },
    { machine, openStore: () => new Promise((resolve) => (open = resolve)) },
  );
  const listening = relay.listen();
  await until(() => open !== undefined);
  const closing = relay.close();
  open?.(new StandInStore(() => undefined));
  await t.throwsAsync(listening, { message: 'A relay that was closed does not listen.' });
  t.is((await closing).pending, 0);
  const other = createRelayWith({ env: {} }, { machine, openStore: () => t.fail() });
  await other.close();
  await t.throwsAsync(other.listen(), { message: 'A relay that was closed does not listen.' });
});

test('an address that is taken leaves nothing behind', async (t) => {
  const { port, store } = await startRig(t);
  let second: StandInStore | undefined;
  const relay = createRelayWith(
    { listen: `127.0.0.1:${port}`, env: {} },
    { machine, openStore: ({ onStored }) => Promise.resolve((second = new StandInStore(onStored))) },
  );
  await t.throwsAsync(relay.listen(), { code: 'EADDRINUSE' });
  t.true(second?.isClosed);
  t.false(store().isClosed);
});

test('what a programmer gets wrong is refused, by name', (t) => {
  const cases: [options: object, message: RegExp][] = [
    [{ colour: 1 }, /^Expected `options of createRelay` to have known keys only, got `colour` with 1\.$/],
    [{ listen: 8787 }, /^Expected `listen` to be host:port, as in "127\.0\.0\.1:8787" or "\[::1\]:0", got 8787\.$/],
    [{ listen: '127.0.0.1:65536' }, /^Expected `listen`/],
    [{ listen: '::1:8787' }, /^Expected `listen`/],
    [{ forward: 'ftp://x' }, /^Expected `forward` to be an http or https URL/],
    [{ allowedHosts: ['http://x'] }, /^Expected `allowedHosts` to be a list of host names/],
    [{ prefix: '..' }, /^Expected `prefix` to be 1 to 128 letters, digits or any of _ \. ~ -\.$/],
    [{ spool: '' }, /^Expected `spool` to be the path of a directory, got ""\.$/],
    [{ concurrency: 0 }, /^Expected `concurrency` to be a whole number from 1 to 256, got 0\.$/],
    [{ enabled: true }, /^Expected `enabled` to be false or left out/],
    [{ logger: {} }, /^Expected `logger` to be an object with `debug\(\)` and `warn\(\)`, got an object\.$/],
  ];
  for (const [options, message] of cases)
    t.throws(() => createRelay(options as RelayOptions), { instanceOf: TypeError, message }, JSON.stringify(options));
});

test('a deadline that is none is said, and the default is taken', async (t) => {
  const { relay, log } = await startRig(t);
  await relay.close({ deadlineMs: -1 });
  t.true(log.some((line) => line.startsWith('[telemetry] deadline_invalid: ')));
});
