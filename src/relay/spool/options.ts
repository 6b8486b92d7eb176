import { aFunction, anObject, checkOptions, integer, milliseconds, withMethods } from '../../base/check-options.js';
import type { Check, Checks } from '../../base/check-options.js';
import type { Clock } from '../../base/clock.js';
import type { Log } from '../../base/log.js';
import type { SpoolFiles } from './files.js';

/** What `memoryStore` takes. */
export interface MemoryStoreOptions {
  /** How much room events may take, in bytes, with some 88 for each beside its target. @default 64 MiB */
  maxBytes?: number | undefined;
  /** How long an event may wait, in milliseconds, before `expire()` forgets it. @default 24 hours */
  maxAgeMs?: number | undefined;
  clock: Clock;
  /** Called with the number of new events in the very moment in which `length` grows by it. Events of an earlier process do not count. */
  onStored: (events: number) => void;
}

/** What `openSpool` takes. */
export interface SpoolOptions extends MemoryStoreOptions {
  /** Where the events are kept: a directory on a local disk, for this process alone. Made where it is missing. */
  directory: string;
  /** At which size a file of events is followed by the next, in bytes: a file goes once all its events are settled. @default 1 MiB */
  segmentBytes?: number | undefined;
  /** What of a target that an earlier process left may leave; undefined where nothing may. @default all of it */
  admit?: ((target: string) => string | undefined) | undefined;
  /** Called when the disk works only after the spool was opened in memory, and `stats()` tells what an earlier process left on it. */
  onRecovered?: (() => void) | undefined;
  log: Log;
  /** The file system. @default Node's */
  fs?: SpoolFiles | undefined;
}

const MIB = 1024 * 1024;

/** Defaults of both stores. */
export const DEFAULT_MAX_BYTES = 64 * MIB;
export const DEFAULT_MAX_AGE_MS = 24 * 60 * 60 * 1000;
export const DEFAULT_SEGMENT_BYTES = MIB;

/** At least so many segments share the room: what is settled in one gives room only once all of it is. */
const LEAST_SEGMENTS = 8;
/** At most about so many. */
const MOST_SEGMENTS = 256;

const aPath: Check = ['a path', (value) => typeof value === 'string' && value !== '' && !value.includes('\0')];

/** All events are in memory too, so a spool cannot be larger than that. */
const someBytes = integer(16 * 1024, 4096 * MIB);

const checks: Checks<MemoryStoreOptions> = {
  maxBytes: someBytes,
  maxAgeMs: milliseconds(1, Number.MAX_SAFE_INTEGER),
  clock: withMethods('now', 'wallNow', 'setTimeout', 'clearTimeout'),
  onStored: aFunction,
};

const spoolChecks: Checks<SpoolOptions> = {
  ...checks,
  directory: aPath,
  segmentBytes: integer(1024, 4096 * MIB),
  admit: aFunction,
  onRecovered: aFunction,
  log: withMethods('warn', 'debug'),
  fs: anObject,
};

/** @throws TypeError naming the option and the value. */
export function checkMemoryStoreOptions(options: MemoryStoreOptions): void {
  checkOptions('options', options, checks);
  requireKeys(options, ['clock', 'onStored']);
}

/** @throws TypeError naming the option and the value. */
export function checkSpoolOptions(options: SpoolOptions): void {
  checkOptions('options', options, spoolChecks);
  requireKeys(options, ['directory', 'clock', 'log', 'onStored']);
}

function requireKeys<O extends object>(options: O, keys: readonly (keyof O & string)[]): void {
  for (const key of keys) if (options[key] === undefined) throw new TypeError(`Expected \`options\` to have \`${key}\`, got none.`);
}

/** The size of a segment that fits the room: neither a few that hold it all, nor thousands. */
export function fittingSegmentBytes(segmentBytes: number, maxBytes: number): number {
  return Math.min(Math.max(segmentBytes, maxBytes / MOST_SEGMENTS), maxBytes / LEAST_SEGMENTS);
}
