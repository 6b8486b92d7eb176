import { copyFileSync, mkdirSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import type { ExecutionContext } from 'ava';
import type { StoredEvent } from '../../../src/delivery/relay-store.js';
import { seededChance } from './chance.js';
import { CHANGING, FaultyFiles } from './faulty-files.js';
import { freshDirectory, openRig } from './rig.js';

/** Orders: eight in `npm test`, a hundred in `npm run test:relay`. */
const RUNS = Number(process.env['SPOOL_RUNS'] ?? 8);
const STEPS = 120;

/**
 * A copy of the files, without the lock. A deletion in flight can delete a file between the list and its copy; the copy is then repeated,
 * because its files were never on disk at the same time.
 */
function picture(t: ExecutionContext, directory: string): string {
  for (;;) {
    const copy = freshDirectory(t);
    mkdirSync(copy, { mode: 0o700 });
    try {
      for (const name of readdirSync(directory)) if (!name.startsWith('lock')) copyFileSync(join(directory, name), join(copy, name));
      return copy;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    }
  }
}

/** What a new process recovers if this one is killed now. */
async function afterCrash(t: ExecutionContext, directory: string): Promise<Map<string, boolean>> {
  const { store } = await openRig(t, { directory: picture(t, directory) });
  const found = new Map(store.take(100_000).map(({ target, mayBeSecond }) => [target, mayBeSecond]));
  t.is(found.size, store.stats().recovered, 'each once');
  await store.close();
  return found;
}

for (const [isFaulty, readAheadBytes] of [
  [false, undefined],
  [false, 1024],
  [true, undefined],
  [true, 1024],
] as const) {
  const words = `${isFaulty ? ' on a failing disk' : ''}${readAheadBytes === undefined ? '' : ' with most text on disk alone'}`;
  test(`any order of calls${words} keeps the counts, and survives a crash at any moment`, async (t) => {
    t.timeout(60_000 + RUNS * 2000);
    const random = seededChance(t);
    for (let run = 0; run < RUNS; run += 1) {
      const directory = freshDirectory(t);
      const faulty = new FaultyFiles();
      let gone = 0;
      const onUnreadable = (events: number): void => void (gone += events);
      const options = { directory, segmentBytes: 1024, maxBytes: 64 * 1024, readAheadBytes, onUnreadable, fs: faulty.files };
      const { store, clock, told } = await openRig(t, options);
      const disk = new Set<string>();
      const settled = new Set<string>();
      const taken: StoredEvent[] = [];
      const appends: Promise<unknown>[] = [];
      const some = (): StoredEvent[] => taken.splice(random.below(taken.length + 1), 1 + random.below(5));
      const append = (): void => {
        const target = `/${run}-${appends.length}?${'x'.repeat(random.below(80))}`;
        appends.push(store.append(target).then((stored) => (stored === 'disk' ? disk.add(target) : undefined)));
      };
      const settle = (): void => {
        const events = some();
        store.settle(events);
        gone += events.length;
        for (const { target } of events) settled.add(target);
      };
      const steps: (() => unknown)[] = [
        append,
        append,
        append,
        append,
        () => Promise.all(appends),
        () => taken.push(...store.take(1 + random.below(6))),
        () => store.putBack(some()),
        settle,
        settle,
        () => t.true(store.ready <= store.length),
        () => new Promise((resolve) => setImmediate(resolve)),
      ];
      if (isFaulty) {
        steps.push(
          () => faulty.faults.set(CHANGING[random.below(CHANGING.length)] ?? 'open', 'EIO'),
          () => faulty.faults.set('file.read', 'EIO'),
          () => faulty.faults.clear(),
          () => clock.advance(5000),
        );
      }
      for (let step = 0; step < STEPS; step += 1) {
        await steps[random.below(steps.length)]?.();
        t.is(store.length + taken.length + gone, told());
        t.true(store.stats().bytes <= 64 * 1024);
        if (isFaulty || step % 20 > 0) continue;
        const acknowledged = [...disk];
        const found = await afterCrash(t, directory);
        for (const target of acknowledged) t.is(found.has(target), !settled.has(target), target);
        for (const { target } of taken) t.true(found.get(target), target);
        for (const target of settled) t.false(found.has(target));
      }
      // Once the disk works, every event that waits is on disk after a close.
      faulty.faults.clear();
      await Promise.all(appends);
      store.putBack(taken.splice(0));
      while (!store.stats().isDurable) await clock.advance(5000);
      const waiting = store.length;
      await store.close();
      const found = await afterCrash(t, directory);
      if (isFaulty) t.true(found.size >= waiting, `${found.size} of ${waiting}`);
      else t.is(found.size, waiting);
    }
  });
}
