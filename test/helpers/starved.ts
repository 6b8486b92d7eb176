import { readFileSync } from 'node:fs';

/**
 * How long the main thread of this process was ready to run but had no processor, in milliseconds since its start. Tests subtract it from
 * a measured time. It is 0 on a quiet machine, and on systems other than Linux.
 */
export function starvedMs(): number {
  try {
    const [, waitedNs] = readFileSync('/proc/self/schedstat', 'utf8').split(' ');
    return Number(waitedNs) / 1e6 || 0;
  } catch {
    return 0;
  }
}
