import { readFileSync } from 'node:fs';

/** Reads a file of `test/vectors/`, data recorded from Cosmos' own Python code. Tests run from `build/test/...`. */
export function readVectors(name: string): unknown {
  return JSON.parse(readFileSync(new URL(`../../../test/vectors/${name}`, import.meta.url), 'utf8'));
}
