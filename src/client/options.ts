import { aFunction, anObject, anyOf, checkOptions, integer, milliseconds, withMethods } from '../base/check-options.js';
import type { Check, Checks } from '../base/check-options.js';
import { DEFAULTS } from '../base/constants.js';
import type { Logger } from '../base/log.js';
import { A_LIST_OF_HOSTS, A_PROXY } from '../delivery/http/fetch-transport.js';
import type { Transport } from '../delivery/transport.js';
import { assertName } from '../events/definition.js';
import type { EventDefinition } from '../events/definition.js';
import { isVersion } from '../events/fields.js';
import type { Host, Product } from '../events/standard-metrics.js';

/** What `createTelemetry` takes. An unknown key throws. */
export interface TelemetryOptions<P extends string = string, E extends readonly EventDefinition[] = readonly EventDefinition[]> {
  /** Who is observed: `cosmos`, or your own name (`^[a-z][a-z0-9_]{0,31}$`) and version. */
  product: Product<P>;
  /**
   * The base to which `/v3/{event_type}?{query}` is appended: http or https, no credentials, query or fragment. Required unless
   * `transport` is given; there is no default. `<NAME>_TELEMETRY_ENDPOINT` in the environment overrides it.
   */
  endpoint?: string | URL | undefined;
  /** The orchestrator around the product. @default { name: 'airflow' } */
  host?: Host | undefined;
  /** The product's own events, beside the built-in ones. @default [] */
  events?: E | undefined;
  /** `false` is one more opt-out, and any opt-out wins. There is no `true`: code cannot overrule a person. */
  enabled?: false | undefined;
  /** `'opt-in'`: nothing happens until the person's own configuration says yes. @default 'opt-out' */
  consent?: 'opt-out' | 'opt-in' | undefined;
  /** Where opt-outs, debug mode and proxies are looked up; paths such as `~` and of config files come from it too. @default process.env */
  env?: NodeJS.ProcessEnv | undefined;
  /** Digest of a DAG id, or null for none. @default md5 in hex for `cosmos`, which is its wire; none for others */
  dagHash?: ((dagId: string) => string | null) | undefined;
  /** What delivers. @default retrying(circuitBreaker(fetchTransport(...))) */
  transport?: Transport | undefined;
  /** How many events wait at most; the oldest are dropped first. @default 10_000 */
  maxPendingEvents?: number | undefined;
  /** How many requests are under way at most. @default 6 */
  concurrency?: number | undefined;
  /** The same while draining. @default 24 */
  drainConcurrency?: number | undefined;
  /** How long a connection may take to come about. @default 400 */
  connectTimeoutMs?: number | undefined;
  /** How long an attempt may take: look-up, connect, redirects, headers, body. @default 1000 */
  attemptTimeoutMs?: number | undefined;
  /** How many attempts follow a first one that is worth repeating. @default 2 */
  retries?: number | undefined;
  /** Hosts other than the endpoint's own to which it may redirect. @default [] */
  allowedRedirectHosts?: readonly string[] | undefined;
  /** The URL of a proxy, or `false` for none. @default the environment's; never for loopback */
  proxy?: string | false | undefined;
  /** Whether events that wait when the process has nothing else to do get a last chance. @default true */
  drainOnExit?: boolean | undefined;
  /** How long that last chance may hold the process. @default 250 */
  exitDeadlineMs?: number | undefined;
  /** Console, pino, winston or anything with `debug` and `warn`: {@link Logger} says what goes where. @default silent */
  logger?: Logger | undefined;
}

const HOUR_MS = 3_600_000;
const BOOLEAN = anyOf(true, false);

const CHECKS: Checks<TelemetryOptions> = {
  product: anObject,
  endpoint: ['a URL', (value) => typeof value === 'string' || value instanceof URL],
  host: anObject,
  events: ['a list of event definitions', Array.isArray],
  enabled: ['false or left out (it can only opt out)', (value) => value === false],
  consent: anyOf('opt-out', 'opt-in'),
  env: anObject,
  dagHash: aFunction,
  transport: withMethods('send'),
  maxPendingEvents: integer(1, 10_000_000),
  concurrency: integer(1, 256),
  drainConcurrency: integer(1, 256),
  connectTimeoutMs: milliseconds(1, HOUR_MS),
  attemptTimeoutMs: milliseconds(1, HOUR_MS),
  retries: integer(0, 100),
  allowedRedirectHosts: A_LIST_OF_HOSTS,
  proxy: A_PROXY,
  drainOnExit: BOOLEAN,
  exitDeadlineMs: milliseconds(0, HOUR_MS),
  logger: withMethods('debug', 'warn'),
};

const A_VERSION: Check = ['a version', isVersion];
const A_STRING: Check = ['a string', (value) => typeof value === 'string'];

/** Every limit and time, given or default. */
export type Limits = { [K in Exclude<keyof typeof DEFAULTS, 'drainDeadlineMs'>]: number };

/**
 * Looks at everything a programmer can get wrong before anything happens.
 *
 * @throws TypeError naming option and value, credentials redacted.
 */
export function checkTelemetryOptions(options: TelemetryOptions): Limits {
  checkOptions<TelemetryOptions>('options', options, CHECKS);
  const { product, host = {}, transport } = options;
  if (product === undefined) throw new TypeError('Expected `product` to be an object, got undefined.');
  checkOptions('product', product, { name: A_STRING, version: A_VERSION });
  assertName('`product.name`', product.name);
  if (product.version === undefined) throw new TypeError('Expected `product.version` to be a version, got undefined.');
  checkOptions('host', host, { name: A_STRING, version: A_VERSION, pythonVersion: A_VERSION });
  if (host.name !== undefined) assertName('`host.name`', host.name);
  if (transport === undefined && options.endpoint === undefined) {
    throw new TypeError('Expected `endpoint` to be a URL, got undefined: there is no default, and no `transport` was given.');
  }
  if (transport?.maxBatchSize !== undefined) {
    checkOptions('transport', { maxBatchSize: transport.maxBatchSize }, { maxBatchSize: integer(1, 10_000_000) });
  }
  const limits = { ...DEFAULTS } as Limits;
  for (const name of Object.keys(DEFAULTS) as (keyof Limits)[]) limits[name] = options[name] ?? DEFAULTS[name];
  return limits;
}
