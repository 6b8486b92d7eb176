import { Log } from '../log.js';
import { operatorEndpoint } from '../operator-endpoint.js';
import { explainSettings, resolveSettingsWith } from '../settings.js';
import type { Rule, SettingsMachine } from '../settings.js';
import { readConfigFile } from '../settings/config-file.js';
import { debugMode } from '../settings/debug-mode.js';
import type { DebugMode } from '../settings/debug-mode.js';
import { configFilePath, policyFilePaths } from '../settings/telemetry-places.js';
import { systemClock } from '../timing.js';
import type { CommandContext } from './command.js';

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
  const chosen = operatorEndpoint(product, env, listeningLog((code, text) => {
    isVariableIgnored = true;
    log.warn(code, text);
  }));
  return chosen === undefined ? { url: given, setBy: 'program', isVariableIgnored } : { url: chosen, setBy: 'environment', isVariableIgnored };
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
