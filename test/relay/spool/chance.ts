import type { ExecutionContext } from 'ava';

/** Numbers from 0 to 1 that follow from a seed (Lehmer's generator), and a choice made by them. */
export interface Chance {
  (): number;
  below(limit: number): number;
}

/** Chance whose seed is printed: `FUZZ_SEED=…` runs the same again. */
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
