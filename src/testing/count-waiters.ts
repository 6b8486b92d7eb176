// Behind `waitFor(count)` of the collector and of the recording transport.

/** Promises that resolve when a count reaches a number. */
export class CountWaiters {
  readonly #subject: string;
  #waiting: { count: number; resolve: () => void; reject: (error: Error) => void }[] = [];
  #reached = 0;
  #closed = false;
  #why = 'Closed';

  /** @param subject what is counted, for the error text. @example 'requests' */
  constructor(subject: string) {
    this.#subject = subject;
  }

  /** Resolves when the count is at least `count`. Rejects after `close()`. */
  wait(count: number): Promise<void> {
    if (this.#reached >= count) return Promise.resolve();
    if (this.#closed) return Promise.reject(this.#closedError(count));
    return new Promise((resolve, reject) => {
      this.#waiting.push({ count, resolve, reject });
    });
  }

  /** Sets the count. */
  reach(count: number): void {
    this.#reached = count;
    const waiting = this.#waiting;
    this.#waiting = waiting.filter((waiter) => waiter.count > count);
    for (const waiter of waiting) if (waiter.count <= count) waiter.resolve();
  }

  /**
   * Rejects all promises: the count is final, and an error explains more than a test that hangs.
   *
   * @param why The begin of the error text. @default the reason of an earlier call, else 'Closed'
   */
  close(why?: string): void {
    this.#closed = true;
    this.#why = why ?? this.#why;
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const { count, reject } of waiting) reject(this.#closedError(count));
  }

  #closedError(count: number): Error {
    return new Error(`${this.#why} after ${this.#reached} of the ${count} ${this.#subject} waited for.`);
  }
}
