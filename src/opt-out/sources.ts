/*
 * Every source of an opt-out or a yes, in one table: settings read it at construction, the gate reads it again while the host runs.
 */
import { COSMOS } from '../base/constants.js';
import { placeName, shorten } from '../base/describe.js';
import { isPolluted } from '../base/foreign-values.js';
import type { Environment } from '../base/platform-types.js';
import { airflowCfgPlace, readCfgOption } from './airflow-cfg.js';
import { errorRules, fileRule, isKnownOptOut, malformed, unreadable } from './rule.js';
import type { Question, Rule, SettingsMachine, Source, Warnings } from './rule.js';
import { configFile, policyFiles } from './telemetry-json.js';
import { AIRFLOW_VARIABLE, airflowValue, environmentOptsOut, readVariable, TRACKING_VARIABLES } from './variables.js';
import type { OptOutVariable } from './variables.js';

/** All sources in order of precedence. A new one is one more line here. */
export const SOURCES: readonly Source[] = [
  { rules: enabledOption },
  { rules: environment, rereads: 'always', optsOutNow: ({ env, variables }) => environmentOptsOut(env, variables) },
  policyFiles,
  configFile,
  // Read once: it holds secrets, and Airflow itself reads it once.
  { rules: airflowCfg, rereads: 'until read' },
  { rules: consentOption },
  { rules: byDefault },
];

/** The rules of some sources. Each source gets the rules of the sources before it. */
export function rulesOf(sources: readonly Source[], question: Question, machine: SettingsMachine): Rule[] {
  const rules: Rule[] = [];
  for (const source of sources) rules.push(...source.rules(question, rules, machine));
  return rules;
}

/**
 * The same without blocking: `readFile` rejects as node:fs does. Asks each source twice, first to learn which files it would open.
 * Never rejects.
 */
export async function rulesLater(
  sources: readonly Source[],
  question: Question,
  { readFile, ...machine }: Omit<SettingsMachine, 'readFile'> & { readonly readFile: (path: string) => Promise<string> },
): Promise<Rule[]> {
  const rules: Rule[] = [];
  for (const source of sources) {
    const contents = new Map<string, () => string>();
    const wanted = new Set<string>();
    const textOf = (path: string): string => {
      wanted.add(path);
      return (contents.get(path) ?? notRead)();
    };
    source.rules(question, rules, { ...machine, readFile: textOf, log: undefined });
    // One after the other: a disk that hangs gets one request.
    for (const path of wanted) contents.set(path, await contentOf(path, readFile));
    rules.push(...source.rules(question, rules, { ...machine, readFile: textOf }));
  }
  return rules;
}

function notRead(): never {
  throw new Error('This file has not been read.');
}

/** Reads a file. @returns A function that returns its text, or throws what reading it threw. */
async function contentOf(path: string, readFile: (path: string) => Promise<string>): Promise<() => string> {
  try {
    const text = await readFile(path);
    return () => text;
  } catch (error) {
    return () => {
      // oxlint-disable-next-line typescript/only-throw-error -- an injected reader may throw anything
      throw error;
    };
  }
}

/** Whether a rule is the person's own yes. The tracking variables and the host's code cannot give one. */
export function saysYes({ name, optsOut, source }: Rule): boolean {
  return !optsOut && (source.kind === 'env' || source.kind === 'file') && !TRACKING_VARIABLES.some((other) => other === name);
}

function enabledOption({ enabled }: Question): Rule[] {
  return enabled ? [] : [{ name: 'enabled', value: 'false', optsOut: true, source: { kind: 'option' } }];
}

function environment({ env, variables }: Question, _found: readonly Rule[], { log }: SettingsMachine): Rule[] {
  return variables.flatMap((variable) => variableRule(env, variable, log) ?? []);
}

function variableRule(env: Environment, variable: OptOutVariable, log: Warnings | undefined): Rule | undefined {
  const { name } = variable;
  try {
    const value = readVariable(env, name);
    if (value === undefined) return undefined;
    const optsOut = variable.optsOut(value, env);
    if (name === AIRFLOW_VARIABLE && airflowValue(value, env) === undefined) warnUnknown(log, name, shorten(value));
    return optsOut || !isPolluted(env, name) ? { name, value: shorten(value), optsOut, source: { kind: 'env' } } : undefined;
  } catch {
    log?.warn('environment_unreadable', `${name} cannot be read, which counts as an opt-out`);
    return { name, value: 'cannot be read', optsOut: true, source: { kind: 'env' } };
  }
}

/** Name of the rule of airflow.cfg. */
export const CFG_RULE = '[cosmos] enable_telemetry';

/** The file holds secrets: it is opened only if no source before it has decided, and only this one value is kept. */
function airflowCfg(question: Question, found: readonly Rule[], { readFile, log }: SettingsMachine): Rule[] {
  const { product, env } = question;
  if (product !== COSMOS || found.some((rule) => isKnownOptOut(rule) || rule.name === AIRFLOW_VARIABLE)) return [];
  let path = 'airflow.cfg';
  try {
    const place = airflowCfgPlace(env);
    if (place.kind === 'none') return [];
    path = place.path;
    if (place.kind === 'unknown') return [unreadable({ name: CFG_RULE, path }, 'its path cannot be resolved', question, log)];
    const entry = readCfgOption(readFile(path), COSMOS, 'enable_telemetry');
    if (entry.kind === 'absent') return [];
    if (entry.kind === 'broken') return [malformed({ name: CFG_RULE, path, line: entry.line }, entry.reason, question, log)];
    const enabled = airflowValue(entry.value, env);
    const shown = shorten(entry.shown);
    if (enabled === undefined) warnUnknown(log, placeName(path, entry.line), shown);
    const value = shown === '' && enabled !== undefined ? String(enabled) : shown;
    return [fileRule(CFG_RULE, value, enabled !== true, path, entry.line)];
  } catch (error) {
    return errorRules({ name: CFG_RULE, path }, error, question, log);
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

function warnUnknown(log: Warnings | undefined, where: string, value: string): void {
  log?.warn('setting_unknown', `${where} says ${JSON.stringify(value)}, neither true nor false, which counts as an opt-out`);
}
