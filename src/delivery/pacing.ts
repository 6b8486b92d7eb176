import type { Clock, Timer } from '../base/clock.js';

/** Calls back once the present turn of the event loop is over, once for all who asked for it in that turn. */
export class DeferredCall {
  readonly #clock: Clock;
  readonly #callback: () => void;
  #isDue = false;

  constructor(clock: Clock, callback: () => void) {
    this.#clock = clock;
    this.#callback = callback;
  }

  soon(): void {
    if (this.#isDue) return;
    this.#isDue = true;
    this.#clock.defer(this.#call);
  }

  readonly #call = (): void => {
    this.#isDue = false;
    this.#callback();
  };
}

/** How often opt-outs and overdue sends are looked for while events wait or are under way. */
export const HEARTBEAT_MS = 1000;

/** One timer that calls back once a second while it is kept going. It does not hold the process. */
export class Heartbeat {
  readonly #clock: Clock;
  readonly #beat: () => void;
  #timer: Timer | undefined;

  constructor(clock: Clock, beat: () => void) {
    this.#clock = clock;
    this.#beat = beat;
  }

  /** Sees to one more beat, unless one is on its way. */
  keepGoing(): void {
    if (this.#timer !== undefined) return;
    this.#timer = this.#clock.setTimeout(() => {
      this.#timer = undefined;
      this.#beat();
    }, HEARTBEAT_MS);
    this.#timer.unref();
  }

  /** Ends it. */
  stop(): void {
    if (this.#timer !== undefined) this.#clock.clearTimeout(this.#timer);
    this.#timer = undefined;
  }
}

/**
 * Starts a limit of time that holds no process. A host that kept the event loop busy may find what was waited for right after
 * the limit, so the loop gets to look at the network once more before time is up. (An unref'd `setImmediate` would not do:
 * where nothing else happens, the loop sleeps before it.)
 *
 * @param clock whose time counts
 * @param limitMs the limit in milliseconds
 * @param timeUp called when it is reached
 * @returns ends the limit; again is harmless
 */
export function startLimit(clock: Clock, limitMs: number, timeUp: () => void): () => void {
  let timer = clock.setTimeout(() => {
    timer = clock.setTimeout(timeUp, 0);
    timer.unref();
  }, limitMs);
  timer.unref();
  return () => clock.clearTimeout(timer);
}

/** Handed over to what is loaded later, which would otherwise take a file of its own for it with it, and hosts pay for files. */
export type StartLimit = typeof startLimit;

/** How long our work may keep the event loop to itself, in milliseconds: half a frame, which nobody notices. */
const SHARE_MS = 8;

/** How many pieces of work may be begun in that time: on a clock that stands still, time never is up. */
const SHARE_PIECES = 512;

/** Knows how long the event loop has not got round to anybody else while work of ours goes on in one microtask after another. */
export class LoopShare {
  readonly #clock: Clock;
  #pieces = 0;
  #sinceMs = 0;
  readonly #waiting: (() => void)[] = [];

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Says that a piece of work begins, at this time. */
  work(nowMs: number): void {
    this.#pieces += 1;
    if (this.#pieces > 1) return;
    this.#sinceMs = nowMs;
    this.#clock.defer(this.#onRound);
  }

  /** Whether it is time to let others have it. */
  isUsedUp(nowMs: number): boolean {
    return this.#pieces > 0 && (this.#pieces >= SHARE_PIECES || nowMs - this.#sinceMs >= SHARE_MS);
  }

  /** Calls back once the event loop has got round to everybody; at once where no work has begun. */
  nextRound(callback: () => void): void {
    if (this.#pieces === 0) callback();
    else this.#waiting.push(callback);
  }

  readonly #onRound = (): void => {
    this.#pieces = 0;
    for (const callback of this.#waiting.splice(0)) callback();
  };
}

/** The bounds of a pause: no transport can make the dispatcher spin, and none can silence it for good. */
const MIN_PAUSE_MS = 10;
const MAX_PAUSE_MS = 3_600_000;

/** A time in which nothing is started. Its timer does not hold the process. */
export class Pause {
  readonly #clock: Clock;
  readonly #onOver: () => void;
  #untilMs = 0;
  #isRest = false;
  #timer: Timer | undefined;

  /** @param onOver Called when it has passed; not when it was ended. */
  constructor(clock: Clock, onOver: () => void) {
    this.#clock = clock;
    this.#onOver = onOver;
  }

  /** Whether it lasts. */
  get isOn(): boolean {
    return this.#untilMs !== 0 && this.#clock.now() < this.#untilMs;
  }

  /** Until when it lasts, or lasted. */
  get untilMs(): number {
    return this.#untilMs;
  }

  /** Begins or prolongs it; it never gets shorter. */
  begin(waitMs: number): void {
    const boundedMs = Math.min(Math.max(waitMs, MIN_PAUSE_MS), MAX_PAUSE_MS);
    const untilMs = this.#clock.now() + boundedMs;
    if (untilMs <= this.#untilMs) return;
    this.#isRest = false;
    this.#untilMs = untilMs;
    this.#clear();
    this.#timer = this.#clock.setTimeout(() => {
      this.#untilMs = 0;
      this.#onOver();
    }, boundedMs);
    this.#timer.unref();
  }

  /** The same for our own reasons, where nothing outside asked for it: {@link wake} ends it. */
  rest(waitMs: number): void {
    if (this.isOn) return;
    this.begin(waitMs);
    this.#isRest = true;
  }

  /** Ends a rest; a pause that the network asked for goes on. */
  wake(): void {
    if (!this.#isRest) return;
    this.end();
  }

  /** Ends it, whatever it was for. */
  end(): void {
    this.#isRest = false;
    this.#untilMs = 0;
    this.#clear();
  }

  #clear(): void {
    if (this.#timer !== undefined) this.#clock.clearTimeout(this.#timer);
    this.#timer = undefined;
  }
}
