/*
 * The gate: a one-way latch that every event passes. It opens if the settings allow telemetry, and shuts for good if an opt-out
 * appears while the host runs.
 */
import type { Clock } from '../base/clock.js';
import type { Log } from '../base/log.js';
import type { MachineAccess } from '../base/machine.js';
import type { Question, Rule } from './rule.js';
import { consentWithdrawn, settingsFor, shouldEmit, toQuestion } from './settings.js';
import type { Settings, SettingsOptions } from './settings.js';
import { rulesLater, SOURCES } from './sources.js';

/** What a gate needs of the machine. */
export type GateMachine = Pick<MachineAccess, 'clock' | 'readFile' | 'readFileLater' | 'platform'>;

/**
 * Resolves the settings and makes the gate for them, which then watches the same sources. Anything but `false` as `enabled` is
 * ignored.
 */
export function openGate(
  { enabled, ...asked }: SettingsOptions,
  { clock, readFile, readFileLater, platform }: GateMachine,
  log: Log,
): { gate: Gate; settings: Settings } {
  const question = toQuestion({ ...asked, ...(enabled === false && { enabled }) });
  const settings = settingsFor(question, { readFile, platform, log });
  const watch = watchFor(question, settings, readFileLater, platform, log);
  return { gate: new Gate({ open: shouldEmit(settings), ...watch, clock }), settings };
}

/** How a gate is made. */
export interface GateOptions {
  /** Whether telemetry was on at construction. */
  open: boolean;
  /** Whether an opt-out is in the environment now. Cheap; it counts as one if it throws. */
  optedOutNow: () => boolean;
  /** Whether an opt-out is in a file now; a rejection counts as one. @default files are not read again */
  optedOutOnDisk?: (() => Promise<boolean>) | undefined;
  clock: Clock;
}

/** The publish path has the environment read at most once in this time. */
const STALE_MS = 1000;

/** Files are read at most once in this time, and only before an attempt. */
const FILES_STALE_MS = 60_000;

/** `isOpen()` reads the clock once in this many calls: a clock read costs more than the rest of a publish. */
const ASKS_PER_CLOCK_READ = 32;

/** Whether anything may happen. A one-way latch: once shut, it stays shut. */
export class Gate {
  #open: boolean;
  /** How many more calls of `isOpen()` return true without reading the clock; 0 once shut. */
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
   * The check of the publish path; it costs a few nanoseconds. On a busy host it is about a second behind the environment, on a quiet
   * one up to 32 calls. Events that pass meanwhile are stopped by `checkAttempt()`.
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
   * The check before each attempt: `check()`, and once a minute it starts reading the files. It does not wait for them, since a disk
   * that hangs must delay nothing. If they opt out, the attempts in flight are aborted.
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
      // A file that cannot be read may hold an opt-out, so it counts as one.
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

/** Watches the sources of the settings: whether an opt-out has appeared, or the consent of an opt-in was withdrawn. */
function watchFor(
  question: Question,
  settings: Settings,
  readFile: GateMachine['readFileLater'],
  platform: NodeJS.Platform | undefined,
  log: Log,
): Pick<GateOptions, 'optedOutNow' | 'optedOutOnDisk'> {
  /** The rules of the files when they were last read again. */
  let files: readonly Rule[] | undefined;
  const optedOutNow = (): boolean =>
    SOURCES.some(({ optsOutNow }) => optsOutNow?.(question) === true) ||
    (question.consent === 'opt-in' && consentWithdrawn(settings, question.env, files));
  const optedOutOnDisk = async (read: (path: string) => Promise<string>): Promise<boolean> => {
    files = await rulesLater(question, { readFile: read, platform, log });
    return files.some((rule) => rule.optsOut) || optedOutNow();
  };
  return { optedOutNow, optedOutOnDisk: readFile && (() => optedOutOnDisk(readFile)) };
}
