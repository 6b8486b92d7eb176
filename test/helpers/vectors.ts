import { readFileSync } from 'node:fs';

/** Reads a file of `test/vectors/`, which has data recorded from the Python code of Cosmos. Tests run in `build/test/`. */
export function readVectors(name: string): unknown {
  return JSON.parse(readFileSync(new URL(`../../../test/vectors/${name}`, import.meta.url), 'utf8'));
}
