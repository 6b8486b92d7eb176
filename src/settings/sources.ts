import { readCfgOption } from './airflow-cfg.js';
import { airflowCfgPlace } from './config-file.js';
import type { Log } from '../log.js';
import {
  AIRFLOW_VARIABLE,
  COSMOS,
  TRACKING_VARIABLES,
  airflowValue,
  isPolluted,
  readVariable,
  switchOptsOut,
  switchVariable,
  trackingOptsOut,
} from './opt-outs.js';

/** One thing that had a say in whether telemetry is on. */
export interface Rule {
  /** The variable, the file's option, the option of the call, or `default`. */
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
  log?: Log | undefined;
}

/** Somewhere an opt-out or a yes may stand. `found` holds the rules of the sources before it. Never throws. */
export type Source = (question: Question, found: readonly Rule[], machine: SettingsMachine) => Rule[];

/** Name of the rule of airflow.cfg. */
const CFG_RULE = '[cosmos] enable_telemetry';

const MAX_VALUE_LENGTH = 64;

/** All sources in order of precedence: a new one is one more line here. */
export const SOURCES: readonly Source[] = [enabledOption, environment, airflowCfg, consentOption, byDefault];

/** Whether a rule is the person's own yes. Variables that exist to opt out cannot say it, nor can the host's code. */
export function saysYes({ name, optsOut, source }: Rule): boolean {
  return !optsOut && (source.kind === 'env' || source.kind === 'file') && !TRACKING_VARIABLES.some((other) => other === name);
}

function enabledOption({ enabled }: Question): Rule[] {
  return enabled ? [] : [{ name: 'enabled', value: 'false', optsOut: true, source: { kind: 'option' } }];
}

function environment({ product, env }: Question, _found: readonly Rule[], { log }: SettingsMachine): Rule[] {
  const rules = [
    ...TRACKING_VARIABLES.map((name) => variableRule(env, name, trackingOptsOut, log)),
    variableRule(env, switchVariable(product), switchOptsOut, log),
  ];
  if (product === COSMOS) {
    const optsOut = (value: string): boolean => {
      const enabled = airflowValue(value, env);
      if (enabled === undefined) warnUnknown(log, AIRFLOW_VARIABLE, shorten(value));
      return enabled !== true;
    };
    rules.push(variableRule(env, AIRFLOW_VARIABLE, optsOut, log));
  }
  return rules.flatMap((rule) => rule ?? []);
}

function variableRule(env: NodeJS.ProcessEnv, name: string, test: (value: string) => boolean, log?: Log): Rule | undefined {
  try {
    const value = readVariable(env, name);
    if (value === undefined) return undefined;
    const optsOut = test(value);
    return optsOut || !isPolluted(env, name) ? { name, value: shorten(value), optsOut, source: { kind: 'env' } } : undefined;
  } catch {
    log?.warn('environment_unreadable', `${name} cannot be read, which counts as an opt-out`);
    return { name, value: 'cannot be read', optsOut: true, source: { kind: 'env' } };
  }
}

/** The file holds secrets: it is opened only when nothing before it has decided, and only the one value leaves here. */
function airflowCfg({ product, env }: Question, found: readonly Rule[], machine: SettingsMachine): Rule[] {
  if (product !== COSMOS || found.some((rule) => rule.optsOut || rule.name === AIRFLOW_VARIABLE)) return [];
  const { log } = machine;
  let path = 'airflow.cfg';
  const refuse = (why: string, line?: number): Rule[] => {
    log?.warn('config_unreadable', `${placeName(path, line)} cannot be used (${why}), which counts as an opt-out`);
    return [cfgRule(why, true, path, line)];
  };
  try {
    const place = airflowCfgPlace(env);
    if (place.kind === 'none') return [];
    path = place.path;
    if (place.kind === 'unknown') return refuse('its place cannot be worked out');
    const entry = readCfgOption(machine.readFile(path), COSMOS, 'enable_telemetry');
    if (entry.kind === 'absent') return [];
    if (entry.kind === 'broken') return refuse(entry.reason, entry.line);
    const enabled = airflowValue(entry.value, env);
    const shown = shorten(entry.shown);
    if (enabled === undefined) warnUnknown(log, placeName(path, entry.line), shown);
    const value = shown === '' && enabled !== undefined ? String(enabled) : shown;
    return [cfgRule(value, enabled !== true, path, entry.line)];
  } catch (error) {
    const code = codeOf(error);
    return code === 'ENOENT' || code === 'ENOTDIR' ? [] : refuse(code ?? 'cannot be read');
  }
}

function consentOption({ consent }: Question, found: readonly Rule[]): Rule[] {
  if (consent === 'opt-out') return [];
  return [{ name: 'consent', value: consent, optsOut: !found.some(saysYes), source: { kind: 'option' } }];
}

function byDefault({ consent }: Question, found: readonly Rule[]): Rule[] {
  if (consent === 'opt-in' || found.some((rule) => rule.optsOut)) return [];
  return [{ name: 'default', value: 'enabled', optsOut: false, source: { kind: 'default' } }];
}

function cfgRule(value: string, optsOut: boolean, path: string, line: number | undefined): Rule {
  return { name: CFG_RULE, value, optsOut, source: line === undefined ? { kind: 'file', path } : { kind: 'file', path, line } };
}

function warnUnknown(log: Log | undefined, where: string, value: string): void {
  log?.warn('setting_unknown', `${where} says ${JSON.stringify(value)}, neither true nor false, which counts as an opt-out`);
}

function placeName(path: string, line: number | undefined): string {
  return line === undefined ? printable(path) : `${printable(path)}:${line}`;
}

/** At most 64 characters on one line: a value is shown to people and must not speak to their terminal. */
function shorten(value: string): string {
  return printable(value.length > MAX_VALUE_LENGTH ? `${value.slice(0, MAX_VALUE_LENGTH - 1)}…` : value);
}

function printable(text: string): string {
  return text.replace(/[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/gu, '\u{fffd}');
}

function codeOf(error: unknown): string | undefined {
  const code: unknown = typeof error === 'object' && error !== null ? Reflect.get(error, 'code') : undefined;
  return typeof code === 'string' && /^[A-Z][A-Z0-9_]{0,39}$/.test(code) ? code : undefined;
}
