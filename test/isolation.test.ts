import test from 'ava';
import { startCollector } from '../src/testing/index.js';
import type { PartReport } from './helpers/isolation-child.js';
import { runChild } from './helpers/run-child.js';

const PARTS = { thread: 'worker threads', cluster: 'cluster workers', fork: 'forked processes' } as const;

for (const [kind, words] of Object.entries(PARTS)) {
  test(`${words} have a queue and a report of their own, and deliver at their own exit`, async (t) => {
    const collector = await startCollector();
    t.teardown(() => collector.close());
    const { code, stdout, stderr } = await runChild('isolation-child', [collector.url, kind], { NODE_V8_COVERAGE: undefined });
    t.is(stderr, '');
    t.is(code, 0);
    const reports = stdout
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as PartReport & { isMainThread: boolean });
    t.log(reports.map(({ part, lingeredMs }) => `${part} ${Math.round(lingeredMs)} ms`).join(', '));
    t.deepEqual(reports.map(({ part }) => part).toSorted(), ['first', kind, kind].toSorted());
    t.deepEqual(
      reports.map(({ stats }) => stats.published).toSorted((a, b) => a - b),
      [3, 4, 5],
    );
    for (const { part, stats, listeners, beforeExit, isMainThread } of reports) {
      t.is(stats.sent, stats.published, part);
      t.is(stats.pending, 0, part);
      t.is(listeners[1], listeners[0], 'no signal handler, ever');
      t.is(beforeExit[1] - beforeExit[0], 1, 'a hook while events wait');
      t.is(beforeExit[2], beforeExit[0], 'and none when they have left');
      t.is(isMainThread, part !== 'thread');
    }
    t.is(collector.answered2xx, 12);
  });
}
