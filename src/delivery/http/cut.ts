/**
 * The end of one request, as a signal that node-fetch accepts: it takes any object of this name, for the polyfills of older
 * days. A real `AbortController` for each request would cost a tenth of the request.
 */
export class Cut {
  #listener: (() => void) | undefined;

  get [Symbol.toStringTag](): string {
    return 'AbortSignal';
  }

  /** Never: a request is begun before it is ended. */
  get aborted(): boolean {
    return false;
  }

  /** Keeps the one listener that node-fetch has. */
  addEventListener(_type: 'abort', listener: () => void): void {
    this.#listener = listener;
  }

  removeEventListener(): void {
    this.#listener = undefined;
  }

  /** Ends the request, whether there is an answer yet or not; harmless once it has ended. */
  abort(): void {
    this.#listener?.();
  }
}
