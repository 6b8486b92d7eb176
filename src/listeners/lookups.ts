/*
 * What async `map` functions of hosts still look up. A look-up counts as one event that is published and pending, until it ends: it may not
 * get lost between the host's event and ours.
 */
import { ignoreRejection } from '../base/foreign-values.js';
import type { Ledger } from '../base/ledger.js';
import type { Log } from '../base/log.js';

/** A look-up: the callbacks of those who wait for its end. */
type Lookup = (() => void)[];

/** What look-ups need. */
interface LookupsOptions {
  ledger: Ledger;
  log: Log;
  /** The most look-ups at a time: one that hangs is kept until `close()`. */
  max: number;
  /** Publishes the event of a look-up; the bus may have been closed since the look-up began. */
  publishLate: (publish: () => void) => void;
}

/** The look-ups that have not ended. */
export class Lookups {
  readonly #running = new Set<Lookup>();
  readonly #options: LookupsOptions;
  #isOver = false;

  constructor(options: LookupsOptions) {
    this.#options = options;
  }

  get size(): number {
    return this.#running.size;
  }

  /** Waits for a promise or thenable. One of the two functions is called, unless the look-up is given up before. They must not throw. */
  begin(work: PromiseLike<unknown>, found: (result: unknown) => void, failed: () => void): void {
    const { ledger, log, max, publishLate } = this.#options;
    if (this.#isOver) {
      // A host that would not let go of its listeners.
      ignoreRejection(work);
      ledger.refuse('closed');
      return;
    }
    if (this.#running.size >= max) {
      ignoreRejection(work);
      ledger.refuse('buffer_full');
      log.warn('buffer_full', 'a host event is dropped: too many `map` functions have not answered');
      return;
    }
    const lookup: Lookup = [];
    this.#running.add(lookup);
    ledger.lookingUp = this.#running.size;
    const end = (use: () => void): void => {
      if (!this.#running.delete(lookup)) return;
      ledger.lookingUp = this.#running.size;
      publishLate(use);
      for (const ended of lookup) ended();
    };
    new Promise((resolve) => resolve(work)).then(
      (result) => end(() => found(result)),
      () => end(failed),
    );
  }

  /** Resolves when all look-ups that run now have ended or are given up. */
  settled(): Promise<unknown> {
    return Promise.all(Array.from(this.#running, (lookup) => new Promise<void>((resolve) => lookup.push(resolve))));
  }

  /** Counts the event of each look-up as dropped, and ignores what it finds later. No look-up begins any more. */
  giveUp(reason: string): void {
    this.#isOver = true;
    const lookups = [...this.#running];
    this.#running.clear();
    this.#options.ledger.lookingUp = 0;
    for (const lookup of lookups) {
      this.#options.ledger.refuse(reason);
      for (const ended of lookup) ended();
    }
  }
}
