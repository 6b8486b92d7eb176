import type { Clock, Timer } from '../timing.js';

/** How often opt-outs and overdue sends are looked for while events wait or are under way. */
export const HEARTBEAT_MS = 1000;

/** One timer that calls back once a second while it is kept going. It does not hold the process. */
export class Heartbeat {
  readonly #clock: Clock;
  readonly #beat: () => void;
  #timer: Timer | undefined;

  constructor(clock: Clock, beat: () => void) {
    this.#clock = clock;
    this.#beat = beat;
  }

  /** Sees to one more beat, unless one is on its way. */
  keepGoing(): void {
    if (this.#timer !== undefined) return;
    this.#timer = this.#clock.setTimeout(() => {
      this.#timer = undefined;
      this.#beat();
    }, HEARTBEAT_MS);
    this.#timer.unref();
  }

  /** Ends it. */
  stop(): void {
    if (this.#timer !== undefined) this.#clock.clearTimeout(this.#timer);
    this.#timer = undefined;
  }
}
