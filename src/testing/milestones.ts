/** Promises for "once that many have arrived", which a test kit's `waitFor()` hands out. */
export class Milestones {
  readonly #subject: string;
  #waiting: { count: number; resolve: () => void; reject: (error: Error) => void }[] = [];
  #reached = 0;
  #closed = false;

  /** `subject`: what is counted, for the error of those who wait in vain. */
  constructor(subject: string) {
    this.#subject = subject;
  }

  /** Resolves once `count` have arrived; rejects when nothing can arrive any more. */
  wait(count: number): Promise<void> {
    if (this.#reached >= count) return Promise.resolve();
    if (this.#closed) return Promise.reject(this.#inVain(count));
    return new Promise((resolve, reject) => {
      this.#waiting.push({ count, resolve, reject });
    });
  }

  /** Tells how many have arrived by now. */
  reach(count: number): void {
    this.#reached = count;
    const waiting = this.#waiting;
    this.#waiting = waiting.filter((waiter) => waiter.count > count);
    for (const waiter of waiting) if (waiter.count <= count) waiter.resolve();
  }

  /** Nothing arrives any more: whoever still waits is told, since a test that hangs says nothing. */
  close(): void {
    this.#closed = true;
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const { count, reject } of waiting) reject(this.#inVain(count));
  }

  #inVain(count: number): Error {
    return new Error(`Closed after ${this.#reached} of the ${count} ${this.#subject} waited for.`);
  }
}
