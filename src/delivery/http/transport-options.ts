import { DEFAULTS } from '../../constants.js';
import type { Logger } from '../../log.js';
import { parseEndpoint, showValue } from '../../wire/request-url.js';
import { parseRedirectHost } from './redirects.js';

/** Options of `fetchTransport`. */
export interface FetchTransportOptions {
  /** Base that `/v3/{type}?{query}` is appended to: http or https, without credentials, query or fragment. */
  endpoint: string | URL;
  /** The longest that look-up, proxy, TCP and TLS may take together, in milliseconds. @default 400 */
  connectTimeoutMs?: number;
  /** The longest a whole attempt may take, in milliseconds: look-up, connect, redirects, headers and body. @default 1000 */
  attemptTimeoutMs?: number;
  /** Host names that redirects may lead to beside the endpoint's own origin, on the default port. @default none */
  allowedRedirectHosts?: readonly string[];
  /** URL of an http or https proxy, or `false` for none. Loopback is never proxied. @default what the environment says */
  proxy?: string | false;
  /** The most connections to one host at a time. @default 24, what a drain uses */
  maxSockets?: number;
  /** Where the proxy variables are read, and the system's folder on Windows. @default process.env */
  env?: NodeJS.ProcessEnv;
  /** Told once of a proxy setting that cannot be used. @default nobody */
  logger?: Logger;
}

/** Checked options, with their defaults. */
export interface FetchTransportSettings {
  readonly endpoint: string;
  readonly connectTimeoutMs: number;
  readonly attemptTimeoutMs: number;
  readonly allowedRedirectHosts: ReadonlySet<string>;
  readonly proxy: string | false | undefined;
  readonly maxSockets: number;
  readonly env: NodeJS.ProcessEnv;
  readonly logger: Logger | undefined;
}

/** The longest timer Node has; a longer one would fire at once. */
const MAX_TIMER_MS = 2_147_483_647;

const KEYS: ReadonlySet<string> = new Set<keyof FetchTransportOptions>([
  'endpoint', 'connectTimeoutMs', 'attemptTimeoutMs', 'allowedRedirectHosts', 'proxy', 'maxSockets', 'env', 'logger',
]);

function wrong(name: string, expected: string, value: unknown): TypeError {
  return new TypeError(`${name} must be ${expected}, not ${showValue(value)}`);
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null;
}

function whole(name: string, value: unknown, fallback: number): number {
  if (value === undefined) return fallback;
  if (typeof value === 'number' && Number.isInteger(value) && value >= 1 && value <= MAX_TIMER_MS) return value;
  throw wrong(name, `a whole number from 1 to ${MAX_TIMER_MS}`, value);
}

function redirectHosts(value: unknown): ReadonlySet<string> {
  if (value === undefined) return new Set();
  if (!Array.isArray(value)) throw wrong('allowedRedirectHosts', 'an array of host names', value);
  return new Set(value.map((host: unknown) => {
    const parsed = typeof host === 'string' ? parseRedirectHost(host) : undefined;
    if (parsed === undefined) throw wrong('allowedRedirectHosts', 'an array of host names without scheme, port or wildcard', host);
    return parsed;
  }));
}

function isLogger(value: Record<string, unknown>): boolean {
  return typeof value['debug'] === 'function' && typeof value['warn'] === 'function';
}

/**
 * Checks the options of `fetchTransport`.
 *
 * @throws TypeError naming the option and its value, credentials redacted
 */
export function checkTransportOptions(options: FetchTransportOptions): FetchTransportSettings {
  const given: unknown = options;
  if (!isObject(given)) throw wrong('options', 'an object', given);
  for (const key of Object.keys(given)) {
    if (!KEYS.has(key)) throw new TypeError(`unknown option ${JSON.stringify(key)}: ${showValue(given[key])}`);
  }
  const { proxy, env = process.env, logger } = given;
  if (proxy !== undefined && proxy !== false && typeof proxy !== 'string') throw wrong('proxy', 'a URL or false', proxy);
  if (!isObject(env)) throw wrong('env', 'an object of strings', env);
  if (logger !== undefined && !(isObject(logger) && isLogger(logger))) throw wrong('logger', 'an object with debug and warn', logger);
  return {
    endpoint: parseEndpoint(given['endpoint'], 'endpoint'),
    connectTimeoutMs: whole('connectTimeoutMs', given['connectTimeoutMs'], DEFAULTS.connectTimeoutMs),
    attemptTimeoutMs: whole('attemptTimeoutMs', given['attemptTimeoutMs'], DEFAULTS.attemptTimeoutMs),
    allowedRedirectHosts: redirectHosts(given['allowedRedirectHosts']),
    proxy,
    maxSockets: whole('maxSockets', given['maxSockets'], DEFAULTS.drainConcurrency),
    env: env as NodeJS.ProcessEnv,
    logger: logger as Logger | undefined,
  };
}
