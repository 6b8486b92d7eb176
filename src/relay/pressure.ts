import { performance } from 'node:perf_hooks';
import type { Clock } from '../timing.js';

/** How often it is judged anew. */
const WINDOW_MS = 100;

/** From this share of its time on the process has little to give away: the rest goes in waiting for the disk and for the processor. */
const BUSY = 0.5;

/** Fewer events than that in a window do not need the process for themselves. */
const LEAST_EVENTS = 20;

/** @returns The share of its time in which the event loop was busy since the last question, from 0 to 1. */
export type Utilization = () => number;

function utilizationOf(loop: typeof performance): Utilization {
  let last = loop.eventLoopUtilization();
  return () => {
    const now = loop.eventLoopUtilization();
    const { utilization } = loop.eventLoopUtilization(now, last);
    last = now;
    return utilization;
  };
}

/**
 * Whether events come in so fast that sending would keep those waiting who are about to send: their hook waits for the answer, and
 * what is in the spool does not mind.
 */
export class Pressure {
  readonly #clock: Pick<Clock, 'now'>;
  readonly #utilization: Utilization;
  #sinceMs: number;
  #events = 0;
  #isHigh = false;

  constructor(clock: Pick<Clock, 'now'>, utilization = utilizationOf(performance)) {
    this.#clock = clock;
    this.#utilization = utilization;
    this.#sinceMs = clock.now();
  }

  /** Counts events that came in. */
  add(events: number): void {
    this.#events += events;
  }

  get isHigh(): boolean {
    const nowMs = this.#clock.now();
    if (nowMs - this.#sinceMs >= WINDOW_MS) {
      this.#isHigh = this.#utilization() >= BUSY && this.#events >= LEAST_EVENTS;
      this.#sinceMs = nowMs;
      this.#events = 0;
    }
    return this.#isHigh;
  }
}
