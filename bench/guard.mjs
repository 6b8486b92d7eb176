// Fails where the host's path has become several times as dear as it was: node bench/guard.mjs, after `npm run build`.
// It holds on a busy machine, too: no absolute times, only ratios within one process and bytes, with bounds far from what is usual.
import { runChild } from './harness/child.mjs';
import { figure, table } from './harness/table.mjs';

/** A young generation that is not collected while allocations are counted. */
const FLAGS = ['--expose-gc', '--min-semi-space-size=64', '--max-semi-space-size=64'];

const { values } = await runChild('guard', {}, { flags: FLAGS });
const { ns, allocatedBytes, keptBytes } = values;

const checks = [
  ['publish, to the floor: emit, copy, ring', ns.publish / ns.floor, 5],
  ['host event task_instance, to the floor', ns.taskInstance / ns.floor, 20],
  ['dag_run of 10,000 tasks, to one of 10', ns.largeDag / ns.smallDag, 3],
  ['host event while opted out, to a bare emit', ns.optedOut / ns.bare, 6],
  ['bytes allocated by a publish', allocatedBytes, 600],
  ['bytes of a waiting event, to a plain object', keptBytes.waiting / keptBytes.plain, 1.6],
];

console.log(
  `\nGuard\n\n${table(
    ['', 'measured', 'at most'],
    checks.map(([what, value, limit]) => [what, figure(value), figure(limit)]),
  )}\n`,
);
for (const [what, value, limit] of checks) {
  if (value > 0 && value <= limit) continue;
  console.error(`broken: ${what}: ${figure(value)}, and not at most ${limit}`);
  process.exitCode = 1;
}
