/** Something that can be ended from outside. */
export interface Abortable {
  abort(): void;
}

/** How many signals are listened to though nothing goes on under them: twice what a drain has in use at a time. */
const MAX_IDLE_SIGNALS = 48;

/**
 * Ends many things by few signals: one listener a signal, however many share it. A listener each would cost time at each
 * send, and more than ten of them make Node warn of a leak. A signal that is idle keeps its listener for a while, since the next
 * thing under it mostly comes at once.
 */
export class AbortHub {
  readonly #bySignal = new Map<AbortSignal, Set<Abortable>>();

  readonly #onAbort = (event: Event): void => {
    this.#abort(this.#bySignal.get(event.target as AbortSignal));
  };

  /** From now on the signal ends the thing, until `leave`. */
  join(signal: AbortSignal, thing: Abortable): void {
    const things = this.#bySignal.get(signal);
    if (things !== undefined) {
      things.add(thing);
      return;
    }
    if (this.#bySignal.size >= MAX_IDLE_SIGNALS) this.#forgetAnIdleOne();
    this.#bySignal.set(signal, new Set([thing]));
    signal.addEventListener('abort', this.#onAbort);
  }

  /** Forgets a thing that has ended. */
  leave(signal: AbortSignal, thing: Abortable): void {
    this.#bySignal.get(signal)?.delete(thing);
  }

  /** Ends everything, whatever its signal says, and listens to none any more. */
  abortAll(): void {
    for (const [signal, things] of this.#bySignal) {
      this.#abort(things);
      this.#forget(signal);
    }
  }

  /** The oldest comes first, and whoever made it has mostly dropped it. */
  #forgetAnIdleOne(): void {
    for (const [signal, things] of this.#bySignal) if (things.size === 0) return this.#forget(signal);
  }

  #forget(signal: AbortSignal): void {
    this.#bySignal.delete(signal);
    signal.removeEventListener('abort', this.#onAbort);
  }

  #abort(things: Set<Abortable> | undefined): void {
    for (const thing of things ?? []) thing.abort();
  }
}
