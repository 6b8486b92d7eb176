import type { Clock, Timer } from '../../timing.js';

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
