/*
 * The end of the process: `beforeExit`, or a look at what keeps the process alive if a connect of ours keeps `beforeExit` from coming.
 * All emitters leave together, so that none of them takes what another one still does for work of the host.
 */
import type { Clock, Timer } from '../base/clock.js';
import { Heartbeat } from './pacing.js';
import { isHeldByUs } from './under-way.js';

/** One emitter, as the end of the process sees it. */
export interface Leaver {
  /** Whether an attempt is in flight: it may keep the process alive. */
  readonly isSending: boolean;
  /** How long it may hold the process, in milliseconds. */
  readonly exitMs: number;
  /** The process seems to end: sends with the concurrency of a drain. */
  hurry(): void;
  /**
   * The process ends: delivers what it can within its deadline, then lets the process go.
   *
   * @returns Resolves when it lets the process go; undefined if it does so at once.
   */
  leave(): Promise<unknown> | undefined;
  /** Ends its connects, and begins none. */
  letGo(): void;
  /** The process lives on. */
  liveOn(): void;
}

/** How often it is looked at what keeps the process alive. */
const LOOK_MS = 15;

/** A process lives on if it is still there after so many looks in a row that found something else than our connects, or nothing. */
const LOOKS_ALIVE = 6;

/** The longest time after a wrong guess without another one. No attempt takes longer by default. */
const MAX_PATIENCE_MS = 10_000;

/** How long a host that came back from its `beforeExit` must live before its end may take its whole time again. */
const SPENT_MS = 1000;

const ends = new WeakMap<Clock, ProcessEnd>();

/** Notices the end of the process, once for all emitters of this copy of the package. No timer of it keeps the process alive. */
export class ProcessEnd {
  readonly #clock: Clock;
  readonly #looks: Heartbeat;
  readonly #isHeldByUs: () => boolean;
  readonly #armed = new Set<Leaver>();
  readonly #sending = new Set<Leaver>();
  readonly #left = new Set<Leaver>();
  /** When the process came to its end; undefined while it lives. */
  #sinceMs: number | undefined;
  /** Whether `beforeExit` came. */
  #isCertain = false;
  #spentMs = 0;
  #spentUntilMs = -Infinity;
  /** Whether connects were ended because of a guess. */
  #hasCut = false;
  #cutTimer: Timer | undefined;
  /** How many still use their deadline. */
  #leaving = 0;
  #looksAlive = 0;
  #guessFromMs = 0;
  #patienceMs = 0;

  constructor(clock: Clock, isHeld: () => boolean = isHeldByUs) {
    this.#clock = clock;
    this.#isHeldByUs = isHeld;
    this.#looks = new Heartbeat(clock, () => this.#look(), LOOK_MS);
  }

  /**
   * The one for all emitters with this clock.
   *
   * @param isHeld Replaces, at the first call, what tells whether only we keep the process alive.
   */
  static of(clock: Clock, isHeld?: () => boolean): ProcessEnd {
    let end = ends.get(clock);
    if (end === undefined) ends.set(clock, (end = new ProcessEnd(clock, isHeld)));
    return end;
  }

  /**
   * How long the end of the process has taken, in milliseconds; 0 while it lives. A host that comes back from its `beforeExit` lives again
   * after a second: until then, what its last end took counts, too.
   */
  get elapsedMs(): number {
    const nowMs = this.#clock.now();
    if (this.#sinceMs !== undefined) return nowMs - this.#sinceMs;
    return nowMs < this.#spentUntilMs ? this.#spentMs : 0;
  }

  /** Has a leaver called at the next `beforeExit`. */
  arm(leaver: Leaver): void {
    if (this.#armed.size === 0) process.on('beforeExit', this.#onBeforeExit);
    this.#armed.add(leaver);
  }

  disarm(leaver: Leaver): void {
    if (this.#armed.delete(leaver) && this.#armed.size === 0) process.off('beforeExit', this.#onBeforeExit);
  }

  isArmed(leaver: Leaver): boolean {
    return this.#armed.has(leaver);
  }

  /** Reports that a leaver sends, so that its connects may keep the process alive. */
  sends(leaver: Leaver): void {
    this.#sending.add(leaver);
    this.#looks.keepGoing();
  }

  /** Forgets a leaver. */
  forget(leaver: Leaver): void {
    this.disarm(leaver);
    this.#sending.delete(leaver);
    this.#left.delete(leaver);
    if (this.#sending.size > 0 || this.#left.size > 0) return;
    this.#reset();
    this.#looks.stop();
  }

  readonly #onBeforeExit = (): void => {
    const leavers = this.#all();
    // Detached before any leaver acts: one that writes to a stream would otherwise bring `beforeExit` back for ever.
    for (const leaver of leavers) this.disarm(leaver);
    this.#begin();
    this.#hasCut = false;
    this.#isCertain = true;
    for (const leaver of leavers) {
      const left = leaver.leave();
      if (left === undefined) continue;
      this.#leaving += 1;
      void left.then(() => (this.#leaving -= 1));
    }
  };

  /** Everyone who has something to send. */
  #all(): Set<Leaver> {
    const leavers = new Set([...this.#armed, ...this.#sending]);
    for (const leaver of leavers) this.#left.add(leaver);
    return leavers;
  }

  #begin(): void {
    this.#sinceMs ??= this.#clock.now() - this.elapsedMs;
    this.#looksAlive = 0;
    this.#looks.keepGoing();
  }

  #look(): void {
    for (const leaver of this.#sending) if (!leaver.isSending) this.#sending.delete(leaver);
    if (this.#sinceMs === undefined) {
      if (this.#sending.size === 0) return;
      if (this.#clock.now() >= this.#guessFromMs && this.#isHeldByUs()) this.#guess();
    } else if (this.#leaving === 0) {
      if (this.#isHeldByUs()) this.#cutOverdue();
      else if (++this.#looksAlive >= LOOKS_ALIVE) this.#liveOn(this.#sinceMs);
    }
    this.#looks.keepGoing();
  }

  /** Nothing but our connects keeps the process alive. If they end in time, `beforeExit` comes. */
  #guess(): void {
    this.#begin();
    const leavers = this.#all();
    for (const leaver of leavers) if (leaver.exitMs > 0) leaver.hurry();
    this.#cutOverdue();
    const afterMs = Math.min(...Array.from(leavers, ({ exitMs }) => exitMs).filter((exitMs) => exitMs > 0));
    if (afterMs === Infinity) return;
    this.#cutTimer = this.#clock.setTimeout(() => {
      if (this.#leaving === 0 && this.#isHeldByUs()) this.#cutOverdue();
    }, afterMs);
    this.#cutTimer.unref();
  }

  /** Ends the connects of everyone whose time is over. */
  #cutOverdue(): void {
    this.#looksAlive = 0;
    for (const leaver of this.#all()) {
      if (this.elapsedMs < leaver.exitMs) continue;
      this.#hasCut = true;
      leaver.letGo();
    }
  }

  /** Something else keeps the process alive. If that is not listed, the next guess is wrong, too: it comes twice as late each time. */
  #liveOn(sinceMs: number): void {
    const nowMs = this.#clock.now();
    if (this.#isCertain) {
      this.#spentMs = nowMs - sinceMs;
      this.#spentUntilMs = nowMs + SPENT_MS;
    } else if (this.#hasCut) {
      this.#patienceMs = Math.min(2 * Math.max(this.#patienceMs, nowMs - sinceMs), MAX_PATIENCE_MS);
      this.#guessFromMs = sinceMs + this.#patienceMs;
    }
    this.#reset();
    const left = [...this.#left];
    this.#left.clear();
    for (const leaver of left) leaver.liveOn();
  }

  #reset(): void {
    this.#sinceMs = undefined;
    this.#isCertain = false;
    this.#hasCut = false;
    if (this.#cutTimer !== undefined) this.#clock.clearTimeout(this.#cutTimer);
    this.#cutTimer = undefined;
  }
}
