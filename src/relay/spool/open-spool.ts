import type { RelayStore } from '../store.js';
import { errorCode, SpoolError } from './errors.js';
import { nodeFiles } from './files.js';
import { checkSpoolOptions } from './options.js';
import type { SpoolOptions } from './options.js';
import { recover } from './recovery.js';
import type { Recovered } from './recovery.js';
import { Spool } from './spool.js';
import { Tenure } from './tenure.js';

/**
 * Opens a directory as a durable store, for this process alone, with what an earlier process left there. An event that was
 * acknowledged with `'disk'` survives a crash; one whose sending had begun by then comes back with `mayBeSecond`.
 *
 * @throws (rejects) TypeError for options that are wrong, SpoolError for a directory that cannot be used.
 */
export async function openSpool(options: SpoolOptions): Promise<RelayStore> {
  checkSpoolOptions(options);
  const tenure = await Tenure.begin(options.directory, options.fs ?? nodeFiles);
  let recovered: Recovered;
  try {
    recovered = await recover(tenure.path, tenure.files, Math.trunc(options.clock.wallNow()));
  } catch (error) {
    await tenure.end();
    if (error instanceof SpoolError) throw error;
    const path = JSON.stringify(tenure.path);
    throw new SpoolError('unusable', `The spool cannot use ${path}: it cannot be read (${errorCode(error)}).`, { cause: error });
  }
  if (recovered.tornLines > 0) {
    options.log.warn('spool_torn', `${recovered.tornLines} lines of the spool could not be read, and are passed over`);
  }
  return new Spool(options, tenure, recovered);
}
