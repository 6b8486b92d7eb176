/*
 * What `createTelemetry` takes, and the check of it.
 */
import {
  aFunction,
  anObject,
  anyOf,
  checkOptions,
  checkValue,
  integer,
  milliseconds,
  readOption,
  withMethods,
} from '../base/check-options.js';
import type { Check, Checks } from '../base/check-options.js';
import { DEFAULTS } from '../base/constants.js';
import type { Logger } from '../base/log.js';
import type { Environment } from '../base/platform-types.js';
import { A_LIST_OF_HOSTS, A_PROXY } from '../delivery/http/fetch-transport.js';
import { steering } from '../delivery/transport.js';
import type { Transport } from '../delivery/transport.js';
import type { EventDefinition } from '../events/definition.js';
import { checkDescription, DESCRIPTION_CHECKS } from '../events/description.js';
import type { CLIENT_KEYS, Description, ProductDescription } from '../events/description.js';
import type { StandardEvent } from '../events/product-events.js';
import type { Product } from '../events/standard-metrics.js';
import type { Task } from '../listeners/host.js';

/**
 * The options of `createTelemetry`. An unknown key throws.
 *
 * @example
 * const options: TelemetryOptions<'acme'> = {
 *   product: { name: 'acme', version: '1.2.0' },
 *   endpoint: 'https://telemetry.acme.example',
 *   maxPendingEvents: 1000,
 * };
 * const telemetry = createTelemetry(options);
 */
export interface TelemetryOptions<
  P extends string = string,
  E extends readonly EventDefinition[] = readonly EventDefinition[],
  D extends boolean = boolean,
  S extends false | readonly StandardEvent[] = false | readonly StandardEvent[],
  M extends string = string,
> extends ProductDescription<P, E, D, S, M> {
  /** The product that is observed: its name and its version. @example { name: 'acme', version: '1.2.0' } */
  product: Product<P>;
  /** Where opt-outs, debug mode, proxies and the paths of config files are looked up. @default process.env */
  env?: Environment | undefined;
  /**
   * Whether a task is the product's, for a host whose tasks have no such module: it adds to what `Task.module` and `Task.owned` say. It is
   * called in the host's hooks, so it must be quick; if it throws, the task is not the product's.
   * @default only those whose `module` or `owned` says so
   * @example (task) => task.operatorName?.startsWith('Acme') === true
   */
  owns?: ((task: Task) => boolean) | undefined;
  /** Delivers the events. @default retrying(circuitBreaker(fetchTransport(...))) */
  transport?: Transport | undefined;
  /** The most events that wait; a full buffer drops the oldest. 1 to 10,000,000. @default 10_000 */
  maxPendingEvents?: number | undefined;
  /** The most requests in flight, 1 to 256. @default 6 */
  concurrency?: number | undefined;
  /** The most requests in flight during drain, close and exit, 1 to 256. @default 24 */
  drainConcurrency?: number | undefined;
  /**
   * The longest that each step of a connect may take, in milliseconds: look-up, TCP to one address, the answer of a proxy, TLS. Time in
   * which the host keeps the event loop busy does not count, here and in `attemptTimeoutMs`.
   * @default 5000
   */
  connectTimeoutMs?: number | undefined;
  /** Time limit of one attempt, in milliseconds: look-up, connect, redirects, headers and body. @default 10_000 */
  attemptTimeoutMs?: number | undefined;
  /** Retries per event, with exponential backoff and full jitter from 250 ms; 0 to 100. @default 2 */
  retries?: number | undefined;
  /**
   * Hosts to which the endpoint may redirect, besides itself. @default []
   * @example ['eu.telemetry.acme.example']
   */
  allowedRedirectHosts?: readonly string[] | undefined;
  /**
   * URL of a proxy, or `false` for none. @default the environment's proxy, never for loopback
   * @example 'http://proxy.acme.example:3128'
   */
  proxy?: string | false | undefined;
  /** Whether waiting events are sent when the process has nothing else to do. @default true */
  drainOnExit?: boolean | undefined;
  /** How long `drainOnExit` may keep the process alive, in milliseconds. @default 250 */
  exitDeadlineMs?: number | undefined;
  /**
   * The longest random delay of background delivery, in milliseconds, for many hosts whose runs begin in the same minute, and that
   * return after the same outage; 0 to 3,600,000. `drain`, `close` and the end of the process end it, and what is above the half of
   * the buffer does not wait.
   * @default 0
   */
  spreadMs?: number | undefined;
  /** Console, pino, winston or anything with `debug` and `warn`; {@link Logger} lists the log lines. @default silent */
  logger?: Logger | undefined;
}

const HOUR_MS = 3_600_000;
const BOOLEAN = anyOf(true, false);

const CLIENT_CHECKS: Readonly<Record<(typeof CLIENT_KEYS)[number], Check>> = {
  env: anObject,
  owns: aFunction,
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
  spreadMs: milliseconds(0, HOUR_MS),
  logger: withMethods('debug', 'warn'),
};

/** What a transport says of its batches. */
const BATCHING_CHECKS = {
  maxBatchSize: integer(1, 10_000_000),
  lingerMs: milliseconds(0, HOUR_MS),
  maxBatchBytes: integer(1, Number.MAX_SAFE_INTEGER),
  bytesOf: aFunction,
};

const CHECKS: Checks<TelemetryOptions> = { ...DESCRIPTION_CHECKS, ...CLIENT_CHECKS };

/** All limits and times, with their defaults. */
export type Limits = { [K in Exclude<keyof typeof DEFAULTS, 'drainDeadlineMs'>]: number };

/** The options after their check. */
export interface CheckedOptions {
  readonly options: Omit<TelemetryOptions, keyof ProductDescription>;
  readonly description: Description;
  readonly product: Product;
  readonly limits: Limits;
}

/**
 * Checks all options before anything else happens.
 *
 * @throws TypeError naming option and value, with credentials redacted.
 */
export function checkTelemetryOptions(all: TelemetryOptions): CheckedOptions {
  const options = checkOptions<TelemetryOptions>('options', all, CHECKS);
  const { transport } = options;
  const description = checkDescription(options);
  const { name, version } = description.product;
  if (version === undefined) throw new TypeError('Expected `product.version` to be a version, got undefined.');
  if (transport === undefined && options.endpoint === undefined) {
    throw new TypeError('Expected `endpoint` to be a URL, got undefined: there is no default, and no `transport` was given.');
  }
  if (transport !== undefined) {
    for (const key of Object.keys(BATCHING_CHECKS) as (keyof typeof BATCHING_CHECKS)[]) {
      const value = readOption(transport, key, `transport.${key}`);
      if (value !== undefined) checkValue(key, value, BATCHING_CHECKS[key]);
    }
    // A strict mock throws for each name that it does not know. That must be said now, and not when the process ends.
    readOption(transport, steering, `transport[${String(steering)}]`);
  }
  const limits = { ...DEFAULTS } as Limits;
  for (const key of Object.keys(DEFAULTS) as (keyof Limits)[]) limits[key] = options[key] ?? DEFAULTS[key];
  return { options, description, product: { name, version }, limits };
}
