import { placeName } from '../base/describe.js';
import type { Log } from '../base/log.js';

/** One thing that had a say in whether telemetry is on. */
export interface Rule {
  /** The variable, `policy file`, `config file`, airflow.cfg's option, the option of the call, or `default`. */
  name: string;
  /** What was found, at most 64 characters, control characters replaced; for what cannot be read or parsed, why. */
  value: string;
  /** Whether it opts out. One that does wins over all that do not. */
  optsOut: boolean;
  /** Where it stands; `path` and `line` (from 1) for a file. */
  source: { kind: 'env' | 'file' | 'option' | 'default'; path?: string; line?: number };
}

/** What the sources are asked: checked options with their defaults. */
export interface Question {
  readonly product: string;
  readonly env: NodeJS.ProcessEnv;
  readonly consent: 'opt-out' | 'opt-in';
  readonly enabled: boolean;
}

/** What the sources need of the machine. */
export interface SettingsMachine {
  /** Reads a configuration file; throws as node:fs does. */
  readFile(path: string): string;
  /** Whose usual places are looked at. @default process.platform */
  platform?: NodeJS.Platform | undefined;
  log?: Log | undefined;
}

/** Somewhere an opt-out or a yes may stand. `found` holds the rules of the sources before it. Never throws. */
export type Source = (question: Question, found: readonly Rule[], machine: SettingsMachine) => Rule[];

/** A rule that stands in a file. */
export function fileRule(name: string, value: string, optsOut: boolean, path: string, line: number | undefined): Rule {
  return { name, value, optsOut, source: line === undefined ? { kind: 'file', path } : { kind: 'file', path, line } };
}

/** A file that cannot be used may hold an opt-out, so it counts as one. `why` is ours, or a code: no text of the file. */
export function unusable(name: string, why: string, path: string, line: number | undefined, log: Log | undefined): Rule {
  log?.warn('config_unreadable', `${placeName(path, line)} cannot be used (${why}), which counts as an opt-out`);
  return fileRule(name, why, true, path, line);
}
