import type { Log } from '../log.js';

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

const MAX_VALUE_LENGTH = 64;

/** A rule that stands in a file. */
export function fileRule(name: string, value: string, optsOut: boolean, path: string, line: number | undefined): Rule {
  return { name, value, optsOut, source: line === undefined ? { kind: 'file', path } : { kind: 'file', path, line } };
}

/** A file that cannot be used may hold an opt-out, so it counts as one. `why` is ours, or a code: no text of the file. */
export function unusable(name: string, why: string, path: string, line: number | undefined, log: Log | undefined): Rule {
  log?.warn('config_unreadable', `${placeName(path, line)} cannot be used (${why}), which counts as an opt-out`);
  return fileRule(name, why, true, path, line);
}

/** The code of an error of node:fs that says there is no such file, or why it cannot be read. */
export function readProblem(error: unknown): { isMissing: boolean; why: string } {
  const code: unknown = typeof error === 'object' && error !== null ? Reflect.get(error, 'code') : undefined;
  const isCode = typeof code === 'string' && /^[A-Z][A-Z0-9_]{0,39}$/.test(code);
  return { isMissing: code === 'ENOENT' || code === 'ENOTDIR', why: isCode ? code : 'cannot be read' };
}

/** A file and a line in it, as a message names them. */
export function placeName(path: string, line: number | undefined): string {
  return line === undefined ? printable(path) : `${printable(path)}:${line}`;
}

/** At most 64 characters on one line: a value is shown to people and must not speak to their terminal. */
export function shorten(value: string): string {
  return printable(value.length > MAX_VALUE_LENGTH ? `${value.slice(0, MAX_VALUE_LENGTH - 1)}…` : value);
}

function printable(text: string): string {
  // Nearly all texts: the pattern below takes half a millisecond to compile, at the start of each process that has opted out.
  if (/^[\x20-\x7e]*$/.test(text)) return text;
  return text.replace(/[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/gu, '\u{fffd}');
}
