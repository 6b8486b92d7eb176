// The health of the disk: time limits for its operations, and log lines for its failures.

import type { Clock, Timer } from '../../base/clock.js';
import { errorCode, SpoolError } from './files.js';

/** A log line for the operator. It contains no text of the file system. */
interface DiskTrouble {
  /** The code of the log line. */
  readonly code: string;
  readonly text: string;
}

const FALLBACK = 'events are kept in memory until the disk works again';

/** The disk neither completes nor refuses an operation. */
export const HANGING: DiskTrouble = { code: 'spool_hangs', text: `the disk of the spool does not respond; ${FALLBACK}` };

/** The log line for an error of the file system: one for each kind of repair. */
export function diskTrouble(error: unknown): DiskTrouble {
  if (error instanceof SpoolError) return { code: 'spool_refused', text: `${error.message} Meanwhile ${FALLBACK}` };
  const code = errorCode(error);
  switch (code) {
    case 'ENOSPC':
    case 'EDQUOT':
      return { code: 'spool_no_space', text: `the disk of the spool is full (${code}); ${FALLBACK}` };
    case 'EROFS':
    case 'EACCES':
    case 'EPERM':
      return { code: 'spool_read_only', text: `the spool cannot be written (${code}); ${FALLBACK}` };
    case 'ENOENT':
      return { code: 'spool_gone', text: `the spool's directory or files were deleted; ${FALLBACK}` };
    default:
      return { code: 'spool_failed', text: `the disk of the spool fails (${code}); ${FALLBACK}` };
  }
}

/** Time limit for one operation of the disk, and for an append that waits for it. */
const OPERATION_LIMIT_MS = 500;

/**
 * A timer that comes so late tells of this process, which was stopped or had no processor, not of the disk: the answer of the disk may wait
 * behind the timer. So it gets that time to come.
 */
const HELD_UP_MS = 100;

/** Time limit for opening the directory: recovery reads all of it, and no append waits for that. */
export const OPENING_LIMIT_MS = 5000;

/** Dependencies of the watchdog. */
interface DiskWatchdogOptions {
  clock: Clock;
  /** Start of the wait of the oldest append; undefined if none waits. */
  waitingSinceMs: () => number | undefined;
  /** Called when an operation, or an append, exceeds its limit. */
  onOverdue: () => void;
}

/** Notices a disk that hangs. It has one timer, and sets it again only when it fires: operations are frequent and short. */
export class DiskWatchdog {
  readonly #options: DiskWatchdogOptions;
  #operationDueAtMs = 0;
  #timer: Timer | undefined;
  #firesAtMs = 0;

  constructor(options: DiskWatchdogOptions) {
    this.#options = options;
  }

  /** An operation begins. */
  start(limitMs = OPERATION_LIMIT_MS): void {
    this.#operationDueAtMs = this.#options.clock.now() + limitMs;
    if (this.#timer !== undefined && this.#firesAtMs > this.#operationDueAtMs) this.stop();
    if (this.#timer === undefined) this.#arm();
  }

  /** No operation is in flight. */
  stop(): void {
    if (this.#timer !== undefined) this.#options.clock.clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  get #dueAtMs(): number {
    const sinceMs = this.#options.waitingSinceMs();
    return sinceMs === undefined ? this.#operationDueAtMs : Math.min(this.#operationDueAtMs, sinceMs + OPERATION_LIMIT_MS);
  }

  #arm(atMs = this.#dueAtMs): void {
    const { clock, onOverdue } = this.#options;
    this.#firesAtMs = atMs;
    this.#timer = clock.setTimeout(() => {
      this.#timer = undefined;
      const nowMs = clock.now();
      if (nowMs < this.#dueAtMs) this.#arm();
      else if (nowMs >= this.#firesAtMs + HELD_UP_MS) this.#arm(nowMs + HELD_UP_MS);
      else onOverdue();
    }, this.#firesAtMs - clock.now());
    this.#timer.unref();
  }
}
