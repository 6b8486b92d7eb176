import type { Clock } from '../timing.js';

/** Calls back once the present turn of the event loop is over, once for all who asked for it in that turn. */
export class DeferredCall {
  readonly #clock: Clock;
  readonly #callback: () => void;
  #isDue = false;

  constructor(clock: Clock, callback: () => void) {
    this.#clock = clock;
    this.#callback = callback;
  }

  soon(): void {
    if (this.#isDue) return;
    this.#isDue = true;
    this.#clock.defer(this.#call);
  }

  readonly #call = (): void => {
    this.#isDue = false;
    this.#callback();
  };
}
