import type { Clock } from './timing.js';

/** The environment is read again at most once in this time on the publish path. */
const STALE_MS = 1000;

/** The clock is read once in this many questions: a clock read costs more than all the rest of a publish. */
const ASKS_PER_CLOCK_READ = 32;

/** How a gate is made. */
export interface GateOptions {
  /** Whether anything may happen at all, as the settings were found at construction. */
  open: boolean;
  /** Whether an opt-out stands in the environment now. */
  optedOutNow: () => boolean;
  clock: Clock;
}

/**
 * May anything happen? A one-way latch: an opt-out that appears while the host runs shuts it, and nothing opens it again.
 */
export class Gate {
  #open: boolean;
  #asks = 0;
  #readAtMs: number;
  readonly #optedOutNow: () => boolean;
  readonly #clock: Clock;
  readonly #whenShut: (() => void)[] = [];

  constructor({ open, optedOutNow, clock }: GateOptions) {
    this.#open = open;
    this.#optedOutNow = optedOutNow;
    this.#clock = clock;
    this.#readAtMs = open ? clock.now() : 0;
  }

  /**
   * The cheap question of the publish path: a few nanoseconds. On a busy host it is about a second behind the environment, on
   * a quiet one up to some dozen questions; what is taken meanwhile is stopped by the question before its attempt.
   */
  isOpen(): boolean {
    if (!this.#open) return false;
    this.#asks += 1;
    if (this.#asks < ASKS_PER_CLOCK_READ) return true;
    this.#asks = 0;
    return this.#clock.now() - this.#readAtMs < STALE_MS || this.check();
  }

  /** The question before each attempt: reads the environment now. */
  check(): boolean {
    if (!this.#open) return false;
    this.#readAtMs = this.#clock.now();
    let optedOut = true;
    try {
      optedOut = this.#optedOutNow();
    } catch {
      // An environment that cannot be read may hold an opt-out, so it counts as one.
    }
    if (optedOut) this.#shut();
    return this.#open;
  }

  /** Calls back once, when an opt-out appears; never if the gate was shut from the start. */
  whenShut(callback: () => void): void {
    this.#whenShut.push(callback);
  }

  #shut(): void {
    this.#open = false;
    for (const callback of this.#whenShut.splice(0)) callback();
  }
}
