/*
 * The environment of the host: which variables opt out (one table, for the start and for later), and the guarded readers that every
 * read of a variable in this room goes through.
 */
import { COSMOS } from '../base/constants.js';
import { isPolluted } from '../base/foreign-values.js';
import type { Log } from '../base/log.js';
import type { Environment } from '../base/platform-types.js';
import { parseEndpoint } from '../wire/url.js';

/** Airflow's variable for `[cosmos] enable_telemetry`. It takes precedence over airflow.cfg. */
export const AIRFLOW_VARIABLE = 'AIRFLOW__COSMOS__ENABLE_TELEMETRY';

/** The variables that opt out of every product (consoledonottrack.com, and Scarf's own). They cannot say yes. */
export const TRACKING_VARIABLES = ['DO_NOT_TRACK', 'SCARF_NO_ANALYTICS'] as const;

/** Name of the product's own switch, for example `ACME_TELEMETRY`. */
export function switchVariable(product: string): string {
  return `${product.toUpperCase()}_TELEMETRY`;
}

/** A variable that can opt out. */
export interface OptOutVariable {
  readonly name: string;
  /** Whether this value opts out. */
  readonly optsOut: (value: string, env: Environment) => boolean;
}

/** Every variable that can opt out of a product, in order of precedence. */
export function optOutVariables(product: string): readonly OptOutVariable[] {
  return [
    ...TRACKING_VARIABLES.map((name) => ({ name, optsOut: trackingOptsOut })),
    { name: switchVariable(product), optsOut: switchOptsOut },
    ...(product === COSMOS ? [{ name: AIRFLOW_VARIABLE, optsOut: airflowOptsOut }] : []),
  ];
}

/**
 * Whether one of these variables opts out now. It is cheap, since it runs before every attempt, and never throws: an environment
 * that cannot be read opts out.
 */
export function environmentOptsOut(env: Environment, variables: readonly OptOutVariable[]): boolean {
  try {
    return variables.some(({ name, optsOut }) => {
      const value = readVariable(env, name);
      return value !== undefined && optsOut(value, env);
    });
  } catch {
    return true;
  }
}

/** The words of Cosmos' `convert_to_boolean` that mean no. */
const NOT_OPTED_OUT = new Set(['', 'f', 'false', '0', 'none']);

function trackingOptsOut(value: string): boolean {
  return !NOT_OPTED_OUT.has(strip(value).toLowerCase());
}

const YES = new Set(['1', 'true', 'on', 'yes', 'enabled']);

/** The product's own switch opts out if it is set to anything but a yes, including nothing. */
function switchOptsOut(value: string): boolean {
  return !YES.has(strip(value).toLowerCase());
}

function airflowOptsOut(value: string, env: Environment): boolean {
  return airflowValue(value, env) !== true;
}

/**
 * The value of a variable, for an opt-out; undefined if it is not set. Inherited values count: a host may pass
 * `Object.create(process.env)` or a proxy, and even an opt-out on a polluted `Object.prototype` is an opt-out.
 *
 * @throws what the environment throws, and a TypeError for an environment that is no object or a value that is no text. Callers
 * treat both as an opt-out.
 */
export function readVariable(env: Environment, name: string): string | undefined {
  if (env === null || typeof env !== 'object') throw new TypeError('The environment is not an object.');
  const value: unknown = env[name];
  if (typeof value === 'string') return value;
  if (value === undefined || value === null) return undefined;
  if (typeof value === 'number' || typeof value === 'boolean') return String(value);
  throw new TypeError('The value of a variable is not text.');
}

/**
 * The value of a variable that chooses something, such as a file or an endpoint; undefined if it is not set or comes from a polluted
 * `Object.prototype`.
 *
 * @throws as `readVariable` does.
 */
export function trustedVariable(env: Environment, name: string): string | undefined {
  return isPolluted(env, name) ? undefined : readVariable(env, name);
}

/** The same, but values that are no text are ignored. */
export function trustedText(env: Environment, name: string): string | undefined {
  const value: unknown = env[name];
  return typeof value === 'string' && !isPolluted(env, name) ? value : undefined;
}

/**
 * The environment as code sees it that is not part of this room: values that are no text and those of a polluted `Object.prototype` are not
 * there.
 */
export function trustedEnvironment(env: Environment): Environment {
  return new Proxy<Environment>({}, { get: (_target, name) => (typeof name === 'string' ? trustedText(env, name) : undefined) });
}

/** A value of Airflow's variable or of its option in airflow.cfg, as Airflow reads it; undefined if it is no boolean. */
export function airflowValue(value: string, env: Environment): boolean | undefined {
  const expanded = value.includes('$') || value.startsWith('~') ? expandVariables(value, env) : value;
  return expanded === undefined ? undefined : airflowBoolean(expanded);
}

/** Airflow's `getboolean`: the text before `#`, in any case. Undefined if it is no boolean; Airflow raises an error then. */
export function airflowBoolean(value: string): boolean | undefined {
  const { 0: beforeComment = '' } = value.split('#', 1);
  switch (strip(beforeComment).toLowerCase()) {
    case 't':
    case 'true':
    case '1':
      return true;
    case 'f':
    case 'false':
    case '0':
      return false;
    default:
      return undefined;
  }
}

/** Airflow expands until nothing changes, which never ends for `A=x$A`. These bounds end it. */
const MAX_EXPANSIONS = 32;
const MAX_EXPANDED_LENGTH = 4096;

/**
 * Airflow's `expand_env_var`: expands `$NAME`, `${NAME}` and a leading `~` until nothing changes. Unknown variables and the homes of
 * other users (`~name`) stay as they are.
 *
 * @returns undefined if the text exceeds the bounds.
 */
export function expandVariables(text: string, env: Environment): string | undefined {
  let current = text;
  for (let round = 0; round < MAX_EXPANSIONS && current.length <= MAX_EXPANDED_LENGTH; round += 1) {
    const next = expandHome(expandOnce(current, env), env);
    if (next === current) return current;
    current = next;
  }
  return undefined;
}

function expandOnce(text: string, env: Environment): string {
  let room = MAX_EXPANDED_LENGTH;
  return text.replace(/\$(?:\{([^}]*)\}|(\w+))/g, (found, braced: string | undefined, bare: string | undefined) => {
    const value = room < 0 ? undefined : trustedText(env, braced ?? bare ?? '');
    // Without room the text is already too long to be used. More of it would only cost memory.
    room -= value?.length ?? 0;
    return value ?? found;
  });
}

function expandHome(text: string, env: Environment): string {
  if (text !== '~' && !text.startsWith('~/')) return text;
  const home = trustedText(env, 'HOME') ?? trustedText(env, 'USERPROFILE');
  if (home === undefined) return text;
  let end = home.length;
  while (home.endsWith('/', end)) end -= 1;
  return home.slice(0, end) + text.slice(1) || '/';
}

/** Python's `str.strip()`. It returns the same string if there is nothing to strip, so it allocates nothing. */
export function strip(text: string): string {
  let start = 0;
  let end = text.length;
  while (start < end && isSpace(text.charCodeAt(start))) start += 1;
  while (end > start && isSpace(text.charCodeAt(end - 1))) end -= 1;
  return text.slice(start, end);
}

/** Whether `code` is white space in Python, which differs from JavaScript in U+FEFF, U+0085 and U+001C to U+001F. */
export function isSpace(code: number): boolean {
  if (code < 0x80) return code === 0x20 || (code >= 0x09 && code <= 0x0d) || (code >= 0x1c && code <= 0x1f);
  return (
    code === 0x85 ||
    code === 0xa0 ||
    code === 0x1680 ||
    (code >= 0x2000 && code <= 0x200a) ||
    code === 0x2028 ||
    code === 0x2029 ||
    code === 0x202f ||
    code === 0x205f ||
    code === 0x3000
  );
}

/** Where requests are printed instead of sent: to a file, or to standard error without a path. */
export interface DebugMode {
  /** The variable that sets it. */
  readonly variable: string;
  readonly path?: string;
}

const DEBUG_OFF = new Set(['', '0', 'false', 'no', 'off']);
const DEBUG_ON = new Set(['1', 'true', 'yes', 'on']);

/** The variable that turns debug mode on: `ACME_TELEMETRY_DEBUG`. */
export function debugVariable(product: string): string {
  return `${switchVariable(product)}_DEBUG`;
}

/**
 * Reads `<NAME>_TELEMETRY_DEBUG`: `1 true yes on` print to standard error, `0 false no off` and an empty value turn debug mode off,
 * and anything else is the path of a file to append to. Case does not matter.
 *
 * An environment that cannot be read turns it on, since the person may want nothing to be sent. Never throws.
 *
 * @returns undefined if debug mode is off.
 */
export function debugMode(product: string, env: Environment): DebugMode | undefined {
  const variable = debugVariable(product);
  try {
    const value = trustedVariable(env, variable);
    if (value === undefined) return undefined;
    const word = strip(value).toLowerCase();
    if (DEBUG_OFF.has(word)) return undefined;
    return DEBUG_ON.has(word) ? { variable } : { variable, path: value };
  } catch {
    return { variable };
  }
}

/**
 * Reads `<NAME>_TELEMETRY_ENDPOINT`, the endpoint that the operator of the machine chose. It replaces the endpoint of the program.
 * A value that is no endpoint is ignored with a warning, since a mistake in the environment must not stop a host.
 */
export function operatorEndpoint(product: string, env: Environment, log: Log): string | undefined {
  const name = `${switchVariable(product)}_ENDPOINT`;
  try {
    const value = trustedVariable(env, name);
    return value === undefined || value === '' ? undefined : parseEndpoint(value, name);
  } catch {
    log.warn('endpoint_invalid', `${name} is not an http or https URL without credentials, query or fragment; it is ignored`);
    return undefined;
  }
}
