import type { ExecutionContext } from 'ava';
import * as fc from 'fast-check';
import { collectGarbage } from './collect-garbage.js';

/** How many runs each property gets: 2,000 in `npm test`, 100,000 in `npm run fuzz`. */
const RUNS = Number(process.env['FUZZ_RUNS'] ?? 2000);

/** Time of the processor that no single input may cost, on any machine: what takes longer has met an input that it multiplies. */
const MOST_MS = 500;

/** What a property may leave in memory, whatever the number of its runs. */
const MOST_GROWTH_MB = 30;

async function heapMb(): Promise<number> {
  await collectGarbage();
  return process.memoryUsage().heapUsed / 2 ** 20;
}

/** How a property is run. */
export interface FuzzOptions {
  /** Every how many of the usual runs this property gets one, where each is slow. @default 1 */
  every?: number;
  /** Run at the end, before memory is looked at. */
  settle?: () => Promise<void>;
}

/**
 * Runs a property on inputs made by chance: it must not throw, no input may take long, and nothing may stay in memory. The seed is
 * printed: `FUZZ_SEED=… npm test` runs the same inputs again.
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
  const beforeMb = await heapMb();
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
    // A property that never waits would keep the event loop to itself, and the test runner thinks that it has died.
    if (runs % 500 === 0) await new Promise((resolve) => setImmediate(resolve));
  });
  await fc.assert(property, { seed, numRuns });
  await options.settle?.();
  const grownMb = (await heapMb()) - beforeMb;
  t.true(grownMb < MOST_GROWTH_MB, `${grownMb} MB stayed in memory`);
}

/** Fails a property in words. */
export function must(holds: boolean, what: string): void {
  if (!holds) throw new Error(what);
}
