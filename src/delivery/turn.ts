import type { TakenEvent } from './event-buffer.js';

/** How many sends share a signal: what a transport hangs on one and forgets there goes with it, however long a turn lasts. */
const SENDS_PER_SIGNAL = 64;

/** Some events on their way through a transport. */
export interface Flight {
  readonly turn: Turn;
  readonly taken: readonly TakenEvent[];
  readonly startedAtMs: number;
  readonly controller: AbortController;
}

/**
 * The turns that last. There is no set of flights, though it would be plainer: what a set of V8 has forgotten stays in tables that
 * outlive it for a while, and each event with them, which made garbage collection dearer than sending.
 */
export class Turns extends Set<Turn> {
  get flights(): Flight[] {
    return Array.from(this, ({ flight }) => flight).filter((flight) => flight !== undefined);
  }
}

/** A task of the queue: it has one batch after the other sent, and lasts as long as there is something to send. */
export class Turn {
  /** Ends the task. */
  readonly end: () => void;
  #controller = new AbortController();
  #sends = 0;
  #flight: Flight | undefined;

  constructor(end: () => void) {
    this.end = end;
  }

  /** What is under way. */
  get flight(): Flight | undefined {
    return this.#flight;
  }

  /** Whether what it had sent was ended from here: nothing is sent after that. */
  get isAborted(): boolean {
    return this.#controller.signal.aborted;
  }

  /** Some events are on their way now. */
  begin(taken: readonly TakenEvent[], startedAtMs: number): Flight {
    if (this.#sends > 0 && this.#sends % SENDS_PER_SIGNAL === 0) this.#controller = new AbortController();
    this.#sends += 1;
    this.#flight = { turn: this, taken, startedAtMs, controller: this.#controller };
    return this.#flight;
  }

  /** They have ended. @returns Whether they had not before. */
  land(flight: Flight): boolean {
    if (this.#flight !== flight) return false;
    this.#flight = undefined;
    return true;
  }
}
