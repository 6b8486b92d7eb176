import type { Clock } from '../timing.js';

/** How long our work may keep the event loop to itself, in milliseconds: half a frame, which nobody notices. */
const SHARE_MS = 8;

/** Knows how long the event loop has not got round to anybody else while work of ours goes on in one microtask after another. */
export class LoopShare {
  readonly #clock: Clock;
  #round = 0;
  #isBusy = false;
  #sinceMs = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Grows when the event loop got round to everybody since work began. */
  get round(): number {
    return this.#round;
  }

  /** Says that some work begins, at this time. */
  work(nowMs: number): void {
    if (this.#isBusy) return;
    this.#isBusy = true;
    this.#sinceMs = nowMs;
    this.#clock.defer(this.#onRound);
  }

  /** Whether it is time to let others have it. */
  isUsedUp(): boolean {
    return this.#isBusy && this.#clock.now() - this.#sinceMs >= SHARE_MS;
  }

  readonly #onRound = (): void => {
    this.#isBusy = false;
    this.#round += 1;
  };
}
