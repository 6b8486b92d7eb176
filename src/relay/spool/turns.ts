/** Runs one thing after the other. */
export class Turns {
  readonly #onIdle: () => void;
  #running: Promise<void> | undefined;

  /** `onIdle`: called each time when nothing runs any more. */
  constructor(onIdle: () => void) {
    this.#onIdle = onIdle;
  }

  get isBusy(): boolean {
    return this.#running !== undefined;
  }

  /** Runs something that never rejects, once it is its turn. */
  start(work: () => Promise<void>): void {
    const running = (this.#running ?? Promise.resolve()).then(work).finally(() => {
      if (this.#running !== running) return;
      this.#running = undefined;
      this.#onIdle();
    });
    this.#running = running;
  }

  /** Over once nothing runs. */
  async rest(): Promise<void> {
    while (this.#running !== undefined) await this.#running;
  }
}
