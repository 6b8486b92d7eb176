import { anObject, checkOptions, integer, MAX_TIMER_MS, milliseconds, withMethods } from '../../check-options.js';
import type { Check } from '../../check-options.js';
import { DEFAULTS } from '../../constants.js';
import type { Logger } from '../../log.js';
import { parseEndpoint } from '../../wire/request-url.js';
import { parseRedirectHost } from './redirects.js';

/** Options of `fetchTransport`. */
export interface FetchTransportOptions {
  /** Base that `/v3/{type}?{query}` is appended to: http or https, without credentials, query or fragment. */
  endpoint: string | URL;
  /** The longest that look-up, proxy, TCP and TLS may take together, in milliseconds. @default 400 */
  connectTimeoutMs?: number | undefined;
  /** The longest a whole attempt may take, in milliseconds: look-up, connect, redirects, headers and body. @default 1000 */
  attemptTimeoutMs?: number | undefined;
  /** Host names that redirects may lead to beside the endpoint's own origin, on the default port. @default none */
  allowedRedirectHosts?: readonly string[] | undefined;
  /**
   * URL of an http or https proxy (no SOCKS, PAC or NTLM), or `false` for none. Loopback is never proxied.
   * @default what `HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY` and `NO_PROXY` say, in lower case first
   */
  proxy?: string | false | undefined;
  /** The most connections to one host at a time. @default 24, what a drain uses */
  maxSockets?: number | undefined;
  /** Where the proxy variables are read, and the system's folder on Windows. @default process.env */
  env?: NodeJS.ProcessEnv | undefined;
  /** Told once of a proxy setting that cannot be used. @default nobody */
  logger?: Logger | undefined;
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

/** What the transport and the composition root take for hosts that redirects may lead to. */
export const A_LIST_OF_HOSTS: Check = [
  'a list of host names without scheme, port or wildcard',
  (value) => Array.isArray(value) && value.every((host) => typeof host === 'string' && parseRedirectHost(host) !== undefined),
];

/** What the transport and the composition root take for a proxy. A URL that is none is the environment's kind of mistake: it warns. */
export const A_PROXY: Check = ['a URL or false', (value) => typeof value === 'string' || value === false];

const LIMIT = milliseconds(1, MAX_TIMER_MS);

/**
 * Checks the options of `fetchTransport`.
 *
 * @throws TypeError naming the option and its value, credentials redacted
 */
export function checkTransportOptions(options: FetchTransportOptions): FetchTransportSettings {
  checkOptions<FetchTransportOptions>('options of fetchTransport', options, {
    endpoint: ['a URL', (value) => typeof value === 'string' || value instanceof URL],
    connectTimeoutMs: LIMIT,
    attemptTimeoutMs: LIMIT,
    allowedRedirectHosts: A_LIST_OF_HOSTS,
    proxy: A_PROXY,
    maxSockets: integer(1, 1_000_000),
    env: anObject,
    logger: withMethods('debug', 'warn'),
  });
  const { connectTimeoutMs = DEFAULTS.connectTimeoutMs, attemptTimeoutMs = DEFAULTS.attemptTimeoutMs } = options;
  const { allowedRedirectHosts = [], maxSockets = DEFAULTS.drainConcurrency, env = process.env, proxy, logger } = options;
  return {
    endpoint: parseEndpoint(options.endpoint, '`endpoint`'),
    connectTimeoutMs,
    attemptTimeoutMs,
    allowedRedirectHosts: new Set(allowedRedirectHosts.map((host) => parseRedirectHost(host) ?? host)),
    proxy,
    maxSockets,
    env,
    logger,
  };
}
