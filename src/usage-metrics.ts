import { MAX_TIMER_MS } from './check-options.js';
import { COSMOS_ENDPOINT, DEFAULTS, NAME_PATTERN, WIRE_VERSION } from './constants.js';
import { debugTransport } from './delivery/debug-transport.js';
import { fetchTransportWith } from './delivery/fetch-transport.js';
import type { Transport, UsageEvent } from './delivery/transport.js';
import type { UsageMetrics } from './events/fields.js';
import { collectStandardUsageMetrics } from './events/standard-metrics.js';
import type { Host, Product } from './events/standard-metrics.js';
import { Log } from './log.js';
import type { Logger } from './log.js';
import { operatorEndpoint } from './operator-endpoint.js';
import { resolveSettings, shouldEmit } from './settings.js';
import { debugMode } from './settings/debug-mode.js';
import { systemClock } from './timing.js';
import { urlencode } from './wire/query-string.js';
import { parseEndpoint } from './wire/request-url.js';

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
export async function emitUsageMetrics(
  metrics: UsageMetrics & { event_type: string },
  options: EmitOptions = {},
): Promise<boolean> {
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
export async function emitUsageMetricsIfEnabled(
  eventType: string,
  additional: UsageMetrics,
  options: EmitOptions = {},
): Promise<boolean> {
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
