// Fails if the host's path, an import or a full relay costs a tenth more than the baseline: node bench/guard.mjs, after `npm run build`.
// It works on a busy machine: it counts instructions and bytes, and checks times only as ratios within one process, with limits far above the
// usual figures. The baseline belongs to a system and a version of Node; without one, and without valgrind, it says what it leaves out.
// After a change that is meant to cost more, or costs less: `node bench/guard.mjs --write`, with each Node of the baseline.
import { readFileSync, writeFileSync } from 'node:fs';
import { runChild } from './harness/child.mjs';
import { canCount, instructionsOfImport, instructionsPerCall } from './harness/instructions.mjs';
import { figure, table } from './harness/table.mjs';

const BASELINE = new URL('results/guard.json', import.meta.url);
const TOLERANCE = 1.1;
/** Compilation differs between runs, seldom by more than the tolerance. What costs more costs it every time, so the lowest of a few counts. */
const ATTEMPTS = 3;

/** The Node that runs this file, for each process: a host has any version. */
const node = process.execPath;
/** A young generation that is large enough to avoid a collection while allocations are counted. */
const ALLOCATION_FLAGS = ['--expose-gc', '--min-semi-space-size=64', '--max-semi-space-size=64'];

const inProcess = async () => (await runChild('guard', {}, { flags: ALLOCATION_FLAGS, node })).values;
const residentMiB = async () => {
  const { values } = await runChild('relay-memory', { isFull: true, flags: ['--expose-gc'], collects: true }, { node, capMs: 300_000 });
  if (values.broken.length > 0) throw new Error(values.broken[0]);
  return values.residentMiB;
};

const hasValgrind = canCount();
const COUNTED = {
  ...(hasValgrind && {
    'instructions of a publish': () => instructionsPerCall('ours: publish', node),
    'instructions of a host event task_instance': () => instructionsPerCall('ours: host event, task_instance', node),
    'instructions of a host event dag_run of 10 tasks': () => instructionsPerCall('ours: host event, dag_run of 10 tasks', node),
    'instructions of the import': () => instructionsOfImport(node),
  }),
  'bytes allocated by a publish': async () => (await inProcess()).allocatedBytes.publish,
  'bytes allocated by a host event task_instance': async () => (await inProcess()).allocatedBytes.taskInstance,
  'resident MiB of a relay with a full spool': residentMiB,
};

const isWriting = process.argv.includes('--write');
const baselines = JSON.parse(readFileSync(BASELINE, 'utf8'));
const place = `${process.platform}-${process.arch}, Node ${process.versions.node.split('.')[0]}`;
const baseline = isWriting ? {} : (baselines[place] ?? {});

/** Counts again while the figure is above the limit. */
async function lowest(count, limit) {
  let found = await count();
  for (let attempt = 1; attempt < ATTEMPTS && found > limit; attempt += 1) found = Math.min(found, await count());
  return found;
}

const counts = {};
const wanted = Object.keys(COUNTED).filter((what) => isWriting || baseline[what] !== undefined);
for (const what of wanted) counts[what] = await lowest(COUNTED[what], isWriting ? Infinity : baseline[what] * TOLERANCE);
if (isWriting) {
  const rounded = Object.fromEntries(Object.entries(counts).map(([what, value]) => [what, Number(value.toPrecision(4))]));
  writeFileSync(BASELINE, `${JSON.stringify({ ...baselines, [place]: { ...baselines[place], ...rounded } }, null, 2)}\n`);
}

const { ns, keptBytes } = await inProcess();
const checks = [
  ['publish, to the floor: emit, copy, ring', ns.publish / ns.floor, 5],
  ['host event task_instance, to the floor', ns.taskInstance / ns.floor, 20],
  ['dag_run of 10,000 tasks, to a dag_run of 10', ns.largeDag / ns.smallDag, 3],
  ['host event after an opt-out, to a bare emit', ns.optedOut / ns.bare, 6],
  ['bytes of a waiting event, to a plain object', keptBytes.waiting / keptBytes.plain, 1.6],
  ...wanted.map((what) => [what, counts[what], isWriting ? Infinity : baseline[what] * TOLERANCE]),
];

console.log(
  `\nGuard, ${place}\n\n${table(
    ['', 'measured', 'at most'],
    checks.map(([what, value, limit]) => [what, figure(value), Number.isFinite(limit) ? figure(limit) : 'written']),
  )}\n`,
);
if (!hasValgrind) console.log('Left out: instructions. valgrind is not installed.');
if (!isWriting && baselines[place] === undefined) console.log(`Left out: counts. ${BASELINE.pathname} has no baseline for ${place}.`);
for (const [what, value, limit] of checks) {
  if (value > 0 && value <= limit) continue;
  console.error(`broken: ${what}: ${figure(value)}, the limit is ${figure(limit)}`);
  process.exitCode = 1;
}
