import path from 'node:path';
import test from 'ava';
import { theseParts } from '../../src/relay/wiring.js';
import type { Relay, RelayReport } from '../../src/relay/index.js';
import { openSpool } from '../../src/relay/spool/index.js';
import { VirtualClock } from '../helpers/virtual-clock.js';
import { makeFolder } from './helpers/relay-child.js';
import { machine, startRig } from './helpers/relay-rig.js';
import { FaultyFiles } from './spool/faulty-files.js';

const { openStore } = theseParts;
const event = (count: number) => `/v3/dag_run?status=success&task_count=${count}`;

test('a disk that hangs holds up neither the answers nor the end', async (t) => {
  const spool = path.join(makeFolder(t), 'spool');
  const clock = new VirtualClock();
  const faulty = new FaultyFiles();
  const openHanging: typeof openStore = ({ directory = '', ...rest }) => openSpool({ directory, ...rest, fs: faulty.files });
  const rig = await startRig(
    t,
    { spool, backoffMs: 3_600_000, maxBackoffMs: 3_600_000 },
    { openStore: openHanging, machine: { ...machine, clock } },
  );
  t.is((await rig.get(event(0))).status, 204);
  const disk = faulty.hold('file.datasync');
  t.teardown(() => disk.end());
  const late = rig.get(event(1));
  await disk.arrived();
  await clock.advance(500);
  t.is((await late).status, 200);
  t.is((await rig.get(event(2))).status, 200);
  t.false(rig.relay.stats().store.isDurable);
  const startedAtMs = clock.now();
  const report = await endOf(rig.relay, clock, 100);
  const { published, sent, failed, droppedBy, pending } = report;
  t.deepEqual(
    { published, sent, failed, droppedBy, pending },
    { published: 3, sent: 0, failed: 0, droppedBy: { deadline: 2 }, pending: 1 },
  );
  t.true(clock.now() - startedAtMs <= 1500, String(clock.now() - startedAtMs));
});

test('a spool whose disk works only later: events in memory first, and what was left counts from then on', async (t) => {
  const spool = path.join(makeFolder(t), 'spool');
  const away = { spool, backoffMs: 3_600_000, maxBackoffMs: 3_600_000 };
  const first = await startRig(t, away, { openStore });
  for (const count of [0, 1]) t.is((await first.get(event(count))).status, 204);
  await first.relay.close({ deadlineMs: 0 });
  const clock = new VirtualClock();
  const faulty = new FaultyFiles();
  faulty.failAll('EROFS');
  const openReadOnly: typeof openStore = ({ directory = '', ...rest }) => openSpool({ directory, ...rest, fs: faulty.files });
  const { relay, get, log } = await startRig(t, away, { openStore: openReadOnly, machine: { ...machine, clock } });
  t.is((await get(event(2))).status, 200);
  t.deepEqual([relay.stats().published, relay.stats().isAccepting, log.filter((line) => line.includes('EROFS')).length], [1, true, 1]);
  faulty.faults.clear();
  while (!relay.stats().store.isDurable) await clock.advance(100);
  t.is((await get(event(3))).status, 204);
  const { published, accepted, pending, store } = relay.stats();
  t.deepEqual({ published, accepted, pending, recovered: store.recovered }, { published: 4, accepted: 2, pending: 4, recovered: 2 });
});

test('what was left on a disk that works only later is emptied where telemetry is opted out of', async (t) => {
  const spool = path.join(makeFolder(t), 'spool');
  const first = await startRig(t, { spool, backoffMs: 3_600_000, maxBackoffMs: 3_600_000 }, { openStore });
  t.is((await first.get(event(0))).status, 204);
  await first.relay.close({ deadlineMs: 0 });
  for (const isOutFromTheStart of [true, false]) {
    const env: NodeJS.ProcessEnv = isOutFromTheStart ? { DO_NOT_TRACK: '1' } : {};
    const clock = new VirtualClock();
    const faulty = new FaultyFiles();
    faulty.failAll('EROFS');
    const openReadOnly: typeof openStore = ({ directory = '', ...rest }) => openSpool({ directory, ...rest, fs: faulty.files });
    const { relay } = await startRig(t, { env, spool }, { openStore: openReadOnly, machine: { ...machine, clock } });
    env['DO_NOT_TRACK'] = '1';
    await clock.advance(2000);
    faulty.faults.clear();
    while (relay.stats().dropped === 0) await clock.advance(100);
    const { published, droppedBy, pending } = await endOf(relay, clock);
    t.deepEqual({ published, droppedBy, pending }, { published: 1, droppedBy: { opted_out: 1 }, pending: 0 });
    const next = await startRig(t, { spool, backoffMs: 3_600_000, maxBackoffMs: 3_600_000 }, { openStore });
    t.is(next.relay.stats().store.recovered, 0);
    t.is((await next.get(event(0))).status, 204);
    await next.relay.close({ deadlineMs: 0 });
  }
});

async function endOf(relay: Relay, clock: VirtualClock, deadlineMs = 0): Promise<RelayReport> {
  let isOver = false;
  const closing = relay.close({ deadlineMs }).finally(() => (isOver = true));
  const isOverNow = (): boolean => isOver;
  while (!isOverNow()) await clock.advance(10);
  return closing;
}
