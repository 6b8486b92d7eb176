// The relay while it is unknown whether telemetry is opted out of: events are kept, on disk across restarts, and nothing is sent.
import 'p-queue';
import { readdirSync } from 'node:fs';
import path from 'node:path';
import test from 'ava';
import type { MachineAccess } from '../../src/base/machine.js';
import { defaultParts } from '../../src/relay/wiring.js';
import { startCollector } from '../../src/testing/index.js';
import { makeFolder } from './helpers/relay-child.js';
import { machine as plain, startRig } from './helpers/relay-rig.js';
import { until } from './helpers/until.js';
import { proves } from '../helpers/promises.js';

const { openStore } = defaultParts;
const EVENT = '/v3/dag_run?status=success&task_count=3';
const POLICY = '/etc/xdg/cosmos/telemetry.json';

/** A machine with one policy file: a text, or an error code. Its timers run at once when `look` is called. */
function machineWith(file: { content: string }) {
  const timers = new Set<() => void>();
  const read = (asked: string): string => {
    const content = asked === POLICY ? file.content : '!ENOENT';
    if (content.startsWith('!')) throw Object.assign(new Error('text of a library'), { code: content.slice(1) });
    return content;
  };
  const machine: MachineAccess = {
    ...plain,
    clock: {
      ...plain.clock,
      setTimeout: (callback, delayMs) => {
        const timer = plain.clock.setTimeout(callback, delayMs);
        if (delayMs === 1000) timers.add(callback);
        return timer;
      },
    },
    readFile: read,
    readFileLater: (asked) => Promise.resolve().then(() => read(asked)),
  };
  return { machine, look: () => [...timers].forEach((timer) => timer()) };
}

for (const code of ['EMFILE', 'EIO', 'ESTALE', 'EACCES']) {
  test(
    proves('relay-undecided', `${code} at the start: events are kept on disk through a restart, and sent when the file can be read`),
    async (t) => {
      const collector = await startCollector();
      t.teardown(() => collector.close());
      const spool = path.join(makeFolder(t), 'spool');
      const file = { content: `!${code}` };
      const { machine, look } = machineWith(file);
      const first = await startRig(t, { spool, forward: `${collector.url}/up` }, { machine, openStore });
      t.like(await first.get(EVENT), { status: 204 });
      t.like(await first.get('/readyz'), { status: 200, text: 'ready, but nothing is sent: a file that may opt out cannot be read\n' });
      t.is(first.log.filter((line) => line.includes('nothing is sent until it can be')).length, 1);
      t.like(await first.relay.close(), { pending: 1, dropped: 0, sent: 0 });
      t.true(readdirSync(spool).length > 0);

      const second = await startRig(t, { spool, forward: `${collector.url}/up` }, { machine, openStore });
      t.like(second.relay.stats(), { pending: 1, dropped: 0 });
      t.like(await second.get(EVENT), { status: 204 });
      t.is(collector.requests.length, 0);
      file.content = '!ENOENT';
      look();
      await until(() => second.relay.stats().sent === 2);
      t.like(await second.get('/readyz'), { status: 200, text: 'ready\n' });
      t.is(collector.requests.length, 2);
    },
  );
}

test(proves('relay-undecided', 'an opt-out that is read at last empties the spool'), async (t) => {
  const spool = path.join(makeFolder(t), 'spool');
  const file = { content: '!EIO' };
  const { machine, look } = machineWith(file);
  const { relay, get, log } = await startRig(t, { spool }, { machine, openStore });
  t.like(await get(EVENT), { status: 204 });
  file.content = '{"enabled": false}';
  look();
  await until(() => log.some((line) => line.startsWith('[telemetry] opted_out: ')));
  t.like(relay.stats(), { pending: 0, droppedBy: { opted_out: 1 } });
  t.like(await get(EVENT), { status: 202 });
  await relay.close();
  const again = await startRig(t, { spool }, { openStore });
  t.like(again.relay.stats(), { published: 0, pending: 0 });
});

test('without a spool, what waits at the close is dropped as undecided, and the close does not wait', async (t) => {
  const { machine } = machineWith({ content: '!EMFILE' });
  const { relay, get } = await startRig(t, {}, { machine, openStore });
  t.like(await get(EVENT), { status: 200, text: 'accepted in memory only\n' });
  const startedAt = performance.now();
  const report = await relay.close({ deadlineMs: 20_000 });
  t.like(report, { pending: 0, dropped: 1, droppedBy: { undecided: 1 } });
  t.true(performance.now() - startedAt < 5000, 'no deadline is waited for');
});
