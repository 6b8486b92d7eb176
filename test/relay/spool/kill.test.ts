import test from 'ava';
import { seededChance } from './chance.js';
import { startChild } from './children.js';
import { freshDirectory, openRig } from './rig.js';
import { proves } from '../../helpers/promises.js';

/** Kills: three in `npm test`, forty in `npm run test:relay`. */
const RUNS = Number(process.env['SPOOL_KILLS'] ?? 3);
/** Children that run at the same time. */
const AT_A_TIME = 3;

test(
  proves(
    'relay-sigkill',
    'a process that is killed at any moment loses nothing that it acknowledged, and brings back nothing that it settled',
  ),
  async (t) => {
    t.timeout(60_000 + RUNS * 5000);
    const random = seededChance(t);
    let seen = 0;
    const killAfter = async (lines: number): Promise<void> => {
      const directory = freshDirectory(t);
      const child = startChild(t, directory, 'load');
      await child.said(lines);
      child.process.kill('SIGKILL');
      await child.ended;

      const by: Record<string, Set<string>> = {};
      const open = new Set<string>();
      for (const line of child.lines()) {
        const [what = '', ...numbers] = line.split(' ');
        const set = (by[what] ??= new Set<string>());
        for (const number of numbers) {
          set.add(number);
          if (what === 't') open.add(number);
          else if (what === 'p' || what === 's') open.delete(number);
        }
      }
      const [a, s, d, heard, p] = ['a', 's', 'd', 't', 'p'].map((what) => by[what] ?? new Set<string>()) as [
        Set<string>,
        Set<string>,
        Set<string>,
        Set<string>,
        Set<string>,
      ];
      const { store } = await openRig(t, { directory });
      const { recovered, maybeSentTwice, tornLines } = store.stats();
      const events = store.take(1_000_000);
      const back = new Map(events.map(({ target, mayBeSecond }) => [target.slice(1, target.indexOf('?')), mayBeSecond]));
      t.is(back.size, recovered, 'each once');
      t.true(tornLines <= 1, `${tornLines} torn lines`);
      for (const number of a) if (!s.has(number)) t.true(back.has(number), `acknowledged ${number} is lost`);
      for (const number of d) t.false(back.has(number), `settled ${number} came back`);
      for (const number of open) t.true(back.get(number), `begun ${number} came back as if it had never left`);
      const second = [...back].filter(([, mayBeSecond]) => mayBeSecond).map(([number]) => number);
      t.is(second.length, maybeSentTwice);
      // Killed between `take` and its line on stdout: two loops take three events each.
      const unheard = second.filter((number) => !heard.has(number));
      t.true(unheard.length <= 6, `${unheard.length} are in doubt and were never taken`);
      for (const number of second) if (heard.has(number)) t.true(open.has(number) || s.has(number) || p.has(number), number);
      seen += a.size;
      await store.close();
    };
    const counts = Array.from({ length: RUNS }, () => 50 + random.below(1500));
    while (counts.length > 0) await Promise.all(counts.splice(0, AT_A_TIME).map(killAfter));
    t.true(seen > RUNS * 20, `${seen} events`);
  },
);
