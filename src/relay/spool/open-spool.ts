import type { RelayStore } from '../store.js';
import { checkSpoolOptions } from './options.js';
import type { SpoolOptions } from './options.js';
import { Spool } from './spool.js';

/**
 * Opens a directory as a durable store, for this process alone, with what an earlier process left there. An event that was
 * acknowledged with `'disk'` survives a crash; one whose sending had begun by then comes back with `mayBeSecond`. Where the disk fails or
 * does not answer in these moments, events are kept in memory, and it is tried again as after a failure later on.
 *
 * @throws (rejects) TypeError for options that are wrong, SpoolError for a directory that must not be used, or cannot be for good.
 */
export async function openSpool(options: SpoolOptions): Promise<RelayStore> {
  checkSpoolOptions(options);
  const spool = new Spool(options);
  await spool.open();
  return spool;
}
