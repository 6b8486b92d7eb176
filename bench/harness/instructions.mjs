// Counts processor instructions with valgrind's callgrind. With these flags two runs of the same code differ by less than one percent, even on
// a busy machine; times differ by more.
import { spawnSync } from 'node:child_process';
import { runChild } from './child.mjs';

/** No other thread compiles or collects garbage, and the seeds are fixed: the same code takes the same instructions. */
const FLAGS = ['--single-threaded', '--predictable', '--hash-seed=1', '--random-seed=1'];
const VALGRIND = ['valgrind', '--tool=callgrind', '--callgrind-out-file=/dev/null'];

/** After FEW calls the code is compiled and the buffer is full, so the difference to MANY calls gives the cost of one call. */
const FEW = 20_000;
const MANY = 60_000;

export const canCount = () => spawnSync('valgrind', ['--version']).status === 0;

/** @param row a row of scenarios/publish.mjs */
export async function instructionsPerCall(row, node) {
  const counts = [MANY, FEW].map((calls) => instructionsOf('instructions', { row, calls }, node));
  const [many, few] = await Promise.all(counts);
  return (many - few) / (MANY - FEW);
}

/** The instructions that an import adds to a process. */
export async function instructionsOfImport(node) {
  const counts = ['ours: import', 'an empty module'].map((row) => instructionsOf('import', { row }, node));
  const [ours, empty] = await Promise.all(counts);
  return ours - empty;
}

async function instructionsOf(scenario, params, node) {
  const { stderr } = await runChild(scenario, params, { flags: FLAGS, under: VALGRIND, node, capMs: 300_000 });
  const [, count] = /Collected : (\d+)/.exec(stderr) ?? [];
  if (count === undefined) throw new Error(`valgrind printed no instruction count: ${stderr.slice(-500)}`);
  return Number(count);
}
