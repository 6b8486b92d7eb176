import type { ExecutionContext } from 'ava';
import * as fc from 'fast-check';
import { collectGarbage } from './collect-garbage.js';

/** Runs per property: 1,000 in `npm test`, 10,000 in `.ci/run`, 100,000 in `npm run fuzz`. */
const RUNS = Number(process.env['FUZZ_RUNS'] ?? 1000);

/** Limit of CPU time per input, in ms. An input that takes longer is multiplied somewhere. */
const MOST_MS = 500;

/** Limit of heap growth per property, in MB, for any number of runs. */
const MOST_GROWTH_MB = 30;

async function heapMb(rounds: number): Promise<number> {
  await collectGarbage(rounds);
  return process.memoryUsage().heapUsed / 2 ** 20;
}

/** How a property is run. */
export interface FuzzOptions {
  /** Divides the number of runs, for a property whose runs are slow. @default 1 */
  every?: number;
  /** Called after the last run, before the heap is measured. */
  settle?: () => Promise<void>;
}

/**
 * Runs a property on random inputs. The property must not throw, each input must be fast, and the heap must not grow. The log has the
 * seed: `FUZZ_SEED=… npm test` repeats the inputs.
 */
export async function fuzz<T>(
  t: ExecutionContext,
  input: fc.Arbitrary<T>,
  check: (value: T) => unknown,
  options: FuzzOptions = {},
): Promise<void> {
  const seed = Number(process.env['FUZZ_SEED'] ?? Math.floor(Math.random() * 2 ** 31));
  const numRuns = Math.ceil(RUNS / (options.every ?? 1));
  t.log(`seed ${seed}, ${numRuns} runs`);
  t.timeout(60_000 + numRuns * MOST_MS);
  const beforeMb = await heapMb(1);
  let runs = 0;
  const property = fc.asyncProperty(input, async (value) => {
    const cpu = process.cpuUsage();
    const startedAtMs = performance.now();
    const result = check(value);
    const wallMs = performance.now() - startedAtMs;
    const { user, system } = process.cpuUsage(cpu);
    if (Math.min(wallMs, (user + system) / 1000) > MOST_MS) throw new Error(`took ${wallMs} ms`);
    await result;
    runs += 1;
    // A property that never waits blocks the event loop, and AVA then reports a worker that does not answer.
    if (runs % 500 === 0) await new Promise((resolve) => setImmediate(resolve));
  });
  await fc.assert(property, { seed, numRuns });
  await options.settle?.();
  let grownMb = (await heapMb(1)) - beforeMb;
  // A collection takes 30 ms, and one is enough unless promises or finalizers hold objects.
  if (grownMb >= MOST_GROWTH_MB) grownMb = (await heapMb(3)) - beforeMb;
  t.true(grownMb < MOST_GROWTH_MB, `${grownMb} MB stayed in memory`);
}

/** Fails a property with a message. */
export function must(holds: boolean, what: string): void {
  if (!holds) throw new Error(what);
}
