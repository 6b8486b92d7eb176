/*
 * What the sources of opt-outs have in common: the rules they give, and what they are given.
 */
import { placeName, readProblem } from '../base/describe.js';
import { given } from '../base/foreign-values.js';
import type { Log } from '../base/log.js';
import type { Environment, Platform } from '../base/platform-types.js';
import type { OptOutVariable } from './variables.js';

/** Where a source reports a setting that cannot be used. */
export type Warnings = Pick<Log, 'warn'>;

/**
 * One setting that takes part in the decision whether telemetry is on.
 *
 * @example
 * const [rule]: readonly Rule[] = explainSettings(resolveSettings({ product: 'acme', env: { DO_NOT_TRACK: '1' } })).rules;
 * console.log(rule?.name, rule?.optsOut, rule?.source.kind); // DO_NOT_TRACK true env
 */
export interface Rule {
  /** The variable, `policy file`, `config file`, airflow.cfg's option, the option of the call, or `default`. */
  name: string;
  /**
   * The value as found, at most 64 characters, with control characters replaced. For a file that cannot be read or parsed, the
   * reason.
   */
  value: string;
  /** Whether it keeps telemetry off. One rule that does wins over all rules that do not. */
  optsOut: boolean;
  /**
   * Set while the content of a file is unknown. Nothing is sent meanwhile, and a client reads the file again.
   *
   * - `unreadable`: the file cannot be read now (`EMFILE`, `EIO`, `EACCES`); `value` is the reason. It stays unknown until it can be read.
   * - `malformed`: the file may be half written (not JSON, not UTF-8). It is an opt-out if it is still so after a minute.
   */
  unknown?: 'unreadable' | 'malformed';
  /** Where it is set; `path` and `line` (from 1) for a file. */
  source: { kind: 'env' | 'file' | 'option' | 'default'; path?: string; line?: number };
}

/** The checked options of `resolveSettings`, with their defaults. */
export interface Question {
  readonly product: string;
  readonly env: Environment;
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
  readonly platform?: Platform | undefined;
  readonly log?: Warnings | undefined;
}

/** A place where a yes or a no can be written. None of its functions throws. */
export interface Source {
  /** Its rules now. `found` holds the rules of the sources before it. */
  readonly rules: (question: Question, found: readonly Rule[], machine: SettingsMachine) => Rule[];
  /** Whether it opts out now, without reading a file. @default not asked while the host runs */
  readonly optsOutNow?: (question: Question) => boolean;
  /** Which of its files are read while the host runs: all of them again, or only those that could not be read so far. @default none */
  readonly rereads?: 'always' | 'until read';
}

/** A rule from a file. */
export function fileRule(name: string, value: string, optsOut: boolean, path: string, line: number | undefined): Rule {
  return { name, value, optsOut, source: line === undefined ? { kind: 'file', path } : { kind: 'file', path, line } };
}

/** Where a file is and whose rule it gives, for a rule about a file that cannot be used. */
interface UnusableFile {
  readonly name: string;
  readonly path: string;
  readonly line?: number | undefined;
}

/** The rule for a file that cannot be used and may hold an opt-out, so it counts as one. `why` holds no text of the file. */
export function unusable({ name, path, line }: UnusableFile, why: string, log: Warnings | undefined): Rule {
  log?.warn('config_unreadable', `${placeName(path, line)} cannot be used (${why}), which counts as an opt-out`);
  return fileRule(name, why, true, path, line);
}

/** The rule for a file that does not parse. It may be half written, so it counts as an opt-out only if it stays so for a minute. */
export function malformed(file: UnusableFile, why: string, { consent }: Question, log: Warnings | undefined): Rule {
  if (consent === 'opt-in') return unusable(file, why, log);
  const { name, path, line } = file;
  log?.warn(
    'config_unreadable',
    `${placeName(path, line)} cannot be used (${why}): nothing is sent, and it counts as an opt-out if it is still so in a minute`,
  );
  return { ...fileRule(name, why, true, path, line), unknown: 'malformed' };
}

/** The rule for a file that cannot be read now, so that its content is unknown. */
export function unreadable(file: UnusableFile, why: string, { consent }: Question, log: Warnings | undefined): Rule {
  if (consent === 'opt-in') return unusable(file, why, log);
  const { name, path } = file;
  log?.warn('config_unreadable', `${placeName(path, undefined)} cannot be read (${why}): nothing is sent until it can be`);
  return { ...fileRule(name, why, true, path, undefined), unknown: 'unreadable' };
}

/** Codes of a file that was read and is no text of an acceptable length. */
const READ_IN_VAIN: ReadonlySet<string> = new Set(['EILSEQ', 'EFBIG']);

/**
 * What an error of reading a file says about an opt-out. A missing file has no opinion. A file that is no text may be half written. After
 * any other error it is not known what the file says: the cause may pass, as EMFILE does.
 */
export function errorRules(file: UnusableFile, error: unknown, question: Question, log: Warnings | undefined): Rule[] {
  const { isMissing, why } = readProblem(error);
  if (isMissing) return [];
  return [(READ_IN_VAIN.has(why) ? malformed : unreadable)(file, why, question, log)];
}

/** The code of an error of Node's permission model. */
export const PERMISSION_CODE = 'ERR_ACCESS_DENIED';

/** The flag that lets `node --permission` read a file. */
export function permissionFlag(path: string): string {
  return `--allow-fs-read=${path}`;
}

/** Whether a rule is an opt-out that is known to exist. */
export function isKnownOptOut(rule: Rule): boolean {
  return rule.optsOut && unknownOf(rule) === undefined;
}

/** Why the content of a file is unknown; undefined for all other rules, also with a polluted `Object.prototype`. */
export function unknownOf(rule: Rule): Rule['unknown'] {
  return given(rule, 'unknown');
}
