import { MAX_TIMER_MS } from '../check-options.js';
import type { Clock, Timer } from '../timing.js';

interface Waiter {
  readonly untilSeq: number;
  readonly timer: Timer;
  readonly end: (timedOut: boolean) => void;
}

/** Those who wait for events to be over, each up to an event of its own and a deadline of its own. */
export class Checkpoints {
  readonly #clock: Clock;
  readonly #waiters = new Set<Waiter>();
  /** The least that anybody waits for. */
  #soonestSeq = Infinity;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /**
   * Waits until everything before `untilSeq` is over. The timer holds the process, since somebody awaits it.
   *
   * @returns Whether the deadline came first.
   */
  wait(untilSeq: number, oldestSeq: number, deadlineMs: number): Promise<boolean> {
    if (oldestSeq >= untilSeq) return Promise.resolve(false);
    return new Promise((resolve) => {
      const end = (timedOut: boolean) => {
        this.#waiters.delete(waiter);
        this.#soonestSeq = Math.min(...Array.from(this.#waiters, (other) => other.untilSeq));
        this.#clock.clearTimeout(waiter.timer);
        resolve(timedOut);
      };
      const timer = this.#clock.setTimeout(() => {
        end(true);
      }, Math.min(deadlineMs, MAX_TIMER_MS));
      const waiter: Waiter = { untilSeq, timer, end };
      this.#waiters.add(waiter);
      this.#soonestSeq = Math.min(this.#soonestSeq, untilSeq);
    });
  }

  /** Says how far it is: everything before `oldestSeq` is over. */
  reached(oldestSeq: number): void {
    for (const waiter of this.#waiters) if (oldestSeq >= waiter.untilSeq) waiter.end(false);
  }

  /** Whether somebody waits for nothing beyond `seq`, so that nobody computes how far it is for nothing. */
  mayEndAt(seq: number): boolean {
    return this.#waiters.size > 0 && seq >= this.#soonestSeq;
  }
}
