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
  /** Until when the network asked for a pause. */
  #askedMs = 0;
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
    const untilMs = this.#after(waitMs);
    this.#askedMs = Math.max(this.#askedMs, untilMs);
    if (untilMs > this.#untilMs) this.#wait(untilMs, false);
  }

  /** Starts a pause of our own choice, which {@link wake} ends. It does not prolong a running pause. */
  backOff(waitMs: number): void {
    if (!this.isOn) this.#wait(this.#after(waitMs), true);
  }

  /** Backs off until a probe is due. A running back-off ends then, if that is earlier. */
  backOffUntilProbe(waitMs: number): void {
    if (this.#clock.now() + waitMs < this.#untilMs) this.wake();
    this.backOff(waitMs);
  }

  /** Ends a back-off. A pause that the network asked for continues, also one that was asked for during a longer back-off. */
  wake(): void {
    if (!this.#isBackOff) return;
    const leftMs = this.#askedMs - this.#clock.now();
    this.end();
    if (leftMs > 0) this.begin(leftMs);
  }

  /** Ends any pause. */
  end(): void {
    this.#isBackOff = false;
    this.#untilMs = 0;
    this.#askedMs = 0;
    this.#clear();
  }

  #after(waitMs: number): number {
    return this.#clock.now() + Math.min(Math.max(waitMs, MIN_PAUSE_MS), MAX_PAUSE_MS);
  }

  #wait(untilMs: number, isBackOff: boolean): void {
    this.#isBackOff = isBackOff;
    this.#untilMs = untilMs;
    this.#clear();
    this.#timer = this.#clock.setTimeout(() => {
      this.end();
      this.#onOver();
    }, untilMs - this.#clock.now());
    this.#timer.unref();
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

  /** @param holds Whether the process stays alive until then. */
  schedule(holds = false): void {
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    this.#clock.defer(this.#call, holds);
  }

  readonly #call = (): void => {
    this.#isScheduled = false;
    this.#callback();
  };
}

/** How often opt-outs and overdue sends are checked while events wait or are in flight. */
export const HEARTBEAT_MS = 1000;

/** One timer that calls back a time after `keepGoing()`. */
export class Heartbeat {
  readonly #clock: Clock;
  readonly #beat: () => void;
  readonly #everyMs: number;
  #timer: Timer | undefined;

  /** @param everyMs How long after, in milliseconds. @default a second */
  constructor(clock: Clock, beat: () => void, everyMs = HEARTBEAT_MS) {
    this.#clock = clock;
    this.#beat = beat;
    this.#everyMs = everyMs;
  }

  /** Schedules the next beat unless one is scheduled. */
  keepGoing(): void {
    if (this.#timer !== undefined) return;
    this.#timer = this.#clock.setTimeout(() => {
      this.#timer = undefined;
      this.#beat();
    }, this.#everyMs);
    this.#timer.unref();
  }

  stop(): void {
    if (this.#timer !== undefined) this.#clock.clearTimeout(this.#timer);
    this.#timer = undefined;
  }
}

/** How often the time of running limits is counted: often enough that a turn which is longer was a busy one. */
const TICK_MS = 25;

/** A longer time between two ticks means that the loop was away. */
const AWAY_MS = 3 * TICK_MS;

/** The most that one turn of the event loop counts: the rest of a longer turn belongs to the host, who did not let us look. */
const MOST_PER_TURN_MS = 50;

interface Limit {
  /** On the clock of {@link PolledTime}. */
  readonly dueMs: number;
  readonly timeUp: () => void;
}

/** Time in which the event loop looked at the network. It stands still while the host keeps the loop busy. */
class PolledTime {
  readonly #clock: Clock;
  readonly #limits = new Set<Limit>();
  #nowMs = 0;
  #countedAtMs = 0;
  /** When the loop went away last, and when it was back. */
  #awayFromMs = 0;
  #awayUntilMs = -Infinity;
  #timer: Timer | undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** @see seenUntilMs */
  get seenUntilMs(): number {
    const nowMs = this.#clock.now();
    if (this.#timer === undefined) return nowMs;
    if (nowMs - this.#countedAtMs > AWAY_MS) return this.#countedAtMs;
    // Back, but what arrived meanwhile may not be read yet.
    return nowMs - this.#awayUntilMs > AWAY_MS ? nowMs : this.#awayFromMs;
  }

  start(limitMs: number, timeUp: () => void): () => void {
    if (this.#timer === undefined) {
      this.#countedAtMs = this.#clock.now();
      this.#schedule(Math.min(TICK_MS, limitMs));
    }
    const limit: Limit = { dueMs: this.#nowMs + this.#sinceCounted() + limitMs, timeUp };
    this.#limits.add(limit);
    return () => {
      if (this.#limits.delete(limit) && this.#limits.size === 0) this.#stop();
    };
  }

  #stop(): void {
    if (this.#timer !== undefined) this.#clock.clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  #sinceCounted(): number {
    return Math.min(this.#clock.now() - this.#countedAtMs, MOST_PER_TURN_MS);
  }

  readonly #tick = (): void => {
    this.#timer = undefined;
    const nowMs = this.#clock.now();
    if (nowMs - this.#countedAtMs > AWAY_MS) [this.#awayFromMs, this.#awayUntilMs] = [this.#countedAtMs, nowMs];
    this.#nowMs += this.#sinceCounted();
    this.#countedAtMs = nowMs;
    let nextMs = TICK_MS;
    for (const limit of this.#limits) {
      const leftMs = limit.dueMs - this.#nowMs;
      if (leftMs <= 0) this.#lookOnceMore(limit);
      else nextMs = Math.min(nextMs, leftMs);
    }
    if (this.#limits.size > 0) this.#schedule(nextMs);
  };

  /**
   * An answer may have arrived in this very turn, so the loop reads the network once more before the time is up. (An unref'd
   * `setImmediate` does not work here: if nothing else happens, the loop sleeps before it.)
   */
  #lookOnceMore(limit: Limit): void {
    const timer = this.#clock.setTimeout(() => {
      if (this.#limits.delete(limit)) limit.timeUp();
    }, 0);
    timer.unref();
  }

  #schedule(delayMs: number): void {
    this.#timer = this.#clock.setTimeout(this.#tick, Math.max(1, delayMs));
    this.#timer.unref();
  }
}

const polledTimes = new WeakMap<Clock, PolledTime>();

/**
 * Starts a time limit that counts only time in which the event loop looked at the network: a host that is busy for five seconds has not
 * waited for an answer. What has arrived is read before `timeUp` is called.
 *
 * @returns A function that cancels the limit; a second call has no effect.
 */
export function startLimit(clock: Clock, limitMs: number, timeUp: () => void): () => void {
  let time = polledTimes.get(clock);
  if (time === undefined) polledTimes.set(clock, (time = new PolledTime(clock)));
  return time.start(limitMs, timeUp);
}

/**
 * Since when at the latest nothing has arrived that the event loop has not seen: what is read now came after this time. It is now, unless
 * the host keeps the loop busy or was frozen. It is known while a limit runs.
 */
startLimit.seenUntilMs = (clock: Clock): number => polledTimes.get(clock)?.seenUntilMs ?? clock.now();

/** The type of {@link startLimit}, for modules that are loaded later: they get the function as a value, which saves a file to load. */
export type StartLimit = typeof startLimit;
