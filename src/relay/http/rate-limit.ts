import type { Clock } from '../../timing.js';

const SECOND_MS = 1000;

/** So many in a second and no more, counted from one full second to the next. */
export class RateLimit {
  readonly #clock: Clock;
  readonly #most: number;
  #sinceMs: number;
  #taken = 0;

  constructor(most: number, clock: Clock) {
    this.#most = most;
    this.#clock = clock;
    this.#sinceMs = clock.now();
  }

  /** @returns Whether there was room for one more. */
  take(): boolean {
    const nowMs = this.#clock.now();
    if (nowMs - this.#sinceMs >= SECOND_MS) {
      this.#sinceMs = nowMs;
      this.#taken = 0;
    }
    this.#taken += 1;
    return this.#taken <= this.#most;
  }
}
