import type { ExecutionContext } from 'ava';

/** Random numbers from 0 to 1, and whole numbers below a limit. */
export interface Chance {
  (): number;
  below(limit: number): number;
}

/** Lehmer's generator. The test logs its seed: `FUZZ_SEED=…` repeats the run. */
export function seededChance(t: ExecutionContext): Chance {
  const seed = Number(process.env['FUZZ_SEED'] ?? Math.floor(Math.random() * 2 ** 31));
  t.log(`seed ${seed}`);
  let state = (seed % 2_147_483_646) + 1;
  const next = (): number => {
    state = (state * 48_271) % 2_147_483_647;
    return state / 2_147_483_647;
  };
  return Object.assign(next, { below: (limit: number) => Math.floor(next() * limit) });
}
