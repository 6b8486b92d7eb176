/*
 * Functions for direct use, without a client: one event sent at once, and the metadata of a DAG.
 */
import { givenOptions } from '../base/check-options.js';
import { systemClock } from '../base/clock.js';
import { AWAITED_TIMEOUT_MS, COSMOS_ENDPOINT, NAME_PATTERN, WIRE_VERSION } from '../base/constants.js';
import { Log } from '../base/log.js';
import type { Logger } from '../base/log.js';
import type { Environment, UrlObject } from '../base/platform-types.js';
import { debugTransport } from '../delivery/debug-transport.js';
import { fetchTransportWith } from '../delivery/http/fetch-transport.js';
import { BUSY_REASON } from '../delivery/transport.js';
import type { SendOutcome, Transport, UsageEvent } from '../delivery/transport.js';
import { compressTelemetryMetadata, metadataParam } from '../events/metadata.js';
import { collectStandardUsageMetrics } from '../events/standard-metrics.js';
import type { Host, Product } from '../events/standard-metrics.js';
import type { Dag } from '../listeners/host.js';
import { resolveSettings, shouldEmit } from '../opt-out/settings.js';
import type { SettingsOptions } from '../opt-out/settings.js';
import { debugMode, operatorEndpoint } from '../opt-out/variables.js';
import { urlencode } from '../wire/python.js';
import type { UsageMetrics } from '../wire/python.js';
import { parseEndpoint } from '../wire/url.js';

/**
 * Options of {@link emitUsageMetrics}.
 *
 * @example
 * const options: EmitOptions = { product: { name: 'acme', version: '1.2.0' }, endpoint: 'https://telemetry.acme.example' };
 */
export interface EmitOptions {
  /** Base URL to which `/v3/{event_type}?{query}` is appended. @default COSMOS_ENDPOINT */
  endpoint?: string | UrlObject | undefined;
  /** The product that sends; its opt-outs are asked. @default the opt-outs of `cosmos`, and no product version is sent */
  product?: Product | undefined;
  /** The orchestrator in which the product runs. @default { name: 'airflow' } */
  host?: Host | undefined;
  /** Where opt-outs and proxies are looked up. @default process.env */
  env?: Environment | undefined;
  /** `'opt-in'`: nothing is sent until the person's own configuration says yes. @default 'opt-out' */
  consent?: 'opt-out' | 'opt-in' | undefined;
  /** `false` is one more opt-out. */
  enabled?: false | undefined;
  /**
   * Time limit of the call, in milliseconds: the caller waits for it.
   *
   * @default 1000
   */
  attemptTimeoutMs?: number | undefined;
  /** URL of a proxy, or `false` for none. @default the environment's proxy, never for loopback */
  proxy?: string | false | undefined;
  /** Gets a line for each failure, at level debug, and for a setting that is ignored. @default silent */
  logger?: Logger | undefined;
}

/**
 * Sends one event at once, as the function of this name in Cosmos does: an escape hatch beside the bus. No declaration applies, so
 * the caller is responsible for what is sent. One attempt, no queue, no retry; the opt-outs are asked first. With
 * `<NAME>_TELEMETRY_DEBUG` it prints the request and sends nothing.
 *
 * @param metrics The fields, in the order in which they are sent, and the event type, which is a part of the path.
 * @param given By default an event of `cosmos` to `COSMOS_ENDPOINT`.
 * @returns Whether the endpoint confirmed it (2xx). False after an opt-out, in debug mode, and for every failure; never rejects.
 * @example
 * const collector = await startCollector();
 * const isSent = await emitUsageMetrics({ event_type: 'backfill', days: 30 }, { endpoint: collector.url });
 * console.log(isSent); // true
 * await collector.close();
 */
export async function emitUsageMetrics(metrics: UsageMetrics & { event_type: string }, given: EmitOptions = {}): Promise<boolean> {
  try {
    const options = emitOptions(given);
    return isEnabled(options) && (await send(metrics, options));
  } catch {
    return false;
  }
}

/**
 * Sends one event at once, with the standard metrics before the additional ones. Otherwise as {@link emitUsageMetrics}.
 *
 * @param eventType A part of the path: `^[a-z][a-z0-9_]{0,31}$`.
 * @param additional The fields after the standard ones.
 * @param given By default an event of `cosmos` to `COSMOS_ENDPOINT`.
 * @returns Whether the endpoint confirmed it (2xx). False after an opt-out, in debug mode, and for every failure; never rejects.
 * @example
 * const collector = await startCollector();
 * const product = { name: 'globex', version: '1.2.0' };
 * await emitUsageMetricsIfEnabled('backfill', { days: 30 }, { endpoint: collector.url, product });
 * console.log(collector.requests[0]?.query[0]?.join()); // globex_version,1.2.0
 * await collector.close();
 */
export async function emitUsageMetricsIfEnabled(eventType: string, additional: UsageMetrics, given: EmitOptions = {}): Promise<boolean> {
  try {
    const options = emitOptions(given);
    // The opt-outs come first: a host that has opted out is not even looked at.
    if (!isEnabled(options)) return false;
    const { product, host } = options;
    const standard = collectStandardUsageMetrics({ ...(product && { product }), ...(host && { host }) });
    return await send({ ...standard, ...additional, event_type: eventType }, options);
  } catch {
    return false;
  }
}

/**
 * Writes a DAG's metadata into its params, where the listener finds it at the end of a run. Does nothing if an opt-out applies: a
 * DAG that is opted out carries no trace of telemetry.
 *
 * @param dag The DAG, whose `params` are made if it has none.
 * @param metadata An object that has JSON.
 * @param options The options of `resolveSettings`: the product (default `'cosmos'`) and the sources of opt-outs. The opt-outs are
 *   read at each call, files included.
 * @returns Whether it was written. Also false for metadata that cannot be packed and for a DAG that cannot be written to.
 * @throws TypeError for an unknown or wrong option, for example a product name that would change the name of the param.
 * @example
 * const dag: Dag = { tasks: [] };
 * console.log(storeTelemetryMetadata(dag, { invocation_mode: 'subprocess' })); // true
 * console.log(Object.keys(dag.params ?? {}).join()); // __cosmos_telemetry_metadata__
 */
export function storeTelemetryMetadata(
  dag: Pick<Dag, 'params'>,
  metadata: Record<string, unknown>,
  options: SettingsOptions = {},
): boolean {
  if (!shouldEmit(resolveSettings(options))) return false;
  try {
    const packed = compressTelemetryMetadata(metadata);
    dag.params ??= {};
    dag.params[metadataParam(givenOptions(options, ['product']).product ?? 'cosmos')] = packed;
    return true;
  } catch {
    return false;
  }
}

const EMIT_OPTIONS = ['endpoint', 'product', 'host', 'env', 'consent', 'enabled', 'attemptTimeoutMs', 'proxy', 'logger'] as const;

function emitOptions(given: EmitOptions): EmitOptions {
  const options = givenOptions(given, EMIT_OPTIONS);
  if (options.product) options.product = givenOptions(options.product, ['name', 'version']);
  return options;
}

async function send({ event_type: type, ...metrics }: UsageMetrics & { event_type: string }, options: EmitOptions): Promise<boolean> {
  if (typeof type !== 'string' || !NAME_PATTERN.test(type) || !Object.values(metrics).every(isMetricValue)) return false;
  const log = new Log(options.logger, systemClock);
  const { attemptTimeoutMs = AWAITED_TIMEOUT_MS } = options;
  const transport = transportOf({ ...options, attemptTimeoutMs }, log);
  const event: UsageEvent = { id: type, type, metrics, requestTarget: () => `/${WIRE_VERSION}/${type}?${urlencode(metrics)}` };
  const controller = new AbortController();
  // Our sockets do not keep the process alive, but a caller awaits the result. What has arrived is read before the time is up.
  let timer = systemClock.setTimeout(() => {
    timer = systemClock.setTimeout(() => controller.abort(), 0);
  }, attemptTimeoutMs);
  try {
    const outcome = await sendInTurn(transport, event, controller.signal);
    if ('reason' in outcome) log.debug(outcome.reason, 'usage metrics could not be sent');
    else if (outcome.kind === 'aborted') log.debug('timeout', 'usage metrics could not be sent');
    return outcome.kind === 'sent';
  } finally {
    systemClock.clearTimeout(timer);
    await transport.close?.();
  }
}

/** Sends an event once. Beside hundreds of others it waits for its turn. */
async function sendInTurn(transport: Transport, event: UsageEvent, signal: AbortSignal): Promise<SendOutcome> {
  let outcome = await transport.send([event], signal);
  while (outcome.kind === 'deferred' && outcome.reason === BUSY_REASON && !signal.aborted) {
    outcome = await transport.send([event], signal);
  }
  return outcome;
}

/** One attempt over HTTP, or in debug mode one printed line. */
function transportOf(options: EmitOptions & { attemptTimeoutMs: number }, log: Log): Transport {
  const { endpoint: given = COSMOS_ENDPOINT, product, env = process.env, proxy, attemptTimeoutMs } = options;
  const name = product?.name ?? 'cosmos';
  const endpoint = operatorEndpoint(name, env, log) ?? given;
  const mode = debugMode(name, env);
  if (mode !== undefined) return debugTransport({ mode, endpoint: parseEndpoint(endpoint, '`endpoint`'), log, clock: systemClock });
  // The caller waits for the whole attempt, so a connection may use all of its time.
  return fetchTransportWith(
    { endpoint, connectTimeoutMs: attemptTimeoutMs, attemptTimeoutMs, env, ...(proxy !== undefined && { proxy }) },
    { log },
  );
}

function isEnabled({ product, env, consent, enabled }: EmitOptions): boolean {
  return shouldEmit(resolveSettings({ product: product?.name, env, consent, enabled }));
}

function isMetricValue(value: unknown): boolean {
  return value === null || typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean';
}
