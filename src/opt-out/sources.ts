/*
 * Every source of an opt-out or a yes, in one table: settings read it at construction, the gate reads it again while the host runs.
 */
import { placeName, readProblem, shorten } from '../base/describe.js';
import type { Log } from '../base/log.js';
import { airflowCfgPlace, readCfgOption } from './airflow-cfg.js';
import { fileRule, unusable } from './rule.js';
import type { Question, Rule, RunningMachine, SettingsMachine, Source } from './rule.js';
import { configFile, policyFiles } from './telemetry-json.js';
import { AIRFLOW_VARIABLE, airflowValue, COSMOS, environmentOptsOut, isPolluted, readVariable, TRACKING_VARIABLES } from './variables.js';
import type { OptOutVariable } from './variables.js';

/** All sources in order of precedence. A new one is one more line here. */
export const SOURCES: readonly Source[] = [
  { rules: enabledOption },
  { rules: environment, optsOutNow: ({ env, variables }) => environmentOptsOut(env, variables) },
  policyFiles,
  configFile,
  // Not read again: it holds secrets, and Airflow itself reads it once.
  { rules: airflowCfg },
  { rules: consentOption },
  { rules: byDefault },
];

/** The rules of all files that are read again while the host runs, one file after the other. Never rejects. */
export async function rulesLater(question: Question, machine: RunningMachine): Promise<Rule[]> {
  const rules: Rule[] = [];
  for (const source of SOURCES) if (source.rulesLater !== undefined) rules.push(...(await source.rulesLater(question, machine)));
  return rules;
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

function variableRule(env: NodeJS.ProcessEnv, variable: OptOutVariable, log: Log | undefined): Rule | undefined {
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
const CFG_RULE = '[cosmos] enable_telemetry';

/** The file holds secrets: it is opened only if no source before it has decided, and only this one value is kept. */
function airflowCfg({ product, env }: Question, found: readonly Rule[], { readFile, log }: SettingsMachine): Rule[] {
  if (product !== COSMOS || found.some((rule) => rule.optsOut || rule.name === AIRFLOW_VARIABLE)) return [];
  let path = 'airflow.cfg';
  const refuse = (why: string, line?: number): Rule[] => [unusable(CFG_RULE, why, path, line, log)];
  try {
    const place = airflowCfgPlace(env);
    if (place.kind === 'none') return [];
    path = place.path;
    if (place.kind === 'unknown') return refuse('its path cannot be resolved');
    const entry = readCfgOption(readFile(path), COSMOS, 'enable_telemetry');
    if (entry.kind === 'absent') return [];
    if (entry.kind === 'broken') return refuse(entry.reason, entry.line);
    const enabled = airflowValue(entry.value, env);
    const shown = shorten(entry.shown);
    if (enabled === undefined) warnUnknown(log, placeName(path, entry.line), shown);
    const value = shown === '' && enabled !== undefined ? String(enabled) : shown;
    return [fileRule(CFG_RULE, value, enabled !== true, path, entry.line)];
  } catch (error) {
    const { isMissing, why } = readProblem(error);
    return isMissing ? [] : refuse(why);
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

function warnUnknown(log: Log | undefined, where: string, value: string): void {
  log?.warn('setting_unknown', `${where} says ${JSON.stringify(value)}, neither true nor false, which counts as an opt-out`);
}
