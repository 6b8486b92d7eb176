import { readProblem } from '../settings/rules.js';

const WORDS: ReadonlyMap<string, string> = new Map([
  ['EADDRINUSE', 'the address is in use'],
  ['EADDRNOTAVAIL', 'the address is not one of this machine'],
  ['EACCES', 'this address or directory is not allowed'],
  ['ENOTFOUND', 'the name to listen at is not known'],
]);

/** Errors whose words are ours, and hold no text of anybody else. */
const OWN: ReadonlySet<string> = new Set(['TypeError', 'SpoolError']);

/** Why a relay could not be made or did not start, in one line. */
export function describeFailure(error: unknown): string {
  if (error instanceof Error && OWN.has(error.name)) return error.message;
  const { why } = readProblem(error);
  return `the relay cannot start: ${WORDS.get(why) ?? why}`;
}
