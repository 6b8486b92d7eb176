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
  #next: Promise<void> | undefined;
  #begin: () => void = () => undefined;

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
  isUsedUp(): boolean {
    return this.#pieces > 0 && (this.#pieces >= SHARE_PIECES || this.#clock.now() - this.#sinceMs >= SHARE_MS);
  }

  /** Fulfils once the event loop has got round to everybody; at once where no work has begun. */
  nextRound(): Promise<void> {
    if (this.#pieces === 0) return Promise.resolve();
    return (this.#next ??= new Promise((resolve) => {
      this.#begin = resolve;
    }));
  }

  readonly #onRound = (): void => {
    this.#pieces = 0;
    this.#next = undefined;
    this.#begin();
  };
}
