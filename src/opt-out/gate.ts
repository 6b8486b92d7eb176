/*
 * The gate: a latch that every event passes. It is open if the settings allow telemetry, and unknown while a file that may opt out cannot
 * be read. It shuts for good if an opt-out appears while the host runs.
 */
import type { Clock, Timer } from '../base/clock.js';
import { placeName } from '../base/describe.js';
import type { Log } from '../base/log.js';
import type { MachineAccess } from '../base/machine.js';
import type { Platform } from '../base/platform-types.js';
import { isKnownOptOut, permissionFlag, PERMISSION_CODE, unknownOf } from './rule.js';
import type { Question, Rule } from './rule.js';
import { consentWithdrawn, isUndecided, settingsFor, shouldEmit, toQuestion } from './settings.js';
import type { Settings, SettingsOptions } from './settings.js';
import { CFG_RULE, rulesLater, SOURCES } from './sources.js';

/** What a gate needs of the machine. */
export type GateMachine = Pick<MachineAccess, 'clock' | 'readFile' | 'readFileLater' | 'platform'>;

/**
 * Resolves the settings and makes the gate for them, which then watches the same sources. Anything but `false` as `enabled` is
 * ignored.
 */
export function openGate({ enabled, ...asked }: SettingsOptions, machine: GateMachine, log: Log): OpenedGate {
  const { clock, readFile, readFileLater, platform } = machine;
  const question = toQuestion({ ...asked, ...(enabled === false && { enabled }) });
  const once = new OnceLog(log);
  const settings = settingsFor(question, { readFile, platform, log: once });
  warnOfPermissions(settings, log);
  const state = shouldEmit(settings) ? 'open' : isUndecided(settings) ? 'unknown' : 'shut';
  const watch = new SourceWatch({ question, settings, readFile: readFileLater, platform, log: once, clock });
  return { gate: new Gate({ state, watch, clock }), question, settings };
}

/** A gate, what it asks, and the answer of now. */
interface OpenedGate {
  readonly gate: Gate;
  readonly question: Question;
  readonly settings: Settings;
}

/** Names the flags that Node's permission model needs. Without them nothing is ever sent. */
function warnOfPermissions({ rules }: Settings, log: Log): void {
  const flags = rules.flatMap(({ value, source: { path } }) =>
    value === PERMISSION_CODE && path !== undefined ? permissionFlag(path) : [],
  );
  if (flags.length === 0) return;
  log.warn('permission_denied', `node --permission hides files that may opt out, so nothing is sent: start node with ${flags.join(' ')}`);
}

/**
 * Whether anything may happen.
 *
 * - `open`: nothing opts out.
 * - `unknown`: a file that may opt out cannot be read. Events are accepted and wait; nothing is sent.
 * - `shut`: something opts out. For good.
 */
export type GateState = 'open' | 'unknown' | 'shut';

/** What a gate asks while the host runs. */
export interface GateWatch {
  /** Whether an opt-out is in the environment now. Cheap; it counts as one if it throws. */
  optedOutNow(): boolean;
  /** What the files say now. A rejection is `unknown`. @default files are not read again */
  readFiles?: (() => Promise<GateState>) | undefined;
}

/** How a gate is made. */
export interface GateOptions {
  /** At construction. */
  state: GateState;
  watch: GateWatch;
  clock: Clock;
}

/** The publish path has the environment read at most once in this time. */
const STALE_MS = 1000;

/** Files are read at most once in this time, and only before an attempt; also the longest wait while they are unknown. */
const FILES_STALE_MS = 60_000;

/** While files are unknown, they are read again after this time, then after twice as long, up to `FILES_STALE_MS`. */
const FIRST_LOOK_MS = 1000;

/** How long a file may be malformed before it counts as an opt-out. */
const MALFORMED_MS = 60_000;

/** `accepts()` reads the clock once in this many calls: a clock read costs more than the rest of a publish. */
const ASKS_PER_CLOCK_READ = 32;

/** Whether anything may happen. A one-way latch: once shut, it stays shut. */
export class Gate {
  #state: GateState;
  /** How many more calls of `accepts()` return true without reading the clock; 0 once shut. */
  #asksLeft: number;
  #readAtMs: number;
  #filesReadAtMs: number;
  #reading: Promise<void> | undefined;
  #lookTimer: Timer | undefined;
  #lookAfterMs = FIRST_LOOK_MS;
  #unknownSinceMs = 0;
  #isClosed = false;
  readonly #watch: GateWatch;
  readonly #clock: Clock;
  readonly #whenShut: (() => void)[] = [];
  readonly #whenOpen: (() => void)[] = [];

  constructor({ state, watch, clock }: GateOptions) {
    this.#state = state;
    this.#asksLeft = state === 'shut' ? 0 : ASKS_PER_CLOCK_READ - 1;
    this.#watch = watch;
    this.#clock = clock;
    this.#readAtMs = state === 'shut' ? 0 : clock.now();
    this.#filesReadAtMs = this.#readAtMs;
    this.#unknownSinceMs = this.#readAtMs;
    if (state === 'unknown') this.#lookLater();
  }

  /** As of the last look at environment and files; `check()` and `accepts()` look again. */
  get state(): GateState {
    return this.#state;
  }

  /**
   * Whether an event may come in: not after an opt-out. The check of the publish path; it costs a few nanoseconds. On a busy host it is
   * about a second behind the environment, on a quiet one up to 32 calls. Events that pass meanwhile are stopped by `checkAttempt()`.
   */
  accepts(): boolean {
    if (this.#asksLeft > 0) {
      this.#asksLeft -= 1;
      return true;
    }
    if (this.#state === 'shut') return false;
    this.#asksLeft = ASKS_PER_CLOCK_READ - 1;
    if (this.#clock.now() - this.#readAtMs >= STALE_MS) this.check();
    return !this.#isShut();
  }

  /**
   * The check before each attempt: `check()`, and once a minute it starts reading the files. It does not wait for them, since a disk
   * that hangs must delay nothing. If they opt out, the attempts in flight are aborted.
   */
  checkAttempt(): boolean {
    if (!this.check()) return false;
    if (this.#readAtMs - this.#filesReadAtMs >= FILES_STALE_MS) void this.#readFiles();
    return this.#state === 'open';
  }

  /** Reads the environment now. @returns Whether anything may be sent. */
  check(): boolean {
    if (this.#state === 'shut') return false;
    this.#readAtMs = this.#clock.now();
    let optedOut = true;
    try {
      optedOut = this.#watch.optedOutNow();
    } catch {
      // An environment that cannot be read may hold an opt-out, so it counts as one.
    }
    if (optedOut) this.#shut();
    return this.#state === 'open';
  }

  /** If the state is unknown, reads environment and files now, because a caller waits for the answer. Never rejects. */
  async look(): Promise<void> {
    this.check();
    if (this.#state === 'unknown') await this.#readFiles();
  }

  /** Calls back once, when an opt-out appears; never if the gate was shut from the start. */
  whenShut(callback: () => void): void {
    this.#whenShut.push(callback);
  }

  /** Calls back each time when an unknown state turns out to be open. */
  whenOpen(callback: () => void): void {
    this.#whenOpen.push(callback);
  }

  /** The person says no, to the program itself. */
  optOut(): void {
    this.#shut();
  }

  /** Reads no file from now on. */
  close(): void {
    this.#isClosed = true;
    this.#stopLooking();
  }

  /** For code after a call that may have shut the gate: TypeScript would take the state of before. */
  #isShut(): boolean {
    return this.#state === 'shut';
  }

  /** One look at a time: a second caller waits for the first one's. */
  #readFiles(): Promise<void> {
    if (this.#watch.readFiles === undefined || this.#isClosed) return Promise.resolve();
    this.#reading ??= this.#readFilesNow(this.#watch.readFiles).finally(() => {
      this.#reading = undefined;
    });
    return this.#reading;
  }

  async #readFilesNow(read: () => Promise<GateState>): Promise<void> {
    this.#stopLooking();
    this.#filesReadAtMs = this.#clock.now();
    let found: GateState = 'unknown';
    try {
      found = await read();
    } catch {
      // What a file says is unknown until it has been read.
    }
    if (this.#isShut() || this.#isClosed) return;
    if (found === 'shut') return this.#shut();
    const wasUnknown = this.#state === 'unknown';
    this.#state = found;
    if (!wasUnknown) this.#unknownSinceMs = this.#filesReadAtMs;
    if (found === 'unknown') return this.#lookLater();
    this.#lookAfterMs = FIRST_LOOK_MS;
    if (wasUnknown) for (const callback of this.#whenOpen) callback();
  }

  /** Its timer keeps neither the process alive nor a client that the host forgot to close. */
  #lookLater(): void {
    if (this.#isClosed || this.#watch.readFiles === undefined) return;
    this.#stopLooking();
    // One look falls on the moment at which a malformed file counts as an opt-out.
    const leftMs = this.#unknownSinceMs + MALFORMED_MS - this.#clock.now();
    const waitMs = leftMs > 0 ? Math.min(this.#lookAfterMs, leftMs) : this.#lookAfterMs;
    const gate = new WeakRef(this);
    this.#lookTimer = this.#clock.setTimeout(() => void gate.deref()?.look(), waitMs);
    this.#lookTimer.unref();
    this.#lookAfterMs = Math.min(this.#lookAfterMs * 2, FILES_STALE_MS);
  }

  #stopLooking(): void {
    if (this.#lookTimer !== undefined) this.#clock.clearTimeout(this.#lookTimer);
    this.#lookTimer = undefined;
  }

  #shut(): void {
    if (this.#state === 'shut') return;
    this.#state = 'shut';
    this.#asksLeft = 0;
    this.#stopLooking();
    for (const callback of this.#whenShut.splice(0)) callback();
  }
}

/** What a {@link SourceWatch} needs. */
interface WatchOptions {
  question: Question;
  /** At construction. */
  settings: Settings;
  readFile: GateMachine['readFileLater'];
  platform: Platform | undefined;
  log: OnceLog;
  clock: Clock;
}

/** Watches the sources of the settings: whether an opt-out has appeared, or the consent of an opt-in was withdrawn. */
class SourceWatch implements GateWatch {
  readonly readFiles: (() => Promise<GateState>) | undefined;
  readonly #options: WatchOptions;
  /** The sources that are read again. */
  #sources = SOURCES.filter(({ rereads }) => rereads !== undefined);
  /** Since when a file has been malformed, by its path. */
  #malformedSince = new Map<string | undefined, number>();
  /** The rules of the files when they were last read again. */
  #files: readonly Rule[] | undefined;

  constructor(options: WatchOptions) {
    this.#options = options;
    const { readFile, settings } = options;
    this.readFiles = readFile && (() => this.#readFiles(readFile));
    this.#learn(settings.rules);
  }

  optedOutNow(): boolean {
    const { question, settings } = this.#options;
    return (
      SOURCES.some(({ optsOutNow }) => optsOutNow?.(question) === true) ||
      (question.consent === 'opt-in' && consentWithdrawn(settings, question.env, this.#files))
    );
  }

  async #readFiles(readFile: (path: string) => Promise<string>): Promise<GateState> {
    const { question, platform, log } = this.#options;
    const rules = await rulesLater(this.#sources, question, { readFile, platform, log });
    this.#files = rules.filter(({ source }) => source.kind === 'file');
    this.#learn(rules);
    if (rules.some(isKnownOptOut) || this.#isMalformedForGood() || this.optedOutNow()) return 'shut';
    if (rules.some((rule) => unknownOf(rule) !== undefined)) return 'unknown';
    log.reset();
    return 'open';
  }

  #learn(rules: readonly Rule[]): void {
    const nowMs = this.#options.clock.now();
    const malformed = rules.filter((rule) => unknownOf(rule) === 'malformed').map(({ source }) => source.path);
    this.#malformedSince = new Map(malformed.map((path) => [path, this.#malformedSince.get(path) ?? nowMs]));
    if (rules.some((rule) => rule.name === CFG_RULE && unknownOf(rule) !== undefined)) return;
    this.#sources = this.#sources.filter(({ rereads }) => rereads === 'always');
  }

  #isMalformedForGood(): boolean {
    const { clock, log } = this.#options;
    const since = clock.now() - MALFORMED_MS;
    const found = [...this.#malformedSince].find(({ 1: sinceMs }) => sinceMs <= since);
    if (found === undefined) return false;
    log.warn('config_unreadable', `${placeName(found[0] ?? '', undefined)} still cannot be used, which counts as an opt-out`);
    return true;
  }
}

/** A log that says a thing once until it is over: a file that cannot be read is looked at again and again. */
class OnceLog {
  readonly #log: Log;
  readonly #said = new Set<string>();

  constructor(log: Log) {
    this.#log = log;
  }

  warn(code: string, text: string): void {
    if (this.#said.has(text)) return;
    this.#said.add(text);
    this.#log.warn(code, text);
  }

  reset(): void {
    this.#said.clear();
  }
}
