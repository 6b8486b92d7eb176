/** What `createRelay` takes, its defaults and checks, and the addresses that a relay listens at. */
import { networkInterfaces } from 'node:os';
import { aFunction, anObject, anyOf, aUrl, checkOptions, integer, milliseconds, readOption, withMethods } from '../base/check-options.js';
import type { Check, Checks } from '../base/check-options.js';
import { COSMOS_ENDPOINT, DAG_FACTORY_ENDPOINT, DEFAULT_LISTEN } from '../base/constants.js';
import { describe, hrefOf } from '../base/describe.js';
import { optionalFact } from '../base/machine.js';
import type { Environment, UrlObject } from '../base/platform-types.js';
import { A_LIST_OF_HOSTS, A_PROXY } from '../delivery/http/fetch-transport.js';
import type { RelayStore, RelayStoreOptions } from '../delivery/relay-store.js';
import { bareHost, isLoopback } from '../wire/host.js';
import { parseEndpoint } from '../wire/url.js';
import type { RelayLogger } from './log.js';

/**
 * What `createRelay` takes. An unknown key throws.
 *
 * @example
 * const options: RelayOptions = { listen: '127.0.0.1:0', forward: 'https://telemetry.acme.example', maxAgeMs: 3_600_000 };
 * const relay = createRelay(options);
 */
export interface RelayOptions {
  /** Where the relay listens, as `host:port`. Port 0 takes a free port. @default '127.0.0.1:8787' @example '[::1]:8787' */
  listen?: string | undefined;
  /** Allows `listen` and `metricsListen` to be addresses that other machines can reach. @default false */
  allowRemote?: boolean | undefined;
  /**
   * Names by which clients may address the relay, in addition to the name in `listen`. A name without a port is accepted with any port.
   * In a pod of Kubernetes a name without dots is also accepted as NAME.NS.svc and NAME.NS.svc.CLUSTER, by the search list of the system.
   *
   * @default []
   * @example ['relay', 'relay.example.com:8787']
   */
  allowedHosts?: readonly string[] | undefined;
  /**
   * A secret first segment of every path, metrics and health included if they share the address: 1 to 128 letters, digits or any of
   * `_ . ~ -`.
   *
   * @default none
   * @example 'correct-horse-battery-staple', for http://127.0.0.1:8787/correct-horse-battery-staple/astronomer-cosmos
   */
  prefix?: string | undefined;
  /**
   * A separate address for metrics, health, status and the relay's page, as `host:port`, without `prefix`.
   *
   * @default none: the address of `listen`
   */
  metricsListen?: string | undefined;
  /**
   * Whether the relay's page shows the last 50 events with their fields. They are then kept in memory, and whoever can open the page sees
   * them.
   *
   * @default false
   */
  showEvents?: boolean | undefined;
  /** The endpoint that receives the events: http or https, without credentials, query or fragment. @default COSMOS_ENDPOINT */
  forward?: string | UrlObject | undefined;
  /**
   * How events are forwarded: one GET an event, on the wire of Cosmos, or many lines of NDJSON in a POST to `forward`, which is then the
   * very URL that is posted to, with a query if it needs one. Another relay takes them at `/astronomer-cosmos/v3/events`. Cosmos' own
   * endpoint does not.
   *
   * @default 'cosmos'
   */
  forwardKind?: 'cosmos' | 'ndjson' | undefined;
  /**
   * The endpoint that receives the events of DAG Factory: as `forward`. Without it, they go to DAG Factory's own endpoint if `forward` is
   * left out, and are refused with 404 if it is set: no event goes where nobody sent it.
   *
   * @default DAG Factory's own endpoint, if `forward` is left out
   */
  forwardDagFactory?: string | UrlObject | undefined;
  /** Forwards every query unchanged, and every event type that has the form of one. @default false: declared events and fields only */
  verbatim?: boolean | undefined;
  /**
   * The directory that keeps events until they are delivered: on a local disk, for this process alone. It is created if it is missing. If
   * it belongs to another user, or others can write it, the events lie in its subdirectory `cosmos-relay`. If neither can be used, events
   * are in memory only until it can be: `/readyz` and the log say so.
   *
   * @default none: events are in memory only, and a crash loses them
   * @example '/var/lib/cosmos-relay/spool'
   */
  spool?: string | undefined;
  /** Whether `listen()` rejects if `spool` cannot be used at the start. @default false: events are in memory only meanwhile */
  spoolRequired?: boolean | undefined;
  /**
   * Opens another store than the spool, such as `jetstreamStore()` of `cosmos-telemetry/jetstream`. It is called once, by `listen()`, and
   * again if it rejected. `relayStoreContract` of `cosmos-telemetry/testing` has the rules of a store as tests.
   *
   * @throws What it throws or rejects with is what `listen()` rejects with.
   * @default the spool, or memory
   */
  store?: ((options: RelayStoreOptions) => RelayStore | Promise<RelayStore>) | undefined;
  /** The room for pending events, in bytes. Beyond it events are refused with 503. @default 67_108_864, 64 MiB */
  maxSpoolBytes?: number | undefined;
  /** How long an event may be pending, in milliseconds, before it is dropped as `expired`. @default 86_400_000, a day */
  maxAgeMs?: number | undefined;
  /** The most events that are accepted in a second. Beyond it they are refused with 429. @default 10_000 */
  maxEventsPerSecond?: number | undefined;
  /** The most connections of clients at a time; more are closed and counted. @default 512 */
  maxConnections?: number | undefined;
  /** How long a client may take to send the head of a request, in milliseconds. @default 5000 */
  headersTimeoutMs?: number | undefined;
  /** How long a client may take to send a whole request, or leave its answers unread, in milliseconds. @default 10_000 */
  requestTimeoutMs?: number | undefined;
  /** How long a connection of a client may be idle, in milliseconds. @default 5000 */
  keepAliveTimeoutMs?: number | undefined;
  /** The most events in flight to the endpoint at a time. @default 6 */
  concurrency?: number | undefined;
  /** The same while the relay closes. @default 24 */
  drainConcurrency?: number | undefined;
  /**
   * The longest that each step of a connect may take, in milliseconds: look-up, TCP to one address, the answer of a proxy, TLS.
   * @default 5000
   */
  connectTimeoutMs?: number | undefined;
  /** How long an attempt may take, in milliseconds. An attempt that times out is not retried. @default 10_000 */
  attemptTimeoutMs?: number | undefined;
  /** The upper bound of the first backoff, in milliseconds. It doubles with each failure. @default 1000 */
  backoffMs?: number | undefined;
  /** The upper bound of every backoff, in milliseconds. @default 60_000 */
  maxBackoffMs?: number | undefined;
  /**
   * The longest random delay of an event, in milliseconds, for many relays whose hosts begin in the same minute, and that return after the
   * same outage; 0 to 3,600,000. `close` ends it, and nothing waits while the store is more than half full.
   * @default 0
   */
  spreadMs?: number | undefined;
  /** Hosts to which the endpoint may redirect, in addition to its own. @default [] @example ['gateway.example.com'] */
  allowedRedirectHosts?: readonly string[] | undefined;
  /** The URL of a proxy to the endpoint, or `false` for none. @default the environment's; never for a loopback endpoint */
  proxy?: string | false | undefined;
  /** `false` is one more opt-out. There is no `true`: an option cannot overrule an opt-out. */
  enabled?: false | undefined;
  /** Where opt-outs, proxies and debug mode are read. @default process.env */
  env?: Environment | undefined;
  /** Where the relay logs. @default none: it is silent */
  logger?: RelayLogger | undefined;
}

/** The defaults of all limits and times. */
export const RELAY_DEFAULTS = {
  maxSpoolBytes: 64 * 2 ** 20,
  maxAgeMs: 86_400_000,
  maxEventsPerSecond: 10_000,
  maxConnections: 512,
  headersTimeoutMs: 5000,
  requestTimeoutMs: 10_000,
  keepAliveTimeoutMs: 5000,
  concurrency: 6,
  drainConcurrency: 24,
  connectTimeoutMs: 5000,
  attemptTimeoutMs: 10_000,
  backoffMs: 1000,
  maxBackoffMs: 60_000,
  spreadMs: 0,
} as const;

/** The default of `close({ deadlineMs })`, in milliseconds. */
export const DEFAULT_DRAIN_DEADLINE_MS = 5000;

/** How long a client should wait after "the spool is full", in milliseconds; its `Retry-After` says the same in seconds. */
export const RETRY_WHEN_FULL_MS = 10_000;

/** Checked options, with their defaults. */
export interface RelaySettings extends Record<keyof typeof RELAY_DEFAULTS, number> {
  readonly listen: ListenAddress;
  readonly metricsListen: ListenAddress | undefined;
  readonly forward: string;
  readonly forwardsLines: boolean;
  /** Where the events of DAG Factory go; undefined if they are refused. */
  readonly forwardDagFactory: string | undefined;
  readonly allowedHosts: readonly string[];
  readonly prefix: string | undefined;
  readonly isVerbatim: boolean;
  readonly spool: string | undefined;
  readonly isSpoolRequired: boolean;
  readonly showsEvents: boolean;
  readonly env: Environment;
}

/** @throws TypeError naming the option and its value. Credentials are redacted, and a prefix is not shown. */
export function checkRelayOptions(given: RelayOptions): { settings: RelaySettings; options: RelayOptions } {
  const secret = readOption(Object(given) as RelayOptions, 'prefix');
  if (secret !== undefined && !CHECKS.prefix[1](secret)) throw new TypeError(`Expected \`prefix\` to be ${CHECKS.prefix[0]}.`);
  const options = checkOptions<RelayOptions>('options of createRelay', given, CHECKS);
  const {
    allowRemote = false,
    allowedHosts = [],
    prefix,
    spool,
    spoolRequired: isSpoolRequired = false,
    verbatim = false,
    showEvents = false,
    env = process.env,
  } = options;
  if (isSpoolRequired && spool === undefined)
    throw new TypeError('Expected `spool` to be the path of a directory if `spoolRequired` is true, got none.');
  if (options.store !== undefined && spool !== undefined)
    throw new TypeError('Expected `store` or `spool`, got both: a relay has one store.');
  const listen = checkListenAddress('listen', options.listen ?? DEFAULT_LISTEN, allowRemote);
  const metricsListen =
    options.metricsListen === undefined ? undefined : checkListenAddress('metricsListen', options.metricsListen, allowRemote);
  const forwardsLines = options.forwardKind === 'ndjson';
  const forward = forwardsLines ? parseLinesUrl(options.forward) : parseEndpoint(options.forward ?? COSMOS_ENDPOINT, '`forward`');
  const ofDagFactory = options.forwardDagFactory ?? (options.forward === undefined ? DAG_FACTORY_ENDPOINT : undefined);
  const forwardDagFactory = ofDagFactory === undefined ? undefined : parseEndpoint(ofDagFactory, '`forwardDagFactory`');
  checkNoLoop(forward, listen);
  if (forwardDagFactory !== undefined) checkNoLoop(forwardDagFactory, listen, 'forwardDagFactory');
  const limits = Object.fromEntries(
    Object.entries(RELAY_DEFAULTS).map(({ 0: name, 1: value }) => [name, options[name as keyof typeof RELAY_DEFAULTS] ?? value]),
  ) as Record<keyof typeof RELAY_DEFAULTS, number>;
  const settings = {
    ...limits,
    listen,
    metricsListen,
    forward,
    forwardsLines,
    forwardDagFactory,
    allowedHosts,
    prefix,
    isVerbatim: verbatim,
    spool,
    isSpoolRequired,
    showsEvents: showEvents,
    env,
  };
  return { settings, options };
}

/** The URL that lines are posted to. @throws TypeError if there is none: Cosmos' own endpoint takes no lines. */
function parseLinesUrl(value: string | UrlObject | undefined): string {
  const text = hrefOf(value) ?? value;
  if (typeof text === 'string' && URL.canParse(text) && !text.includes('#')) {
    const { protocol, username, password, href } = new URL(text);
    if ((protocol === 'http:' || protocol === 'https:') && username === '' && password === '') return href;
  }
  const what = 'the http or https URL that takes NDJSON if `forwardKind` is ndjson, without credentials and fragment';
  throw new TypeError(`Expected \`forward\` to be ${what}, got ${describe(value)}.`);
}

/** @throws TypeError if the relay would forward to itself. */
export function checkNoLoop(forward: string, listening: ListenAddress, option = 'forward'): void {
  if (!leadsTo(forward, listening)) return;
  throw new TypeError(
    `Expected \`${option}\` to be a server other than the relay itself, got ${describe(forward)}, where the relay listens.`,
  );
}

function checkListenAddress(option: string, value: string, allowRemote: boolean): ListenAddress {
  const parsed = parseListenAddress(value);
  if (parsed !== undefined && (allowRemote || isLoopback(parsed.host))) return parsed;
  throw new TypeError(
    `Expected \`${option}\` to be on loopback, got ${describe(value)}: every client that reaches a relay can send events through it. ` +
      'Set `allowRemote` (`--allow-remote`) to let other machines connect.',
  );
}

const HOUR_MS = 3_600_000;
const A_TIMEOUT = milliseconds(1, HOUR_MS);
const YES_OR_NO = anyOf(true, false);
const ALLOWED_HOST = /^(?:\[[\da-f:.]+\]|[\da-z._-]+)(?::\d{1,5})?$/i;
const PREFIX = /^(?!\.{1,2}$)[\w.~-]{1,128}$/;
const A_LISTEN_ADDRESS: Check = [
  'host:port, as in "127.0.0.1:8787" or "[::1]:0"',
  (value) => typeof value === 'string' && parseListenAddress(value) !== undefined,
];

const CHECKS: Checks<RelayOptions> = {
  listen: A_LISTEN_ADDRESS,
  allowRemote: YES_OR_NO,
  allowedHosts: [
    'a list of host names, each with or without a port',
    (value) => Array.isArray(value) && value.every((each) => typeof each === 'string' && ALLOWED_HOST.test(each)),
  ],
  prefix: ['1 to 128 letters, digits or any of _ . ~ -', (value) => typeof value === 'string' && PREFIX.test(value)],
  metricsListen: A_LISTEN_ADDRESS,
  showEvents: YES_OR_NO,
  forward: aUrl,
  forwardKind: anyOf('cosmos', 'ndjson'),
  forwardDagFactory: aUrl,
  verbatim: YES_OR_NO,
  spool: ['the path of a directory', (value) => typeof value === 'string' && value !== '' && !value.includes('\0')],
  spoolRequired: YES_OR_NO,
  store: aFunction,
  maxSpoolBytes: integer(65_536, 2 ** 40),
  maxAgeMs: milliseconds(1000, 365 * 24 * HOUR_MS),
  maxEventsPerSecond: integer(1, 1_000_000),
  maxConnections: integer(1, 65_536),
  headersTimeoutMs: A_TIMEOUT,
  requestTimeoutMs: A_TIMEOUT,
  keepAliveTimeoutMs: A_TIMEOUT,
  concurrency: integer(1, 256),
  drainConcurrency: integer(1, 256),
  connectTimeoutMs: A_TIMEOUT,
  attemptTimeoutMs: A_TIMEOUT,
  backoffMs: A_TIMEOUT,
  maxBackoffMs: A_TIMEOUT,
  spreadMs: milliseconds(0, HOUR_MS),
  allowedRedirectHosts: A_LIST_OF_HOSTS,
  proxy: A_PROXY,
  enabled: ['false or left out (it can only opt out)', (value) => value === false],
  env: anObject,
  logger: withMethods('debug', 'warn'),
};

/** Where a server listens. */
export interface ListenAddress {
  /** A name or an IP address, without brackets. */
  readonly host: string;
  /** 0 for a free port. */
  readonly port: number;
}

const ADDRESS = /^(?:\[([\da-f:.]+)\]|([\da-z._-]+)):(\d{1,5})$/i;
const MAX_PORT = 65_535;

/** @returns Undefined for a text that is not `host:port`. An IPv6 address needs brackets: `[::1]:8787`. */
function parseListenAddress(text: string): ListenAddress | undefined {
  const { 1: address, 2: name, 3: digits } = ADDRESS.exec(text) ?? [];
  const host = bareHost(address ?? name ?? '');
  const port = Number(digits);
  return host === '' || !(port <= MAX_PORT) ? undefined : { host, port };
}

/** Hosts that mean every interface of the machine. */
const WILDCARDS: ReadonlySet<string> = new Set(['0.0.0.0', '::']);

/** Whether a server at this address listens on every interface of the machine. */
export function isWildcard({ host }: ListenAddress): boolean {
  return WILDCARDS.has(host);
}

/** Host and port as in a URL: `[::1]:8787`. */
export function authority({ host, port }: ListenAddress): string {
  return `${host.includes(':') ? `[${host}]` : host}:${port}`;
}

/**
 * Whether a URL leads to a server at this address, as far as that is known without asking a name server. A relay that forwards to itself
 * never stops.
 *
 * @param ownAddresses The addresses of this machine.
 */
export function leadsTo(url: string, listening: ListenAddress, ownAddresses: readonly string[] = machineAddresses()): boolean {
  const { protocol, port, hostname } = new URL(url);
  if (Number(port === '' ? (protocol === 'https:' ? 443 : 80) : port) !== listening.port) return false;
  const host = bareHost(hostname);
  if (host === listening.host) return true;
  if (isWildcard(listening)) return isLoopback(host) || WILDCARDS.has(host) || ownAddresses.includes(host);
  // Names, 127.0.0.1, ::1 and the wildcards may lead to the same server; 127.0.0.2 is another address.
  const isInterchangeable = (each: string) => each === '127.0.0.1' || each === '::1' || WILDCARDS.has(each) || !/^[\d.:a-f]+$/.test(each);
  return (
    isLoopback(listening.host) && isInterchangeable(listening.host) && (isLoopback(host) || WILDCARDS.has(host)) && isInterchangeable(host)
  );
}

/** The addresses of this machine; none where the system does not tell, as under a filter of address families or on Android. @internal */
export function machineAddresses(ask: typeof networkInterfaces = networkInterfaces): string[] {
  return optionalFact(() => Object.values(ask()).flatMap((each) => (each ?? []).map(({ address }) => address)), []);
}
