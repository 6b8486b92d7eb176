// Counts the processor instructions of a call with valgrind: node bench/instructions.mjs, after `npm run build`. It takes a few minutes.
// Two runs of the same code differ by less than one percent, even on a busy machine; times differ by more.
import { spawnSync } from 'node:child_process';
import { runChild } from './harness/child.mjs';
import { table } from './harness/table.mjs';

const ROWS = [
  'eventemitter3 emit, one listener',
  'floor: emit, copy, ring',
  'ours: publish',
  'ours: host event, task_instance',
  'ours: host event, dag_run of 10 tasks',
  'ours: host event, opted out',
];

/** After FEW calls the code is compiled and the buffer is full, so the difference to MANY calls gives the cost of one call. */
const FEW = 20_000;
const MANY = 80_000;

/** No other thread compiles or collects garbage, and the seeds are fixed: the same code takes the same instructions. */
const FLAGS = ['--single-threaded', '--predictable', '--hash-seed=1', '--random-seed=1'];
const VALGRIND = ['valgrind', '--tool=callgrind', '--callgrind-out-file=/dev/null'];

if (spawnSync('valgrind', ['--version']).status !== 0) {
  console.error('valgrind is not installed: apt-get install valgrind.');
  process.exit(2);
}
const rows = [];
for (const row of ROWS) {
  const perCall = ((await instructions(row, MANY)) - (await instructions(row, FEW))) / (MANY - FEW);
  rows.push([row, perCall.toLocaleString('en-US', { maximumFractionDigits: 0 })]);
}
console.log(
  `Instructions of a call, collections of garbage included; Node ${process.versions.node}\n\n${table(['', 'instructions'], rows)}`,
);

async function instructions(row, calls) {
  const { stderr } = await runChild('instructions', { row, calls }, { flags: FLAGS, under: VALGRIND, capMs: 600_000 });
  const [, count] = /Collected : (\d+)/.exec(stderr) ?? [];
  if (count === undefined) throw new Error(`valgrind printed no instruction count: ${stderr.slice(-500)}`);
  return Number(count);
}
