import { networkInterfaces } from 'node:os';
import { anObject, anyOf, checkOptions, integer, milliseconds, withMethods } from '../base/check-options.js';
import type { Check, Checks } from '../base/check-options.js';
import { COSMOS_ENDPOINT } from '../base/constants.js';
import { describe } from '../base/describe.js';
import { A_LIST_OF_HOSTS, A_PROXY } from '../delivery/http/fetch-transport.js';
import { bareHost, isLoopback } from '../wire/host.js';
import { parseEndpoint } from '../wire/url.js';
import type { RelayLogger } from './log.js';

/** Where a server listens. */
export interface ListenAddress {
  /** A name or an IP address, without brackets. */
  readonly host: string;
  /** 0 for a free one. */
  readonly port: number;
}

const ADDRESS = /^(?:\[([\da-f:.]+)\]|([\da-z._-]+)):(\d{1,5})$/i;
const MAX_PORT = 65_535;

/** These listen on every interface there is. */
const WILDCARDS: ReadonlySet<string> = new Set(['0.0.0.0', '::']);

/** @returns Undefined for what is no `host:port`. An IPv6 address stands in brackets: `[::1]:8787`. */
export function parseListenAddress(text: string): ListenAddress | undefined {
  const [, address, name, digits] = ADDRESS.exec(text) ?? [];
  const host = bareHost(address ?? name ?? '');
  const port = Number(digits);
  return host === '' || !(port <= MAX_PORT) ? undefined : { host, port };
}

/** What an option takes for a place to listen at. */
export const A_LISTEN_ADDRESS: Check = [
  'host:port, as in "127.0.0.1:8787" or "[::1]:0"',
  (value) => typeof value === 'string' && parseListenAddress(value) !== undefined,
];

/** Whether other machines could reach it. */
export function isRemote({ host }: ListenAddress): boolean {
  return !isLoopback(host);
}

/** Whether it stands for every interface of the machine. */
export function isWildcard({ host }: ListenAddress): boolean {
  return WILDCARDS.has(host);
}

/** A host and a port as they stand in a URL. */
export function authority({ host, port }: ListenAddress): string {
  return `${host.includes(':') ? `[${host}]` : host}:${port}`;
}

/**
 * Whether a URL leads to a server that listens there, as far as can be told without asking a name server. Whoever forwards to itself
 * forwards for ever.
 *
 * @param ownAddresses The addresses of this machine.
 */
export function leadsTo(url: string, listening: ListenAddress, ownAddresses: readonly string[] = machineAddresses()): boolean {
  const { protocol, port, hostname } = new URL(url);
  if (Number(port === '' ? (protocol === 'https:' ? 443 : 80) : port) !== listening.port) return false;
  const host = bareHost(hostname);
  if (host === listening.host) return true;
  if (isWildcard(listening)) return isLoopback(host) || WILDCARDS.has(host) || ownAddresses.includes(host);
  const isUsual = (each: string) => each === '127.0.0.1' || each === '::1' || WILDCARDS.has(each) || !/^[\d.:a-f]+$/.test(each);
  return isLoopback(listening.host) && isUsual(listening.host) && (isLoopback(host) || WILDCARDS.has(host)) && isUsual(host);
}

function machineAddresses(): string[] {
  return Object.values(networkInterfaces()).flatMap((each) => (each ?? []).map(({ address }) => address));
}

/** What `createRelay` takes. An unknown key throws. */
export interface RelayOptions {
  /** `host:port`; port 0 takes a free one. @default '127.0.0.1:8787' */
  listen?: string | undefined;
  /** Whether `listen` and `metricsListen` may be reached from other machines. @default false */
  allowRemote?: boolean | undefined;
  /** Names that a client may address it by, beside its own: `relay` with any port, `relay:8787` with that one. @default [] */
  allowedHosts?: readonly string[] | undefined;
  /** A secret path before every other, metrics and health on the same address included. @default none */
  prefix?: string | undefined;
  /** Another address for metrics and health, `host:port`, without the prefix. @default none: they are where events go */
  metricsListen?: string | undefined;
  /** The base that events go on to: http or https, without credentials, query or fragment. @default COSMOS_ENDPOINT */
  forward?: string | URL | undefined;
  /** Forward every query as it came, and every event type of the right shape. @default false: declared fields and events only */
  verbatim?: boolean | undefined;
  /** The directory that keeps events until they are delivered. @default none: they are in memory alone */
  spool?: string | undefined;
  /** The most that waiting events may take, in bytes. @default 67_108_864, 64 MiB */
  maxSpoolBytes?: number | undefined;
  /** How long an event may wait, in milliseconds. @default 86_400_000, a day */
  maxAgeMs?: number | undefined;
  /** How many events are taken in a second. @default 10_000 */
  maxEventsPerSecond?: number | undefined;
  /** How many connections there may be. @default 256 */
  maxConnections?: number | undefined;
  /** How long the head of a request may take, in milliseconds. @default 5000 */
  headersTimeoutMs?: number | undefined;
  /** How long a whole request may take, in milliseconds. @default 10_000 */
  requestTimeoutMs?: number | undefined;
  /** How long a connection may be idle, in milliseconds. @default 5000 */
  keepAliveTimeoutMs?: number | undefined;
  /** How many events are sent at a time. @default 6 */
  concurrency?: number | undefined;
  /** The same while it closes. @default 24 */
  drainConcurrency?: number | undefined;
  /** How long a connection to the endpoint may take to come about, in milliseconds. @default 2000 */
  connectTimeoutMs?: number | undefined;
  /** How long an attempt may take, in milliseconds. One that ends by it is not repeated. @default 4000 */
  attemptTimeoutMs?: number | undefined;
  /** The longest first wait after an attempt that failed, in milliseconds; it doubles with each. @default 1000 */
  backoffMs?: number | undefined;
  /** The longest wait of all, in milliseconds. @default 60_000 */
  maxBackoffMs?: number | undefined;
  /** Hosts other than the endpoint's own to which it may redirect. @default [] */
  allowedRedirectHosts?: readonly string[] | undefined;
  /** The URL of a proxy to the endpoint, or `false` for none. @default the environment's; never for loopback */
  proxy?: string | false | undefined;
  /** `false` is one more opt-out. */
  enabled?: false | undefined;
  /** Where opt-outs, proxies and debug mode are looked up. @default process.env */
  env?: NodeJS.ProcessEnv | undefined;
  /** @default silent */
  logger?: RelayLogger | undefined;
}

/** Every limit and time where an option is not given. */
export const RELAY_DEFAULTS = {
  maxSpoolBytes: 64 * 2 ** 20,
  maxAgeMs: 86_400_000,
  maxEventsPerSecond: 10_000,
  maxConnections: 256,
  headersTimeoutMs: 5000,
  requestTimeoutMs: 10_000,
  keepAliveTimeoutMs: 5000,
  concurrency: 6,
  drainConcurrency: 24,
  connectTimeoutMs: 2000,
  attemptTimeoutMs: 4000,
  backoffMs: 1000,
  maxBackoffMs: 60_000,
} as const;

/** Where a relay listens if nobody says otherwise. */
export const DEFAULT_LISTEN = '127.0.0.1:8787';

/** How long a relay that closes may go on delivering, in milliseconds. */
export const DEFAULT_DRAIN_DEADLINE_MS = 5000;

const HOUR_MS = 3_600_000;
const A_LIMIT = milliseconds(1, HOUR_MS);
const YES_OR_NO = anyOf(true, false);
const ALLOWED_HOST = /^(?:\[[\da-f:.]+\]|[\da-z._-]+)(?::\d{1,5})?$/i;
const PREFIX = /^(?!\.{1,2}$)[\w.~-]{1,128}$/;

const CHECKS: Checks<RelayOptions> = {
  listen: A_LISTEN_ADDRESS,
  allowRemote: YES_OR_NO,
  allowedHosts: [
    'a list of host names, each with or without a port',
    (value) => Array.isArray(value) && value.every((each) => typeof each === 'string' && ALLOWED_HOST.test(each)),
  ],
  prefix: ['1 to 128 letters, digits or any of _ . ~ -', (value) => typeof value === 'string' && PREFIX.test(value)],
  metricsListen: A_LISTEN_ADDRESS,
  forward: ['a URL', (value) => typeof value === 'string' || value instanceof URL],
  verbatim: YES_OR_NO,
  spool: ['the path of a directory', (value) => typeof value === 'string' && value !== '' && !value.includes('\0')] as Check,
  maxSpoolBytes: integer(65_536, 2 ** 40),
  maxAgeMs: milliseconds(1000, 365 * 24 * HOUR_MS),
  maxEventsPerSecond: integer(1, 1_000_000),
  maxConnections: integer(1, 65_536),
  headersTimeoutMs: A_LIMIT,
  requestTimeoutMs: A_LIMIT,
  keepAliveTimeoutMs: A_LIMIT,
  concurrency: integer(1, 256),
  drainConcurrency: integer(1, 256),
  connectTimeoutMs: A_LIMIT,
  attemptTimeoutMs: A_LIMIT,
  backoffMs: A_LIMIT,
  maxBackoffMs: A_LIMIT,
  allowedRedirectHosts: A_LIST_OF_HOSTS,
  proxy: A_PROXY,
  enabled: ['false or left out (it can only opt out)', (value) => value === false],
  env: anObject,
  logger: withMethods('debug', 'warn'),
};

/** Options, checked and complete. */
export interface RelaySettings extends Record<keyof typeof RELAY_DEFAULTS, number> {
  readonly listen: ListenAddress;
  readonly metricsListen: ListenAddress | undefined;
  readonly forward: string;
  readonly allowedHosts: readonly string[];
  readonly prefix: string | undefined;
  readonly isVerbatim: boolean;
  readonly spool: string | undefined;
  readonly env: NodeJS.ProcessEnv;
}

/** @throws TypeError naming option and value, credentials redacted and a prefix not shown. */
export function checkRelayOptions(options: RelayOptions): RelaySettings {
  if (options?.prefix !== undefined && !CHECKS.prefix[1](options.prefix))
    throw new TypeError(`Expected \`prefix\` to be ${CHECKS.prefix[0]}.`);
  checkOptions<RelayOptions>('options of createRelay', options, CHECKS);
  const { allowRemote = false, allowedHosts = [], prefix, spool, verbatim = false, env = process.env } = options;
  const listen = checkListenAddress('listen', options.listen ?? DEFAULT_LISTEN, allowRemote);
  const metricsListen =
    options.metricsListen === undefined ? undefined : checkListenAddress('metricsListen', options.metricsListen, allowRemote);
  const forward = parseEndpoint(options.forward ?? COSMOS_ENDPOINT, '`forward`');
  checkNoLoop(forward, listen);
  const limits = Object.fromEntries(
    Object.entries(RELAY_DEFAULTS).map(([name, value]) => [name, options[name as keyof typeof RELAY_DEFAULTS] ?? value]),
  ) as Record<keyof typeof RELAY_DEFAULTS, number>;
  return { ...limits, listen, metricsListen, forward, allowedHosts, prefix, isVerbatim: verbatim, spool, env };
}

/** @throws TypeError where the relay would forward to itself. */
export function checkNoLoop(forward: string, listening: ListenAddress): void {
  if (!leadsTo(forward, listening)) return;
  throw new TypeError(`Expected \`forward\` to be another server than the relay itself, got ${describe(forward)}, which it listens at.`);
}

function checkListenAddress(option: string, value: string, allowRemote: boolean): ListenAddress {
  const parsed = parseListenAddress(value);
  if (parsed !== undefined && (allowRemote || !isRemote(parsed))) return parsed;
  throw new TypeError(
    `Expected \`${option}\` to be on loopback, got ${describe(value)}: whoever reaches a relay can send in its name. ` +
      'Say `allowRemote` (`--allow-remote`) if other machines are to reach it.',
  );
}
