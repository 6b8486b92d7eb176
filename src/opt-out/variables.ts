import type { Log } from '../base/log.js';
import { parseEndpoint } from '../wire/url.js';

/**
 * The endpoint that the operator of the machine chose in `<NAME>_TELEMETRY_ENDPOINT`: it goes before any that a program
 * chose. One that is no endpoint is ignored with a warning, since a mistake in an environment must not stop a host.
 */
export function operatorEndpoint(product: string, env: NodeJS.ProcessEnv, log: Log): string | undefined {
  const name = `${product.toUpperCase()}_TELEMETRY_ENDPOINT`;
  try {
    const value = env[name];
    return value === undefined || value === '' ? undefined : parseEndpoint(value, name);
  } catch {
    log.warn('endpoint_invalid', `${name} is not an http or https URL without credentials, query or fragment; it is ignored`);
    return undefined;
  }
}

/** The product whose opt-out also lives in Airflow's configuration: the one that speaks Cosmos' wire. */
export const COSMOS = 'cosmos';

/** Airflow's own variable for `[cosmos] enable_telemetry`; it stands before the file. */
export const AIRFLOW_VARIABLE = 'AIRFLOW__COSMOS__ENABLE_TELEMETRY';

/** The variables that opt out of every product (consoledonottrack.com, and Scarf's own). They can never say yes. */
export const TRACKING_VARIABLES = ['DO_NOT_TRACK', 'SCARF_NO_ANALYTICS'] as const;

const NOT_OPTED_OUT = new Set(['', 'f', 'false', '0', 'none']);
const YES = new Set(['1', 'true', 'on', 'yes', 'enabled']);

/** Airflow expands until nothing changes, which never ends for `A=x$A`: these bounds end it. */
const MAX_EXPANSIONS = 32;
const MAX_EXPANDED_LENGTH = 4096;

/** Name of the product's own switch, for example `ACME_TELEMETRY`. */
export function switchVariable(product: string): string {
  return `${product.toUpperCase()}_TELEMETRY`;
}

/** Whether `code` is white space to Python, which differs from JavaScript in U+FEFF, U+0085 and U+001C to U+001F. */
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

/** Python's `str.strip()`. The same string comes back where there is nothing to strip, so that nothing is allocated. */
export function strip(text: string): string {
  let start = 0;
  let end = text.length;
  while (start < end && isSpace(text.charCodeAt(start))) start += 1;
  while (end > start && isSpace(text.charCodeAt(end - 1))) end -= 1;
  return text.slice(start, end);
}

/**
 * Value of an environment variable; undefined when it is not set. Inherited values count, since a host may hand in
 * `Object.create(process.env)` or a proxy, and an opt-out must be seen wherever it stands.
 *
 * @throws whatever the environment throws, and a TypeError for what is no environment or no text: all of it opts out.
 */
export function readVariable(env: NodeJS.ProcessEnv, name: string): string | undefined {
  if (env === null || typeof env !== 'object') throw new TypeError('env is no object');
  const value: unknown = env[name];
  if (typeof value === 'string') return value;
  if (value === undefined || value === null) return undefined;
  if (typeof value === 'number' || typeof value === 'boolean') return String(value);
  throw new TypeError('a variable is no text');
}

/**
 * Whether what `holder` says under this name comes from a polluted `Object.prototype`. Such a value may opt out like any
 * other, but it is nobody's yes.
 */
export function isPolluted(holder: object, name: string): boolean {
  if (!Object.hasOwn(Object.prototype, name) || Object.hasOwn(holder, name)) return false;
  return Reflect.get(holder, name) === Reflect.get(Object.prototype, name);
}

/** Whether a value of `DO_NOT_TRACK` or `SCARF_NO_ANALYTICS` opts out. The words are those of Cosmos' `convert_to_boolean`. */
export function trackingOptsOut(value: string | undefined): boolean {
  return value !== undefined && !NOT_OPTED_OUT.has(strip(value).toLowerCase());
}

/** Whether a value of the product's own switch opts out: set to anything but a yes, also to nothing. */
export function switchOptsOut(value: string | undefined): boolean {
  return value !== undefined && !YES.has(strip(value).toLowerCase());
}

/** Airflow's `getboolean`: what stands before `#`, in any case; undefined when it is no boolean, where Airflow raises. */
export function airflowBoolean(value: string): boolean | undefined {
  const [beforeComment = ''] = value.split('#', 1);
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

/**
 * Airflow's `expand_env_var`: `$NAME`, `${NAME}` and a leading `~`, again and again until nothing changes. Unknown
 * variables and other people's homes (`~name`) stay as they stand.
 *
 * @returns undefined when it grows without end.
 */
export function expandVariables(text: string, env: NodeJS.ProcessEnv): string | undefined {
  let current = text;
  for (let round = 0; round < MAX_EXPANSIONS && current.length <= MAX_EXPANDED_LENGTH; round += 1) {
    const next = expandHome(expandOnce(current, env), env);
    if (next === current) return current;
    current = next;
  }
  return undefined;
}

/** What Airflow makes of a value from its variable or its file; undefined when that is no boolean. */
export function airflowValue(value: string, env: NodeJS.ProcessEnv): boolean | undefined {
  const expanded = value.includes('$') || value.startsWith('~') ? expandVariables(value, env) : value;
  return expanded === undefined ? undefined : airflowBoolean(expanded);
}

/**
 * Whether the environment alone opts out, as of now. Cheap enough to be asked again before every attempt: it reads at most
 * four variables. It never throws: an environment that cannot be read opts out.
 *
 * @param ownSwitch `switchVariable(product)`, for a caller that asks often and keeps it.
 */
export function environmentOptsOut(product: string, env: NodeJS.ProcessEnv, ownSwitch?: string): boolean {
  try {
    if (trackingOptsOut(readVariable(env, TRACKING_VARIABLES[0]))) return true;
    if (trackingOptsOut(readVariable(env, TRACKING_VARIABLES[1]))) return true;
    if (switchOptsOut(readVariable(env, ownSwitch ?? switchVariable(product)))) return true;
    if (product !== COSMOS) return false;
    const value = readVariable(env, AIRFLOW_VARIABLE);
    return value !== undefined && airflowValue(value, env) !== true;
  } catch {
    return true;
  }
}

function expandOnce(text: string, env: NodeJS.ProcessEnv): string {
  let room = MAX_EXPANDED_LENGTH;
  return text.replace(/\$(?:\{([^}]*)\}|(\w+))/g, (found, braced: string | undefined, bare: string | undefined) => {
    const value = room < 0 ? undefined : honestVariable(env, braced ?? bare ?? '');
    // Once there is no room, the text is already too long to be used: growing it further would only cost memory.
    room -= value?.length ?? 0;
    return value ?? found;
  });
}

function expandHome(text: string, env: NodeJS.ProcessEnv): string {
  if (text !== '~' && !text.startsWith('~/')) return text;
  const home = honestVariable(env, 'HOME') ?? honestVariable(env, 'USERPROFILE');
  if (home === undefined) return text;
  let end = home.length;
  while (home.endsWith('/', end)) end -= 1;
  return home.slice(0, end) + text.slice(1) || '/';
}

/** A variable to build on: a text, and not from a polluted `Object.prototype`, which could lead away from a file that opts out. */
export function honestVariable(env: NodeJS.ProcessEnv, name: string): string | undefined {
  const value: unknown = env[name];
  return typeof value === 'string' && !isPolluted(env, name) ? value : undefined;
}

/** Where requests are printed instead of being sent: to a file, or to standard error where there is no path. */
export interface DebugMode {
  /** The variable that asks for it. */
  readonly variable: string;
  readonly path?: string;
}

const OFF = new Set(['', '0', 'false', 'no', 'off']);
const ON = new Set(['1', 'true', 'yes', 'on']);

/** Name of the variable, for example `ACME_TELEMETRY_DEBUG`. */
export function debugVariable(product: string): string {
  return `${product.toUpperCase()}_TELEMETRY_DEBUG`;
}

/**
 * What `<NAME>_TELEMETRY_DEBUG` asks for: `1 true yes on` print to standard error, `0 false no off` and nothing are no debug mode, and
 * anything else is the path of a file to append to. Upper and lower case are the same. Undefined where there is no debug mode.
 *
 * An environment that cannot be read prints to standard error: somebody may want nothing to be sent. Never throws.
 */
export function debugMode(product: string, env: NodeJS.ProcessEnv): DebugMode | undefined {
  const variable = debugVariable(product);
  try {
    // A polluted Object.prototype must not choose a file to write to.
    const value = isPolluted(env, variable) ? undefined : readVariable(env, variable);
    if (value === undefined) return undefined;
    const word = strip(value).toLowerCase();
    if (OFF.has(word)) return undefined;
    return ON.has(word) ? { variable } : { variable, path: value };
  } catch {
    return { variable };
  }
}
