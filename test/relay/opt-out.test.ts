import test from 'ava';
import { startCollector } from '../../src/testing/index.js';
import { until } from './helpers/until.js';
import { machine, startRig } from './helpers/relay-rig.js';
import { StandInStore } from './helpers/stand-in-store.js';

const EVENT = '/v3/dag_run?status=success&task_count=3';
const SWITCHES = [
  { DO_NOT_TRACK: '1' },
  { SCARF_NO_ANALYTICS: 'true' },
  { AIRFLOW__COSMOS__ENABLE_TELEMETRY: 'False' },
  { COSMOS_TELEMETRY: 'off' },
];

for (const env of SWITCHES) {
  test(`${Object.keys(env)[0]} at the start: events are answered 202 and discarded, and what waited is emptied`, async (t) => {
    const collector = await startCollector();
    t.teardown(() => collector.close());
    const { get, store, relay } = await startRig(t, { env, forward: collector.url, spool: '/' }, { leftBehind: [EVENT, EVENT] });
    const answer = await get(EVENT);
    t.deepEqual([answer.status, answer.text], [202, 'telemetry is opted out of here: the event is discarded\n']);
    t.deepEqual([store().length, store().isClosed], [0, true]);
    const {
      published,
      accepted,
      store: { recovered },
      droppedBy,
      pending,
    } = await relay.close();
    t.deepEqual(
      { published, accepted, recovered, droppedBy, pending },
      { published: 2, accepted: 0, recovered: 2, droppedBy: { opted_out: 2 }, pending: 0 },
    );
    t.is(collector.connections, 0);
  });

  test(`${Object.keys(env)[0]} while it runs: what waits is emptied, and nothing leaves any more`, async (t) => {
    const mine: NodeJS.ProcessEnv = {};
    const { get, store, relay, log } = await startRig(t, { env: mine, spool: '/nowhere', backoffMs: 3_600_000, maxBackoffMs: 3_600_000 });
    for (let index = 0; index < 5; index += 1) t.is((await get(EVENT)).status, 204);
    await until(() => store().length === 5 && log.some((line) => line.includes(' connect: ')));
    Object.assign(mine, env);
    await until(() => store().length === 0);
    t.is((await get(EVENT)).status, 202);
    t.is((await get('/v3/dag_run?status=%zz')).status, 400);
    const { published, droppedBy, pending } = await relay.close();
    t.deepEqual({ published, droppedBy, pending }, { published: 5, droppedBy: { opted_out: 5 }, pending: 0 });
    t.true(log.some((line) => line.startsWith('[telemetry] opted_out: ')));
  });
}

test('opted out of from the start, no store is opened where no spool is there', async (t) => {
  const { get, store } = await startRig(t, { env: { DO_NOT_TRACK: '1' }, spool: '/nowhere/at/all' });
  t.is((await get(EVENT)).status, 202);
  t.is(store(), undefined as never);
});

test('the option opts out, too', async (t) => {
  const { get } = await startRig(t, { enabled: false });
  t.is((await get(EVENT)).status, 202);
});

test('an event that was being stored when the opt-out came is emptied, too', async (t) => {
  const mine: NodeJS.ProcessEnv = {};
  let goOn: (() => void) | undefined;
  let store: StandInStore | undefined;
  const { get, relay, log } = await startRig(
    t,
    { env: mine, spool: '/nowhere' },
    {
      openStore: ({ onStored }) => {
        const held = new StandInStore(onStored);
        const append = held.append.bind(held);
        held.append = async (target) => {
          await new Promise<void>((resolve) => {
            goOn = resolve;
          });
          return append(target);
        };
        store = held;
        return Promise.resolve(held);
      },
    },
  );
  const answer = get(EVENT);
  await until(() => goOn !== undefined);
  mine['DO_NOT_TRACK'] = '1';
  await until(() => log.some((line) => line.startsWith('[telemetry] opted_out: ')));
  goOn?.();
  t.is((await answer).status, 202);
  await until(() => relay.stats().dropped === 1);
  t.deepEqual([store?.length, relay.stats().published, relay.stats().pending], [0, 1, 0]);
});

test('debug mode prints requests and sends none', async (t) => {
  const collector = await startCollector();
  t.teardown(() => collector.close());
  const printed: string[] = [];
  const { get, relay } = await startRig(
    t,
    { env: { COSMOS_TELEMETRY_DEBUG: '1' }, forward: collector.url },
    {
      machine: {
        ...machine,
        descriptors: {
          open: () => Promise.resolve(2),
          write: (_descriptor, bytes) => {
            printed.push(Buffer.from(bytes).toString());
            return Promise.resolve(bytes.length);
          },
          close: () => Promise.resolve(),
        },
      },
    },
  );
  await get(EVENT);
  await until(() => relay.stats().dropped === 1);
  t.deepEqual([printed, relay.stats().droppedBy, collector.connections], [[`[telemetry] GET ${collector.url}${EVENT}\n`], { debug: 1 }, 0]);
});
