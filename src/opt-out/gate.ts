import type { Clock } from '../base/clock.js';
import type { Log } from '../base/log.js';
import type { Question, Rule } from './rule.js';
import { consentWithdrawn } from './settings.js';
import type { Settings } from './settings.js';
import { rereadTelemetryFiles } from './telemetry-json.js';
import { environmentOptsOut, switchVariable } from './variables.js';

/** The environment is read again at most once in this time on the publish path. */
const STALE_MS = 1000;

/** Files are read again at most once in this time, and only when something is about to be sent. */
const FILES_STALE_MS = 60_000;

/** The clock is read once in this many questions: a clock read costs more than all the rest of a publish. */
const ASKS_PER_CLOCK_READ = 32;

/** How a gate is made. */
export interface GateOptions {
  /** Whether anything may happen at all, as the settings were found at construction. */
  open: boolean;
  /** Whether an opt-out stands in the environment now. */
  optedOutNow: () => boolean;
  /** Whether an opt-out stands in a file now; a rejection counts as one. @default files are not looked at again */
  optedOutOnDisk?: (() => Promise<boolean>) | undefined;
  clock: Clock;
}

/**
 * May anything happen? A one-way latch: an opt-out that appears while the host runs shuts it, and nothing opens it again.
 */
export class Gate {
  #open: boolean;
  /** How often the publish path may still be told yes without a look at the clock; 0 once shut. */
  #asksLeft: number;
  #readAtMs: number;
  #filesReadAtMs: number;
  #isReadingFiles = false;
  readonly #optedOutNow: () => boolean;
  readonly #optedOutOnDisk: (() => Promise<boolean>) | undefined;
  readonly #clock: Clock;
  readonly #whenShut: (() => void)[] = [];

  constructor({ open, optedOutNow, optedOutOnDisk, clock }: GateOptions) {
    this.#open = open;
    this.#asksLeft = open ? ASKS_PER_CLOCK_READ - 1 : 0;
    this.#optedOutNow = optedOutNow;
    this.#optedOutOnDisk = optedOutOnDisk;
    this.#clock = clock;
    this.#readAtMs = open ? clock.now() : 0;
    this.#filesReadAtMs = this.#readAtMs;
  }

  /**
   * The cheap question of the publish path: a few nanoseconds. On a busy host it is about a second behind the environment, on
   * a quiet one up to some dozen questions; what is taken meanwhile is stopped by the question before its attempt.
   */
  isOpen(): boolean {
    if (this.#asksLeft > 0) {
      this.#asksLeft -= 1;
      return true;
    }
    if (!this.#open) return false;
    this.#asksLeft = ASKS_PER_CLOCK_READ - 1;
    return this.#clock.now() - this.#readAtMs < STALE_MS || this.check();
  }

  /**
   * The question before each attempt: `check()`, and once a minute it has the files read again. It does not wait for them: what
   * has begun meanwhile is aborted when they turn out to opt out, since a disk that hangs must not hold up anybody.
   */
  checkAttempt(): boolean {
    if (!this.check()) return false;
    if (!this.#isReadingFiles && this.#readAtMs - this.#filesReadAtMs >= FILES_STALE_MS) void this.#readFiles();
    return this.#open;
  }

  /** Reads the environment now. */
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

  async #readFiles(): Promise<void> {
    if (this.#optedOutOnDisk === undefined) return;
    this.#isReadingFiles = true;
    this.#filesReadAtMs = this.#readAtMs;
    let optedOut = true;
    try {
      optedOut = await this.#optedOutOnDisk();
    } catch {
      // As with the environment: what cannot be read may hold an opt-out.
    }
    this.#isReadingFiles = false;
    if (optedOut) this.#shut();
  }

  #shut(): void {
    if (!this.#open) return;
    this.#open = false;
    this.#asksLeft = 0;
    for (const callback of this.#whenShut.splice(0)) callback();
  }
}

/** What a watch is made of. */
export interface OptOutWatchOptions extends Pick<Question, 'product' | 'env'> {
  /** @default 'opt-out' */
  consent?: Question['consent'];
  /** What was found at construction. */
  settings: Settings;
  /** Reads a configuration file without blocking; rejects as node:fs does. Without it files are not looked at again. */
  readFile?: ((path: string) => Promise<string>) | undefined;
  /** @default process.platform */
  platform?: NodeJS.Platform | undefined;
  log?: Log | undefined;
}

/** Whether an opt-out has appeared since construction, or the yes that an opt-in rests on has gone. */
export class OptOutWatch {
  readonly #options: OptOutWatchOptions;
  readonly #ownSwitch: string;
  /** What the files said when they were last read again. */
  #files: readonly Rule[] | undefined;

  constructor(options: OptOutWatchOptions) {
    this.#options = options;
    this.#ownSwitch = switchVariable(options.product);
  }

  /** As the environment stands now, and the files stood when last read. Cheap. */
  readonly optedOutNow = (): boolean => {
    const { product, env, consent, settings } = this.#options;
    return environmentOptsOut(product, env, this.#ownSwitch) || (consent === 'opt-in' && consentWithdrawn(settings, env, this.#files));
  };

  /** As the config files stand now; airflow.cfg is not opened again, since it holds secrets and its host reads it once, too. */
  readonly optedOutOnDisk = async (): Promise<boolean> => {
    const { readFile, log } = this.#options;
    if (readFile === undefined) return false;
    this.#files = await rereadTelemetryFiles(this.#options, readFile, log);
    return this.#files.some((rule) => rule.optsOut) || this.optedOutNow();
  };
}
