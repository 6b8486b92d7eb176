/*
 * What the sources of opt-outs have in common: the rules they give, and what they are given.
 */
import { placeName } from '../base/describe.js';
import type { Log } from '../base/log.js';
import type { OptOutVariable } from './variables.js';

/** One setting that takes part in the decision whether telemetry is on. */
export interface Rule {
  /** The variable, `policy file`, `config file`, airflow.cfg's option, the option of the call, or `default`. */
  name: string;
  /**
   * The value as found, at most 64 characters, with control characters replaced. For a file that cannot be read or parsed, the
   * reason.
   */
  value: string;
  /** Whether it opts out. One rule that opts out wins over all rules that do not. */
  optsOut: boolean;
  /** Where it is set; `path` and `line` (from 1) for a file. */
  source: { kind: 'env' | 'file' | 'option' | 'default'; path?: string; line?: number };
}

/** The checked options of `resolveSettings`, with their defaults. */
export interface Question {
  readonly product: string;
  readonly env: NodeJS.ProcessEnv;
  /** The variables that can opt out of the product. */
  readonly variables: readonly OptOutVariable[];
  readonly consent: 'opt-out' | 'opt-in';
  readonly enabled: boolean;
}

/** What the sources need of the machine. */
export interface SettingsMachine {
  /** Reads a configuration file; throws as node:fs does. */
  readonly readFile: (path: string) => string;
  /** The platform whose usual places for files apply. @default process.platform */
  readonly platform?: NodeJS.Platform | undefined;
  readonly log?: Log | undefined;
}

/** What the sources need of the machine while the host runs: the same, without blocking. */
export interface RunningMachine extends Omit<SettingsMachine, 'readFile'> {
  /** Reads a configuration file; rejects as node:fs does. */
  readonly readFile: (path: string) => Promise<string>;
}

/** A place where a yes or a no can be written. None of its functions throws or rejects. */
export interface Source {
  /** Its rules at construction. `found` holds the rules of the sources before it. */
  readonly rules: (question: Question, found: readonly Rule[], machine: SettingsMachine) => Rule[];
  /** Whether it opts out now, without reading a file. @default not asked while the host runs */
  readonly optsOutNow?: (question: Question) => boolean;
  /** Its rules as its files are now. @default not read again */
  readonly rulesLater?: (question: Question, machine: RunningMachine) => Promise<Rule[]>;
}

/** A rule from a file. */
export function fileRule(name: string, value: string, optsOut: boolean, path: string, line: number | undefined): Rule {
  return { name, value, optsOut, source: line === undefined ? { kind: 'file', path } : { kind: 'file', path, line } };
}

/** The rule for a file that cannot be used: it may hold an opt-out, so it counts as one. `why` holds no text of the file. */
export function unusable(name: string, why: string, path: string, line: number | undefined, log: Log | undefined): Rule {
  log?.warn('config_unreadable', `${placeName(path, line)} cannot be used (${why}), which counts as an opt-out`);
  return fileRule(name, why, true, path, line);
}
