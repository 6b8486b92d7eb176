import type { Clock } from '../timing.js';

/** How long our work may keep the event loop to itself, in milliseconds: half a frame, which nobody notices. */
const SHARE_MS = 8;

/** How many pieces of work may be begun in that time: on a clock that stands still, time never is up. */
const SHARE_PIECES = 512;

/** Knows how long the event loop has not got round to anybody else while work of ours goes on in one microtask after another. */
export class LoopShare {
  readonly #clock: Clock;
  #pieces = 0;
  #sinceMs = 0;
  readonly #waiting: (() => void)[] = [];

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Says that a piece of work begins, at this time. */
  work(nowMs: number): void {
    this.#pieces += 1;
    if (this.#pieces > 1) return;
    this.#sinceMs = nowMs;
    this.#clock.defer(this.#onRound);
  }

  /** Whether it is time to let others have it. */
  isUsedUp(nowMs: number): boolean {
    return this.#pieces > 0 && (this.#pieces >= SHARE_PIECES || nowMs - this.#sinceMs >= SHARE_MS);
  }

  /** Calls back once the event loop has got round to everybody; at once where no work has begun. */
  nextRound(callback: () => void): void {
    if (this.#pieces === 0) callback();
    else this.#waiting.push(callback);
  }

  readonly #onRound = (): void => {
    this.#pieces = 0;
    for (const callback of this.#waiting.splice(0)) callback();
  };
}
