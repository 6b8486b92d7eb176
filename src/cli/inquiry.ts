import { existsSync } from 'node:fs';
import { systemClock } from '../base/clock.js';
import { placeName, shorten } from '../base/describe.js';
import { Log } from '../base/log.js';
import { readConfigFile } from '../base/machine.js';
import { optOutTable } from '../notice/opt-outs.js';
import { explainSettings, resolveSettingsWith } from '../opt-out/settings.js';
import type { Rule, SettingsMachine } from '../opt-out/settings.js';
import { CONFIG_FILE, configFilePath, POLICY_FILE, policyFilePaths } from '../opt-out/telemetry-json.js';
import { debugMode, operatorEndpoint, TRACKING_VARIABLES } from '../opt-out/variables.js';
import type { DebugMode } from '../opt-out/variables.js';
import type { CommandContext } from './command.js';
import type { Program } from './program.js';

/** Everything there is to say about whether telemetry is on. */
export interface Inquiry {
  readonly enabled: boolean;
  readonly decidedBy: Rule;
  /** What else has something to say, in order of precedence. */
  readonly others: readonly Rule[];
  readonly endpoint: Endpoint;
  readonly debug: DebugMode | undefined;
  readonly configFile: string | undefined;
  readonly policyFiles: readonly string[];
  /** What was not understood, a sentence each. */
  readonly problems: readonly string[];
  /** Whether one of the problems is a file that cannot be used. */
  readonly hasUnusableFile: boolean;
}

/** Where events go, and who said so. */
export interface Endpoint {
  /** Undefined where the program delivers by a transport of its own. */
  readonly url: string | undefined;
  readonly setBy: 'program' | 'environment';
  /** Whether the variable is set to what is no endpoint, and so is ignored. */
  readonly isVariableIgnored: boolean;
}

/** Who asks, and where. */
export type Asked = Pick<CommandContext, 'program' | 'env' | 'platform'>;

const WARNING = /^\[telemetry\] (\w+): (.*)$/s;
const NOTHING: Rule = { name: 'default', value: 'enabled', optsOut: false, source: { kind: 'default' } };

/** Asks the same functions as a client does. */
export function inquire({ program, env, platform }: Asked): Inquiry {
  const warned = new Map<string, string>();
  const log = listeningLog((code, text) => warned.set(text, code));
  const { product, consent, enabled } = program;
  const question = { product: product.name, env, ...(consent && { consent }) };
  const machine = { readFile: readConfigFile, platform, log };
  const settings = resolveSettingsWith({ ...question, ...(enabled === false && { enabled }) }, machine);
  const answer = explainSettings(settings);
  const [decidedBy = NOTHING, ...others] = answer.rules;
  const known = others.some(isHiding) || isHiding(decidedBy) ? withFiles(others, question, settings.rules, machine) : others;
  const configFile = configFilePath(product.name, env, platform);
  const policyFiles = policyFilePaths(product.name, env, platform);
  const endpoint = endpointOf(program.endpoint, product.name, env, log);
  const codes = [...warned.values()];
  return {
    enabled: answer.enabled,
    decidedBy,
    others: known,
    endpoint,
    debug: debugMode(product.name, env),
    configFile,
    policyFiles,
    problems: [...warned.keys()],
    hasUnusableFile: codes.includes('config_unreadable'),
  };
}

/** An opt-out behind which a client opens no file. */
function isHiding({ optsOut, source }: Rule): boolean {
  return optsOut && source.kind !== 'file' && source.kind !== 'default';
}

/**
 * Somebody who asks wants to know all that stands in the way, and not to meet it step by step: what the files say is asked as though
 * the environment and the program were silent. airflow.cfg, which holds secrets, stays shut all the same.
 */
function withFiles(
  others: readonly Rule[],
  question: { product: string; env: NodeJS.ProcessEnv; consent?: 'opt-out' | 'opt-in' },
  found: readonly Rule[],
  machine: SettingsMachine,
): readonly Rule[] {
  const env = { ...question.env };
  for (const { source, optsOut, name } of found) if (source.kind === 'env' && optsOut) delete env[name];
  const open = new Set(policyFilePaths(question.product, env, machine.platform));
  const own = configFilePath(question.product, env, machine.platform);
  const readFile = (path: string): string => {
    if (path !== own && !open.has(path)) throw Object.assign(new Error('stays shut'), { code: 'ENOENT' });
    return machine.readFile(path);
  };
  const { rules } = resolveSettingsWith({ ...question, env }, { ...machine, readFile });
  const later = rules.filter(({ name, source }) => source.kind === 'file' || name === 'consent');
  return [...others.filter(({ name, source }) => source.kind !== 'file' && name !== 'consent'), ...later];
}

function endpointOf(given: string | undefined, product: string, env: NodeJS.ProcessEnv, log: Log): Endpoint {
  if (given === undefined) return { url: undefined, setBy: 'program', isVariableIgnored: false };
  let isVariableIgnored = false;
  const chosen = operatorEndpoint(
    product,
    env,
    listeningLog((code, text) => {
      isVariableIgnored = true;
      log.warn(code, text);
    }),
  );
  return chosen === undefined
    ? { url: given, setBy: 'program', isVariableIgnored }
    : { url: chosen, setBy: 'environment', isVariableIgnored };
}

/** A log that is heard in full: the clock leaps, so that no line comes too soon after one like it. */
function listeningLog(hear: (code: string, text: string) => void): Log {
  let nowMs = 0;
  const warn = (line: string): void => {
    const [, code = '', text = line] = WARNING.exec(line) ?? [];
    hear(code, text);
  };
  return new Log({ warn, debug: () => {} }, { ...systemClock, now: () => (nowMs += 3_600_000) });
}

/** A rule and where it stands, as half a sentence. */
export function ruleWords({ name, value, source }: Rule): string {
  switch (source.kind) {
    case 'env':
      return `${name}=${value} in the environment`;
    case 'file':
      return `${fileWords(name, value)}, ${placeName(source.path ?? '', source.line)}`;
    case 'option':
      return `${name}: ${value}, in the program`;
    case 'default':
      return 'the default: on, where nobody says no';
    default:
      return name;
  }
}

/** What a rule says, in a word. */
export function verdict({ optsOut, name }: Rule): 'no' | 'yes' | 'nothing' {
  if (optsOut) return 'no';
  // The variables that exist to opt out cannot say yes, nor can a program.
  return TRACKING_VARIABLES.some((other) => other === name) || name === 'consent' ? 'nothing' : 'yes';
}

/** What would have to change to switch it the other way, a sentence each: all of them to switch it on, any of them to switch it off. */
export function toChange({ enabled, decidedBy, others }: Inquiry, { product, command }: Program): string[] {
  if (!enabled)
    return [...new Set([decidedBy, ...others].filter((rule) => rule.optsOut).map((rule) => remedy(rule, product.name, command)))];
  const own = `${product.name.toUpperCase()}_TELEMETRY`;
  return [`run \`${command} disable\``, `or set ${own}=0 in the environment`, 'or set DO_NOT_TRACK=1, for everything that honours it'];
}

function fileWords(name: string, value: string): string {
  const isUnusable = (name === CONFIG_FILE || name === POLICY_FILE) && value !== 'true' && value !== 'false';
  return isUnusable ? `${name} cannot be used (${value})` : `${name} = ${value}`;
}

function remedy({ name, value, source }: Rule, product: string, command: string): string {
  const place = placeName(source.path ?? '', source.line);
  if (source.kind === 'option') {
    if (name === 'consent')
      return `run \`${command} enable\`, or set ${product.toUpperCase()}_TELEMETRY=1: the program waits for a yes of yours`;
    return 'nothing you can do: the program itself switches it off';
  }
  if (source.kind === 'env') {
    if (value === 'cannot be read') return `mend the environment: ${name} cannot be read`;
    return `unset ${name}, or set it to ${optOutTable(product).find((row) => row.name === name)?.harmlessValue}`;
  }
  if (name === POLICY_FILE) return `ask whoever runs this machine: ${place} decides for everybody on it`;
  if (name !== CONFIG_FILE) return `set enable_telemetry = True in ${place}`;
  return value === 'false' ? `run \`${command} enable\`` : `mend or remove ${place}`;
}

const LABEL_WIDTH = 16;

/** The first line: what is the case. */
export function heading({ enabled }: Inquiry, { program, paint }: CommandContext, state: string): string {
  return `Telemetry of ${program.product.name} ${(enabled ? paint.good : paint.bad)(paint.strong(state))}.`;
}

/** The rules, the endpoint, and what would have to change. */
export function inquiryLines(inquiry: Inquiry, context: CommandContext): string[] {
  const { decidedBy, others, enabled } = inquiry;
  const ways = toChange(inquiry, context.program);
  return [
    labelled('decided by', ruleWords(decidedBy)),
    ...others.map((rule, index) => labelled(index === 0 ? 'others say' : '', `${verdict(rule).padEnd(7)} ${ruleWords(rule)}`)),
    ...ways.map((way, index) => labelled(index === 0 ? (enabled ? 'to stop it' : 'to turn it on') : '', way)),
    labelled('endpoint', endpointWords(inquiry, context)),
  ];
}

/** Debug mode, where somebody asks for it. */
export function debugWords({ debug }: Inquiry): string[] {
  if (debug === undefined) return [];
  const where = debug.path === undefined ? 'to standard error' : `to the end of ${shorten(debug.path)}`;
  return [labelled('debug mode', `${debug.variable} has requests written ${where}, and nothing is sent`)];
}

/** The files that are looked at. */
export function places({ configFile, policyFiles }: Inquiry): string[] {
  return [
    labelled('config file', configFile === undefined ? 'none: the environment names no home' : withPresence(configFile)),
    ...policyFiles.map((path, index) => labelled(index === 0 ? 'policy file' : '', withPresence(path))),
  ];
}

/** The stable shape of `--json`, as the README documents it. */
export function inquiryJson(inquiry: Inquiry, { program }: CommandContext) {
  const { enabled, decidedBy, others, endpoint, debug, configFile, policyFiles, problems } = inquiry;
  return {
    product: program.product.name,
    version: program.product.version ?? null,
    enabled,
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

/** A line with its label in a column of its own. */
export function labelled(label: string, text: string): string {
  return `  ${label.padEnd(LABEL_WIDTH)}${text}`;
}

function endpointWords({ endpoint }: Inquiry, { program }: CommandContext): string {
  const { url, setBy, isVariableIgnored } = endpoint;
  const variable = `${program.product.name.toUpperCase()}_TELEMETRY_ENDPOINT`;
  if (url === undefined) return 'not known here: the program delivers in a way of its own';
  if (setBy === 'environment') return `${url}, set by ${variable} (the program says ${program.endpoint})`;
  return isVariableIgnored ? `${url}, set by the program (${variable} is no usable URL and is ignored)` : `${url}, set by the program`;
}

function withPresence(path: string): string {
  return existsSync(path) ? path : `${path} (not there)`;
}
