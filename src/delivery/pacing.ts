/*
 * When delivery works and when it waits: pauses, the event-loop budget, one call per tick, the heartbeat, and time limits.
 * No timer in this file keeps the process alive.
 */
import type { Clock, Timer } from '../base/clock.js';

/** The bounds of a pause: a transport can neither make the dispatcher spin nor stop it for good. */
const MIN_PAUSE_MS = 10;
const MAX_PAUSE_MS = 3_600_000;

/** A time in which nothing is sent: the network asked for it (`begin`), or we chose it ourselves (`backOff`). */
export class Pause {
  readonly #clock: Clock;
  readonly #onOver: () => void;
  #untilMs = 0;
  #isBackOff = false;
  #timer: Timer | undefined;

  /** @param onOver Called when the time has passed; not called by `end()` and `wake()`. */
  constructor(clock: Clock, onOver: () => void) {
    this.#clock = clock;
    this.#onOver = onOver;
  }

  get isOn(): boolean {
    return this.#untilMs !== 0 && this.#clock.now() < this.#untilMs;
  }

  /** When it ends, on the clock; 0 after it has ended. */
  get untilMs(): number {
    return this.#untilMs;
  }

  /** Starts or prolongs the pause; it never gets shorter. */
  begin(waitMs: number): void {
    const boundedMs = Math.min(Math.max(waitMs, MIN_PAUSE_MS), MAX_PAUSE_MS);
    const untilMs = this.#clock.now() + boundedMs;
    if (untilMs <= this.#untilMs) return;
    this.#isBackOff = false;
    this.#untilMs = untilMs;
    this.#clear();
    this.#timer = this.#clock.setTimeout(() => {
      this.#untilMs = 0;
      this.#onOver();
    }, boundedMs);
    this.#timer.unref();
  }

  /** Starts a pause of our own choice, which {@link wake} ends. It does not prolong a running pause. */
  backOff(waitMs: number): void {
    if (this.isOn) return;
    this.begin(waitMs);
    this.#isBackOff = true;
  }

  /** Ends a back-off. A pause that the network asked for continues. */
  wake(): void {
    if (this.#isBackOff) this.end();
  }

  /** Ends any pause. */
  end(): void {
    this.#isBackOff = false;
    this.#untilMs = 0;
    this.#clear();
  }

  #clear(): void {
    if (this.#timer !== undefined) this.#clock.clearTimeout(this.#timer);
    this.#timer = undefined;
  }
}

/** How long our work may keep the event loop busy, in milliseconds: half a frame, too short to notice. */
const BUDGET_MS = 8;

/** How many sends may begin in that time: on a clock that does not move, time alone would never end it. */
const BUDGET_SENDS = 512;

/** Tracks how long our microtasks have kept the event loop busy, and makes further work wait for the next tick. */
export class EventLoopBudget {
  readonly #clock: Clock;
  #sends = 0;
  #sinceMs = 0;
  readonly #waiting: (() => void)[] = [];

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Records that a send begins. */
  spend(nowMs: number): void {
    this.#sends += 1;
    if (this.#sends > 1) return;
    this.#sinceMs = nowMs;
    this.#clock.defer(this.#onTick);
  }

  isUsedUp(nowMs: number): boolean {
    return this.#sends > 0 && (this.#sends >= BUDGET_SENDS || nowMs - this.#sinceMs >= BUDGET_MS);
  }

  /** Calls back when there is a new budget: in the next tick, or at once if nothing has been spent. */
  whenRenewed(callback: () => void): void {
    if (this.#sends === 0) callback();
    else this.#waiting.push(callback);
  }

  readonly #onTick = (): void => {
    this.#sends = 0;
    for (const callback of this.#waiting.splice(0)) callback();
  };
}

/** Calls back in the next tick of the event loop: once, however often it was scheduled in this one. */
export class NextTick {
  readonly #clock: Clock;
  readonly #callback: () => void;
  #isScheduled = false;

  constructor(clock: Clock, callback: () => void) {
    this.#clock = clock;
    this.#callback = callback;
  }

  schedule(): void {
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    this.#clock.defer(this.#call);
  }

  readonly #call = (): void => {
    this.#isScheduled = false;
    this.#callback();
  };
}

/** How often opt-outs and overdue sends are checked while events wait or are in flight. */
export const HEARTBEAT_MS = 1000;

/** One timer that calls back a second after `keepGoing()`. */
export class Heartbeat {
  readonly #clock: Clock;
  readonly #beat: () => void;
  #timer: Timer | undefined;

  constructor(clock: Clock, beat: () => void) {
    this.#clock = clock;
    this.#beat = beat;
  }

  /** Schedules the next beat unless one is scheduled. */
  keepGoing(): void {
    if (this.#timer !== undefined) return;
    this.#timer = this.#clock.setTimeout(() => {
      this.#timer = undefined;
      this.#beat();
    }, HEARTBEAT_MS);
    this.#timer.unref();
  }

  stop(): void {
    if (this.#timer !== undefined) this.#clock.clearTimeout(this.#timer);
    this.#timer = undefined;
  }
}

/**
 * Starts a time limit. If the host kept the event loop busy, an answer may be ready right after the limit, so the loop reads the
 * network once more before `timeUp` is called. (An unref'd `setImmediate` does not work here: if nothing else happens, the loop
 * sleeps before it.)
 *
 * @returns A function that cancels the limit; a second call has no effect.
 */
export function startLimit(clock: Clock, limitMs: number, timeUp: () => void): () => void {
  let timer = clock.setTimeout(() => {
    timer = clock.setTimeout(timeUp, 0);
    timer.unref();
  }, limitMs);
  timer.unref();
  return () => clock.clearTimeout(timer);
}

/** The type of {@link startLimit}, for modules that are loaded later: they get the function as a value, which saves a file to load. */
export type StartLimit = typeof startLimit;
