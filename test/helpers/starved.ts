import { readFileSync } from 'node:fs';

/**
 * For how long this process' main thread was ready to run and had no processor, in milliseconds since it began: what a promise
 * about time has to be forgiven on a machine that does other things. Linux knows; elsewhere, and on a quiet machine, nothing is forgiven.
 */
export function starvedMs(): number {
  try {
    const [, waitedNs] = readFileSync('/proc/self/schedstat', 'utf8').split(' ');
    return Number(waitedNs) / 1e6 || 0;
  } catch {
    return 0;
  }
}
