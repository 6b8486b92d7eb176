import { placeName, readProblem, shorten } from '../base/describe.js';
import type { Log } from '../base/log.js';
import { airflowCfgPlace, readCfgOption } from './airflow-cfg.js';
import { fileRule, unusable } from './rule.js';
import type { Question, Rule, SettingsMachine, Source } from './rule.js';
import { configFile, policyFiles } from './telemetry-json.js';
import {
  AIRFLOW_VARIABLE,
  airflowValue,
  COSMOS,
  isPolluted,
  readVariable,
  switchOptsOut,
  switchVariable,
  TRACKING_VARIABLES,
  trackingOptsOut,
} from './variables.js';

/** Name of the rule of airflow.cfg. */
const CFG_RULE = '[cosmos] enable_telemetry';

/** All sources in order of precedence: a new one is one more line here. */
export const SOURCES: readonly Source[] = [enabledOption, environment, policyFiles, configFile, airflowCfg, consentOption, byDefault];

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
  const refuse = (why: string, line?: number): Rule[] => [unusable(CFG_RULE, why, path, line, log)];
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
