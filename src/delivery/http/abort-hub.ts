/** Something that can be ended from outside. */
export interface Abortable {
  abort(): void;
}

/**
 * Ends many things by few signals: one listener a signal, however many share it. A listener each would cost time at each
 * send, and more than ten of them make Node warn of a leak.
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
    this.#bySignal.set(signal, new Set([thing]));
    signal.addEventListener('abort', this.#onAbort);
  }

  /** Forgets a thing that has ended; the last one takes the listener with it. */
  leave(signal: AbortSignal, thing: Abortable): void {
    const things = this.#bySignal.get(signal);
    things?.delete(thing);
    if (things?.size !== 0) return;
    this.#bySignal.delete(signal);
    signal.removeEventListener('abort', this.#onAbort);
  }

  /** Ends everything, whatever its signal says. */
  abortAll(): void {
    for (const things of this.#bySignal.values()) this.#abort(things);
  }

  #abort(things: Set<Abortable> | undefined): void {
    for (const thing of things ?? []) thing.abort();
  }
}
