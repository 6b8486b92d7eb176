// Fails if the host's path costs several times as much as before: node bench/guard.mjs, after `npm run build`.
// It works on a busy machine: it checks only bytes and ratios within one process, with limits far above the usual figures.
import { runChild } from './harness/child.mjs';
import { figure, table } from './harness/table.mjs';

/** A young generation that is large enough to avoid a collection while allocations are counted. */
const FLAGS = ['--expose-gc', '--min-semi-space-size=64', '--max-semi-space-size=64'];

const { values } = await runChild('guard', {}, { flags: FLAGS });
const { ns, allocatedBytes, keptBytes } = values;

const checks = [
  ['publish, to the floor: emit, copy, ring', ns.publish / ns.floor, 5],
  ['host event task_instance, to the floor', ns.taskInstance / ns.floor, 20],
  ['dag_run of 10,000 tasks, to a dag_run of 10', ns.largeDag / ns.smallDag, 3],
  ['host event after an opt-out, to a bare emit', ns.optedOut / ns.bare, 6],
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
  console.error(`broken: ${what}: ${figure(value)}, the limit is ${limit}`);
  process.exitCode = 1;
}
