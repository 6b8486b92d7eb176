import { MAX_TIMER_MS } from '../base/check-options.js';
import { systemClock } from '../base/clock.js';
import { COSMOS_ENDPOINT, DEFAULTS, NAME_PATTERN, WIRE_VERSION } from '../base/constants.js';
import { Log } from '../base/log.js';
import type { Logger } from '../base/log.js';
import { debugTransport } from '../delivery/debug-transport.js';
import { fetchTransportWith } from '../delivery/http/fetch-transport.js';
import type { Transport, UsageEvent } from '../delivery/transport.js';
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
 * Writes a DAG's metadata into its params, where the listener finds it at the end of a run. Does nothing when an opt-out
 * applies, so that an opted-out DAG carries no trace of telemetry.
 *
 * @param options Those of `resolveSettings`: whose metadata (`product`, default `'cosmos'`), and what may opt out. The opt-outs are
 *   looked up at each call, files included.
 * @returns Whether it was written: false also for metadata that cannot be packed and for a DAG that cannot be written to.
 * @throws TypeError for an unknown or wrong option, such as a product name that could change the param's name.
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
    dag.params[metadataParam(options.product ?? 'cosmos')] = packed;
    return true;
  } catch {
    return false;
  }
}

/** How one request of {@link emitUsageMetrics} is made. */
export interface EmitOptions {
  /** The base to which `/v3/{event_type}?{query}` is appended. @default COSMOS_ENDPOINT */
  endpoint?: string | URL | undefined;
  /** Who sends: its opt-outs are asked. Without it those of `cosmos` are, and no product version is sent. */
  product?: Product | undefined;
  /** The orchestrator around it. @default { name: 'airflow' } */
  host?: Host | undefined;
  /** Where opt-outs and proxies are looked up. @default process.env */
  env?: NodeJS.ProcessEnv | undefined;
  /** `'opt-in'`: nothing is sent until the person's own configuration says yes. @default 'opt-out' */
  consent?: 'opt-out' | 'opt-in' | undefined;
  /** `false` is one more opt-out. */
  enabled?: false | undefined;
  /** How long the one attempt may take. @default 1000 */
  attemptTimeoutMs?: number | undefined;
  /** The URL of a proxy, or `false` for none. @default the environment's; never for loopback */
  proxy?: string | false | undefined;
  /** @default silent */
  logger?: Logger | undefined;
}

/**
 * Sends one event at once, as Cosmos' own function of this name does: an escape hatch beside the bus. No declaration applies, so
 * the caller answers for what leaves. One attempt, no queue, no retry; the opt-outs are asked first.
 * With `<NAME>_TELEMETRY_DEBUG` it prints the request and sends nothing.
 *
 * @returns Whether the endpoint confirmed it (2xx). False when opted out or printed, and for whatever goes wrong; never rejects.
 */
export async function emitUsageMetrics(metrics: UsageMetrics & { event_type: string }, options: EmitOptions = {}): Promise<boolean> {
  try {
    return isEnabled(options) && (await send(metrics, options));
  } catch {
    return false;
  }
}

/**
 * Adds the standard metrics and sends one event at once: {@link emitUsageMetrics} with what every event begins with.
 *
 * @returns Whether the endpoint confirmed it (2xx). False when opted out and for whatever goes wrong; never rejects.
 */
export async function emitUsageMetricsIfEnabled(eventType: string, additional: UsageMetrics, options: EmitOptions = {}): Promise<boolean> {
  try {
    // The gate before anything is gathered: an opted-out host is not even looked at.
    if (!isEnabled(options)) return false;
    const { product, host } = options;
    const standard = collectStandardUsageMetrics({ ...(product && { product }), ...(host && { host }) });
    return await send({ ...standard, ...additional, event_type: eventType }, options);
  } catch {
    return false;
  }
}

async function send({ event_type: type, ...metrics }: UsageMetrics & { event_type: string }, options: EmitOptions): Promise<boolean> {
  if (typeof type !== 'string' || !NAME_PATTERN.test(type) || !Object.values(metrics).every(isMetricValue)) return false;
  const log = new Log(options.logger, systemClock);
  const transport = transportOf(options, log);
  const event: UsageEvent = { id: type, type, metrics, requestTarget: () => `/${WIRE_VERSION}/${type}?${urlencode(metrics)}` };
  // Sockets do not hold the process, so what the caller awaits needs something that does.
  const hold = setTimeout(() => undefined, MAX_TIMER_MS);
  try {
    const outcome = await transport.send([event], new AbortController().signal);
    if ('reason' in outcome) log.debug(outcome.reason, 'usage metrics could not be sent');
    return outcome.kind === 'sent';
  } finally {
    clearTimeout(hold);
    await transport.close?.();
  }
}

/** One attempt over HTTP; in debug mode a line instead of it. */
function transportOf({ endpoint: given = COSMOS_ENDPOINT, product, env = process.env, proxy, ...rest }: EmitOptions, log: Log): Transport {
  const { attemptTimeoutMs = DEFAULTS.attemptTimeoutMs } = rest;
  const name = product?.name ?? 'cosmos';
  const endpoint = operatorEndpoint(name, env, log) ?? given;
  const mode = debugMode(name, env);
  if (mode !== undefined) return debugTransport({ mode, endpoint: parseEndpoint(endpoint, '`endpoint`'), log, clock: systemClock });
  return fetchTransportWith({ endpoint, attemptTimeoutMs, maxSockets: 1, env, ...(proxy !== undefined && { proxy }) }, { log });
}

function isEnabled({ product, env, consent, enabled }: EmitOptions): boolean {
  return shouldEmit(resolveSettings({ product: product?.name, env, consent, enabled }));
}

function isMetricValue(value: unknown): boolean {
  return value === null || typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean';
}
