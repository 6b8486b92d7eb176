// The options of the two stores, with their checks and defaults.

import { aFunction, anObject, checkOptions, integer, milliseconds, withMethods } from '../../base/check-options.js';
import type { Check, Checks } from '../../base/check-options.js';
import type { Clock } from '../../base/clock.js';
import type { Log } from '../../base/log.js';
import type { Boot } from './age.js';
import type { SpoolFiles } from './files.js';

/** What `memoryStore` takes. */
export interface MemoryStoreOptions {
  /** Room for events, in bytes. Each event needs its target and about 140 bytes. @default 64 MiB */
  maxBytes?: number | undefined;
  /** How long an event may wait before `expire()` deletes it, in milliseconds. @default 24 hours */
  maxAgeMs?: number | undefined;
  clock: Clock;
  /** The boot of the machine. @default unknown: the monotonic clock does not go on in the next process, and stands still in a suspension */
  boot?: (() => Boot | undefined) | undefined;
  /** Called with the number of new events in the step in which `length` grows by it. Recovered events do not count. */
  onStored: (events: number) => void;
}

/** What `openSpool` takes. */
export interface SpoolOptions extends MemoryStoreOptions {
  /** A directory on a local disk, for this process alone. It is created if it is missing. @example '/var/lib/cosmos-relay/spool' */
  directory: string;
  /** Size at which a new file of events is begun, in bytes. A file is deleted once all its events are settled. @default 1 MiB */
  segmentBytes?: number | undefined;
  /** Room in memory for the text of the oldest events that are on disk, in bytes. @default 1 MiB: about half a second of sending */
  readAheadBytes?: number | undefined;
  /** Whether a directory that does not work at the start is refused. @default false: events are kept in memory meanwhile */
  required?: boolean | undefined;
  /**
   * Checks the target of each recovered event.
   *
   * @returns The part of the target that may be sent; undefined for none.
   * @default the whole target
   */
  admit?: ((target: string) => string | undefined) | undefined;
  /** Called with the target of each event in the directory, as it is there: also of those that are settled. */
  onRead?: ((target: string) => void) | undefined;
  /** Called when events that waited on disk can be taken. */
  onReady?: (() => void) | undefined;
  /** Called with the number of events that are lost because their lines were deleted or changed, in the step in which `length` shrinks. */
  onUnreadable?: ((events: number) => void) | undefined;
  /** Called if the disk works only after the spool was opened in memory: `stats()` then includes the recovered events. */
  onRecovered?: (() => void) | undefined;
  log: Log;
  /** The file system. @default Node's */
  fs?: SpoolFiles | undefined;
}

const MIB = 1024 * 1024;

/** Defaults of both stores. */
export const DEFAULT_MAX_BYTES = 64 * MIB;
export const DEFAULT_MAX_AGE_MS = 24 * 60 * 60 * 1000;
/** Defaults of the spool. */
export const DEFAULT_SEGMENT_BYTES = MIB;
export const DEFAULT_READ_AHEAD_BYTES = MIB;

const aPath: Check = ['a path', (value) => typeof value === 'string' && value !== '' && !value.includes('\0')];

const checks: Checks<MemoryStoreOptions> = {
  maxBytes: integer(16 * 1024, 4096 * MIB),
  maxAgeMs: milliseconds(1, Number.MAX_SAFE_INTEGER),
  clock: withMethods('now', 'wallNow', 'setTimeout', 'clearTimeout'),
  boot: aFunction,
  onStored: aFunction,
};

const spoolChecks: Checks<SpoolOptions> = {
  ...checks,
  directory: aPath,
  segmentBytes: integer(1024, 4096 * MIB),
  readAheadBytes: integer(1024, 4096 * MIB),
  admit: aFunction,
  onRead: aFunction,
  required: ['true or false', (value) => typeof value === 'boolean'],
  onReady: aFunction,
  onUnreadable: aFunction,
  onRecovered: aFunction,
  log: withMethods('warn', 'debug'),
  fs: anObject,
};

/** @throws TypeError with the option and the value. */
export function checkMemoryStoreOptions(options: MemoryStoreOptions): void {
  checkOptions('options', options, checks);
  requireKeys(options, ['clock', 'onStored']);
}

/** @throws TypeError with the option and the value. */
export function checkSpoolOptions(options: SpoolOptions): void {
  checkOptions('options', options, spoolChecks);
  requireKeys(options, ['directory', 'clock', 'log', 'onStored']);
}

function requireKeys<O extends object>(options: O, keys: readonly (keyof O & string)[]): void {
  for (const key of keys) if (options[key] === undefined) throw new TypeError(`Expected \`options\` to have \`${key}\`, got none.`);
}

/** A segment gives room back only once all its events are settled, so at least so many share the room. */
const MIN_SEGMENTS = 8;
/** About the most segments in a full spool. */
const MAX_SEGMENTS = 256;

/** Bounds the size of a segment by the room of the spool: between `MIN_SEGMENTS` and `MAX_SEGMENTS` fit. */
export function fittingSegmentBytes(segmentBytes: number, maxBytes: number): number {
  return Math.min(Math.max(segmentBytes, maxBytes / MAX_SEGMENTS), maxBytes / MIN_SEGMENTS);
}
