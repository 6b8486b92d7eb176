import type { Clock, Timer } from '../../base/clock.js';
import { errorCode, SpoolError } from './files.js';

/** What the operator is told of a disk that fails, without a word of the file system's own. */
export interface DiskTrouble {
  /** The code of the log line. */
  readonly code: string;
  readonly text: string;
}

const KEPT = 'events are kept in memory until it takes them again';

/** A disk that neither takes nor refuses. */
export const HANGS: DiskTrouble = { code: 'spool_hangs', text: `the disk of the spool does not answer; ${KEPT}` };

/** Sorts an error of the file system by what there is to mend. */
export function diskTrouble(error: unknown): DiskTrouble {
  if (error instanceof SpoolError) return { code: 'spool_refused', text: `${error.message} Meanwhile ${KEPT}` };
  const code = errorCode(error);
  switch (code) {
    case 'ENOSPC':
    case 'EDQUOT':
      return { code: 'spool_no_space', text: `the disk of the spool is full (${code}); ${KEPT}` };
    case 'EROFS':
    case 'EACCES':
    case 'EPERM':
      return { code: 'spool_read_only', text: `the spool cannot be written (${code}); ${KEPT}` };
    case 'ENOENT':
      return { code: 'spool_gone', text: `the spool's directory or files were deleted; ${KEPT}` };
    default:
      return { code: 'spool_failed', text: `the disk of the spool fails (${code}); ${KEPT}` };
  }
}

/** How long one step of the disk, or an event that waits for it, may take before the disk is no longer counted on. */
export const PATIENCE_MS = 500;

/** The same for making the directory fit: all of it is read at first, and no event waits for that. */
export const REVIVAL_PATIENCE_MS = 5000;

/** What a watch looks at. */
export interface DiskWatchOptions {
  clock: Clock;
  /** Since when the first of those who wait does so. */
  waitingSinceMs: () => number | undefined;
  /** Called once a step when it takes too long, or somebody has waited for too long. */
  onOverdue: () => void;
}

/** Looks after a disk that may neither take nor refuse. One timer, that is set anew only when it fires, since steps are many and short. */
export class DiskWatch {
  readonly #options: DiskWatchOptions;
  #stepDueAtMs = 0;
  #timer: Timer | undefined;
  #firesAtMs = 0;

  constructor(options: DiskWatchOptions) {
    this.#options = options;
  }

  /** Begins a step of the disk. */
  begin(patienceMs = PATIENCE_MS): void {
    this.#stepDueAtMs = this.#options.clock.now() + patienceMs;
    if (this.#timer !== undefined && this.#firesAtMs > this.#stepDueAtMs) this.rest();
    if (this.#timer === undefined) this.#arm();
  }

  /** Nothing is asked of the disk. */
  rest(): void {
    if (this.#timer !== undefined) this.#options.clock.clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  get #dueAtMs(): number {
    const sinceMs = this.#options.waitingSinceMs();
    return sinceMs === undefined ? this.#stepDueAtMs : Math.min(this.#stepDueAtMs, sinceMs + PATIENCE_MS);
  }

  #arm(): void {
    const { clock, onOverdue } = this.#options;
    this.#firesAtMs = this.#dueAtMs;
    this.#timer = clock.setTimeout(() => {
      this.#timer = undefined;
      if (clock.now() < this.#dueAtMs) this.#arm();
      else onOverdue();
    }, this.#firesAtMs - clock.now());
    this.#timer.unref();
  }
}
