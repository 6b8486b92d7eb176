/*
 * The end of the process: `beforeExit`, or a look at what keeps the process alive if a connect of ours keeps `beforeExit` from coming.
 * All emitters leave together, so that none of them takes what another one still does for work of the host.
 */
import type { Clock } from '../base/clock.js';
import { Heartbeat } from './pacing.js';
import { isHeldByUs } from './under-way.js';

/** One emitter, as the end of the process sees it. */
export interface Leaver {
  /** Whether an attempt is in flight: it may keep the process alive. */
  readonly isSending: boolean;
  /**
   * Delivers what it can within its deadline, then lets the process go.
   *
   * @param isCertain False if the end is a guess.
   * @returns Resolves when it lets the process go; undefined if it does so at once.
   */
  leave(isCertain: boolean): Promise<unknown> | undefined;
  /** The process lives on. */
  liveOn(): void;
}

/** How often it is looked at what keeps the process alive. */
const LOOK_MS = 25;

/** A process in which nothing of ours is under way lives on if it is still there after so many looks. */
const LOOKS_ALIVE = 4;

/** The longest time after a wrong guess without another one. No attempt takes longer by default. */
const MAX_PATIENCE_MS = 10_000;

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
  #isGuess = false;
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

  /** How long ago the process came to its end, in milliseconds; 0 while it lives. */
  get elapsedMs(): number {
    return this.#sinceMs === undefined ? 0 : this.#clock.now() - this.#sinceMs;
  }

  /** Has a leaver told when the process has nothing else to do: once, whether by `beforeExit` or by a look. */
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
    this.#sinceMs = undefined;
    this.#looks.stop();
  }

  readonly #onBeforeExit = (): void => this.#begin(true);

  #begin(isCertain: boolean): void {
    const leavers = new Set([...this.#armed, ...this.#sending]);
    // Detached before any leaver acts: one that writes to a stream would otherwise bring `beforeExit` back for ever.
    for (const leaver of leavers) this.disarm(leaver);
    this.#sinceMs ??= this.#clock.now();
    this.#isGuess = !isCertain;
    this.#looksAlive = 0;
    for (const leaver of leavers) {
      this.#left.add(leaver);
      const left = leaver.leave(isCertain);
      if (left === undefined) continue;
      this.#leaving += 1;
      void left.then(() => (this.#leaving -= 1));
    }
    this.#looks.keepGoing();
  }

  #look(): void {
    for (const leaver of this.#sending) if (!leaver.isSending) this.#sending.delete(leaver);
    if (this.#sinceMs === undefined) {
      if (this.#sending.size === 0) return;
      if (this.#clock.now() >= this.#guessFromMs && this.#isHeldByUs()) this.#begin(false);
    } else if (this.#leaving === 0) {
      if (this.#isHeldByUs()) this.#begin(false);
      else if (++this.#looksAlive >= LOOKS_ALIVE) this.#liveOn(this.#sinceMs);
    }
    this.#looks.keepGoing();
  }

  /** Something else keeps the process alive. If that is not listed, the next guess is wrong, too: it comes twice as late each time. */
  #liveOn(sinceMs: number): void {
    const nowMs = this.#clock.now();
    if (this.#isGuess) {
      this.#patienceMs = Math.min(2 * Math.max(this.#patienceMs, nowMs - sinceMs), MAX_PATIENCE_MS);
      this.#guessFromMs = nowMs + this.#patienceMs;
    }
    this.#sinceMs = undefined;
    const left = [...this.#left];
    this.#left.clear();
    for (const leaver of left) leaver.liveOn();
  }
}
