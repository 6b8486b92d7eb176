/*
 * Everything that decides whether telemetry is on, for the commands `status`, `disable`, `enable` and `preview`: the facts, the same
 * facts as text, and as JSON.
 */
import { statSync } from 'node:fs';
import { systemClock } from '../base/clock.js';
import { placeName, readProblem, shorten } from '../base/describe.js';
import { Log } from '../base/log.js';
import { readConfigFile } from '../base/machine.js';
import type { Environment } from '../base/platform-types.js';
import { optOutTable } from '../notice/opt-outs.js';
import { ruleWords } from '../opt-out/rule-words.js';
import { PERMISSION_CODE, permissionFlag, unknownOf } from '../opt-out/rule.js';
import { explainSettings, isUndecided, resolveSettingsWith } from '../opt-out/settings.js';
import type { Rule, SettingsMachine, SettingsOptions } from '../opt-out/settings.js';
import { CONFIG_FILE, configFilePath, POLICY_FILE, policyFilePaths } from '../opt-out/telemetry-json.js';
import { debugMode, operatorEndpoint, switchVariable, TRACKING_VARIABLES } from '../opt-out/variables.js';
import type { DebugMode } from '../opt-out/variables.js';
import type { CommandContext } from './command.js';
import type { Program } from './program.js';

/** Whether telemetry is on, and why. */
export interface Inquiry {
  readonly enabled: boolean;
  /** `unknown`: a file that may opt out cannot be read, or may be half written. Nothing is sent meanwhile. */
  readonly state: 'on' | 'off' | 'unknown';
  readonly decidedBy: Rule;
  /** The other rules, in order of precedence. */
  readonly others: readonly Rule[];
  readonly endpoint: Endpoint;
  /** Undefined if debug mode is off. */
  readonly debug: DebugMode | undefined;
  readonly configFile: string | undefined;
  readonly policyFiles: readonly string[];
  /** Settings that were not understood, a sentence each. */
  readonly problems: readonly string[];
  /** Whether one of the problems is a file that cannot be used. */
  readonly hasUnusableFile: boolean;
}

/** Where events go, and who set it. */
interface Endpoint {
  /** Undefined if the program has its own transport. */
  readonly url: string | undefined;
  readonly setBy: 'program' | 'environment';
  /** Whether the variable holds no endpoint, and is ignored. */
  readonly isVariableIgnored: boolean;
}

const NO_RULE: Rule = { name: 'default', value: 'enabled', optsOut: false, source: { kind: 'default' } };

/** Reads the settings with the functions that a client uses. */
export function inquire({ program, env, platform }: Pick<CommandContext, 'program' | 'env' | 'platform'>): Inquiry {
  const warned = new Map<string, string>();
  const log = logOfAll((code, text) => warned.set(text, code));
  const { product, consent, enabled } = program;
  const options = { product: product.name, env, ...(consent && { consent }) };
  const machine = { readFile: readConfigFile, platform, log };
  const settings = resolveSettingsWith({ ...options, ...(enabled === false && { enabled }) }, machine);
  const explained = explainSettings(settings);
  const [decidedBy = NO_RULE, ...others] = explained.rules;
  const known = explained.rules.some(hidesFiles) ? withFiles(others, options, settings.rules, machine) : others;
  const configFile = configFilePath(product.name, env, platform);
  const policyFiles = policyFilePaths(product.name, env, platform);
  const endpoint = endpointOf(program.endpoint, product.name, env, log);
  return {
    enabled: explained.enabled,
    state: explained.enabled ? 'on' : isUndecided(settings) ? 'unknown' : 'off',
    decidedBy,
    others: known,
    endpoint,
    debug: debugMode(product.name, env),
    configFile,
    policyFiles,
    problems: [...warned.keys()],
    hasUnusableFile: [...warned.values()].includes('config_unreadable'),
  };
}

/** Whether a client opens no file because of this rule. */
function hidesFiles({ name, optsOut, source }: Rule): boolean {
  // A missing consent hides none: it is known only after the files have been read.
  return optsOut && source.kind !== 'file' && name !== 'consent';
}

/**
 * Adds the rules of the files, read as if the environment and the program did not opt out: the user sees every obstacle at once
 * instead of one after the other. airflow.cfg is not opened, since it holds secrets.
 */
function withFiles(
  others: readonly Rule[],
  options: SettingsOptions & { product: string; env: Environment },
  found: readonly Rule[],
  machine: SettingsMachine,
): readonly Rule[] {
  const env = { ...options.env };
  for (const { source, optsOut, name } of found) if (source.kind === 'env' && optsOut) delete env[name];
  const allowed = new Set([
    configFilePath(options.product, env, machine.platform),
    ...policyFilePaths(options.product, env, machine.platform),
  ]);
  const readFile = (path: string): string => {
    if (!allowed.has(path)) throw Object.assign(new Error('This file is not opened.'), { code: 'ENOENT' });
    return machine.readFile(path);
  };
  const { rules } = resolveSettingsWith({ ...options, env }, { ...machine, readFile });
  const ofFiles = rules.filter(({ name, source }) => source.kind === 'file' || name === 'consent');
  return [...others.filter(({ name, source }) => source.kind !== 'file' && name !== 'consent'), ...ofFiles];
}

function endpointOf(given: string | undefined, product: string, env: Environment, log: Log): Endpoint {
  if (given === undefined) return { url: undefined, setBy: 'program', isVariableIgnored: false };
  let isVariableIgnored = false;
  const warnings = logOfAll((code, text) => {
    isVariableIgnored = true;
    log.warn(code, text);
  });
  const chosen = operatorEndpoint(product, env, warnings);
  return chosen === undefined
    ? { url: given, setBy: 'program', isVariableIgnored }
    : { url: chosen, setBy: 'environment', isVariableIgnored };
}

const WARNING = /^\[telemetry\] (\w+): (.*)$/s;

/** A log that passes on every warning: its clock moves on by an hour with each, so none comes too soon after another. */
function logOfAll(heard: (code: string, text: string) => void): Log {
  let nowMs = 0;
  const warn = (line: string): void => {
    const [, code = '', text = line] = WARNING.exec(line) ?? [];
    heard(code, text);
  };
  return new Log({ warn, debug: () => {} }, { ...systemClock, now: () => (nowMs += 3_600_000) });
}

const LABEL_WIDTH = 16;

/** A line with a label in its own column. Paths are not wrapped, so that they can be copied. */
export function labelled(label: string, text: string): string {
  return `  ${label.padEnd(LABEL_WIDTH)}${text}`;
}

/** The first line: whether telemetry is on. */
export function heading({ enabled }: Inquiry, { program, paint }: CommandContext, state: string): string {
  return `Telemetry of ${program.product.name} ${(enabled ? paint.good : paint.bad)(paint.strong(state))}.`;
}

/** Whether telemetry is on, for the first line. */
export const STATE_WORDS = {
  on: 'is on',
  off: 'is off',
  unknown: 'is unknown, so nothing is sent',
} as const satisfies Record<Inquiry['state'], string>;

/** The rules, how to turn telemetry on or off, and the endpoint. */
export function inquiryLines(inquiry: Inquiry, context: CommandContext): string[] {
  const { decidedBy, others, enabled } = inquiry;
  const steps = toChange(inquiry, context.program);
  return [
    labelled('decided by', ruleWords(decidedBy)),
    ...others.map((rule, index) => labelled(index === 0 ? 'other rules' : '', `${verdict(rule).padEnd(7)} ${ruleWords(rule)}`)),
    ...steps.map((step, index) => labelled(index === 0 ? (enabled ? 'to turn it off' : 'to turn it on') : '', step)),
    labelled('endpoint', endpointWords(inquiry, context)),
  ];
}

/** Debug mode, if it is on. */
export function debugLines({ debug }: Inquiry): string[] {
  if (debug === undefined) return [];
  const where = debug.path === undefined ? 'to standard error' : `to the end of ${shorten(debug.path)}`;
  return [labelled('debug mode', `${debug.variable} writes requests ${where}; nothing is sent`)];
}

/** The paths of the files. */
export function placeLines({ configFile, policyFiles }: Inquiry): string[] {
  return [
    labelled('config file', configFile === undefined ? 'none: the environment has no home directory' : withPresence(configFile)),
    ...policyFiles.map((path, index) => labelled(index === 0 ? 'policy file' : '', withPresence(path))),
  ];
}

/** The value of `--json`. docs/cli.md documents its shape. */
export function inquiryJson(inquiry: Inquiry, { program }: CommandContext) {
  const { enabled, state, decidedBy, others, endpoint, debug, configFile, policyFiles, problems } = inquiry;
  return {
    product: program.product.name,
    version: program.product.version ?? null,
    enabled,
    state,
    decidedBy,
    others,
    toChange: toChange(inquiry, program),
    endpoint: { url: endpoint.url ?? null, setBy: endpoint.setBy, isVariableIgnored: endpoint.isVariableIgnored },
    debug: debug === undefined ? null : { variable: debug.variable, file: debug.path ?? null },
    configFile: configFile ?? null,
    policyFiles,
    problems,
  };
}

function isTracking(name: string): boolean {
  return TRACKING_VARIABLES.some((other) => other === name);
}

/** What a rule says. The tracking variables and the program cannot say yes. */
function verdict(rule: Rule): 'no' | 'yes' | 'nothing' | 'unknown' {
  const { optsOut, name } = rule;
  if (unknownOf(rule) !== undefined) return 'unknown';
  if (optsOut) return 'no';
  return isTracking(name) || name === 'consent' ? 'nothing' : 'yes';
}

/** How to turn telemetry on, which takes all of these steps, or off, which takes any of them. */
function toChange({ enabled, decidedBy, others }: Inquiry, { product, command }: Program): string[] {
  if (!enabled) return toTurnOn([decidedBy, ...others], product.name, command);
  const own = switchVariable(product.name);
  return [`run \`${command} disable\``, `or set ${own}=0 in the environment`, 'or set DO_NOT_TRACK=1, for every program that honours it'];
}

function toTurnOn(rules: readonly Rule[], product: string, command: string): string[] {
  const obstacles = rules.filter((rule) => rule.optsOut);
  const isRefused = obstacles.some((rule) => isOwnNo(rule));
  // The yes that replaces the person's own no is the consent, too.
  const left = obstacles.filter(({ name, source }) => !(isRefused && name === 'consent' && source.kind === 'option'));
  return [...new Set(left.map((rule) => remedy(rule, product, command)))];
}

/** Whether it is a no in the person's own file. */
function isOwnNo({ name, value, source }: Rule): boolean {
  return source.kind === 'file' && name === CONFIG_FILE && value === 'false';
}

function remedy(rule: Rule, product: string, command: string): string {
  const { name, value, source } = rule;
  const place = placeName(source.path ?? '', source.line);
  if (value === PERMISSION_CODE) return `start node with ${permissionFlag(source.path ?? '')}`;
  if (unknownOf(rule) === 'unreadable') return `make ${place} readable, or remove it`;
  if (source.kind === 'option') {
    if (name === 'consent') return `run \`${command} enable\`, or set ${switchVariable(product)}=1: the program waits for your consent`;
    return 'nothing you can do: the program itself turns telemetry off';
  }
  if (source.kind === 'env') {
    if (value === 'cannot be read') return `fix the environment: ${name} cannot be read`;
    return `unset ${name}, or set it to ${optOutTable(product).find((row) => row.name === name)?.harmlessValue}`;
  }
  if (name === POLICY_FILE) return `ask the administrator of this machine: ${place} decides for all its users`;
  if (name !== CONFIG_FILE) return `set enable_telemetry = True in ${place}`;
  return isOwnNo(rule) ? `run \`${command} enable\`` : `fix or remove ${place}`;
}

function endpointWords({ endpoint }: Inquiry, { program }: CommandContext): string {
  const { url, setBy, isVariableIgnored } = endpoint;
  const variable = `${switchVariable(program.product.name)}_ENDPOINT`;
  if (url === undefined) return 'unknown here: the program has its own transport';
  if (setBy === 'environment') return `${url}, set by ${variable} (the program says ${program.endpoint})`;
  return isVariableIgnored ? `${url}, set by the program (${variable} is no usable URL and is ignored)` : `${url}, set by the program`;
}

function withPresence(path: string): string {
  try {
    statSync(path);
    return path;
  } catch (error) {
    const { isMissing, why } = readProblem(error);
    return isMissing ? `${path} (does not exist)` : `${path} (cannot be read: ${why})`;
  }
}
