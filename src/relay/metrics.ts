/** The relay's metrics for Prometheus, by the optional package prom-client. */
import type { Relay, RelayStats } from './types.js';

/** The relay's metrics. */
export interface Metrics {
  /** Records the duration of one attempt to send. */
  observeAttempt(seconds: number): void;
  /** @returns The text for Prometheus, and its media type. */
  render(): Promise<{ contentType: string; text: string }>;
}

/** A metric of prom-client while it is collected. */
interface Collected {
  reset(): void;
  inc(labels: Record<string, string>, value: number): void;
}

interface MetricConfig {
  name: string;
  help: string;
  registers: [];
  labelNames?: string[];
  buckets?: number[];
  collect?: (this: Collected) => void;
}

type MetricClass<M = object> = new (config: MetricConfig) => M;

/** The part of prom-client that is used. Its own types are missing if it is not installed. */
export interface PromClient {
  readonly Registry: new () => { readonly contentType: string; metrics(): Promise<string>; registerMetric(metric: object): void };
  readonly Counter: MetricClass;
  readonly Gauge: MetricClass;
  readonly Histogram: MetricClass<{ observe(value: number): void }>;
}

/**
 * Loads prom-client, if it is installed.
 *
 * @param relay Its `stats()` are what the metrics report.
 * @returns Undefined if it is not installed.
 */
export async function loadMetrics(
  relay: Pick<Relay, 'stats'>,
  load: () => Promise<PromClient> = loadPromClient,
): Promise<Metrics | undefined> {
  try {
    return metricsWith(await load(), relay);
  } catch {
    return undefined;
  }
}

/** By `require`, which no bundler reads: the package is optional. CommonJS has no `import.meta.url`, but the name of its file. */
async function loadPromClient(): Promise<PromClient> {
  const { createRequire } = process.getBuiltinModule('node:module');
  return createRequire(import.meta.url ?? __filename)('prom-client') as PromClient;
}

/** In seconds: from a round trip within a data centre to the longest attempt. */
const BUCKETS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];

const BREAKER_STATES: readonly RelayStats['breaker'][] = ['closed', 'half_open', 'open'];

/** The counters are read from `stats()` at each scrape, so that both always agree. */
function metricsWith({ Registry, Counter, Gauge, Histogram }: PromClient, relay: Pick<Relay, 'stats'>): Metrics {
  // A separate registry: the global one of the package belongs to the host program.
  const registry = new Registry();
  // Without this option a metric would register itself in the global registry.
  const registers: [] = [];
  const counter = (name: string, help: string, read: (now: RelayStats) => number): void => {
    registry.registerMetric(
      new Counter({ name: `cosmos_relay_${name}_total`, help, registers, collect: collectInto((now) => [[{}, read(now)]]) }),
    );
  };
  const byLabel = (name: string, label: string, help: string, read: (now: RelayStats) => Readonly<Record<string, number>>): void => {
    const collect = collectInto((now) => Object.entries(read(now)).map(({ 0: value, 1: events }) => [{ [label]: value }, events]));
    registry.registerMetric(new Counter({ name: `cosmos_relay_${name}_total`, help, labelNames: [label], registers, collect }));
  };
  const gauge = (name: string, help: string, read: (now: RelayStats) => number): void => {
    registry.registerMetric(new Gauge({ name: `cosmos_relay_${name}`, help, registers, collect: collectInto((now) => [[{}, read(now)]]) }));
  };

  function collectInto(read: (now: RelayStats) => [Record<string, string>, number][]) {
    return function collect(this: Collected) {
      this.reset();
      for (const { 0: labels, 1: value } of read(relay.stats())) this.inc(labels, value);
    };
  }

  counter('events_accepted', 'Events that this process has accepted.', (now) => now.accepted);
  counter('events_recovered', 'Events of an earlier process, found in the spool.', (now) => now.store.recovered);
  counter('events_sent', 'Events that the endpoint has confirmed.', (now) => now.sent);
  byLabel('events_failed', 'reason', 'Events that were sent without a confirmed delivery.', (now) => now.failedBy);
  byLabel('attempts_failed', 'cause', 'Attempts that failed, by cause: their events may still wait.', (now) => now.attemptsFailedBy);
  byLabel('events_dropped', 'reason', 'Events that were never sent.', (now) => now.droppedBy);
  counter('events_duplicate', 'Events that came again with the same id.', (now) => now.duplicates);
  byLabel('events_refused', 'reason', 'Events of batches that were refused.', (now) => now.refusedBy);
  counter('events_maybe_sent_twice', 'Events that an earlier process may have sent as well.', (now) => now.store.maybeSentTwice);
  counter('fields_dropped', 'Fields that were undeclared, ill-typed or duplicate.', (now) => now.fieldsDropped);
  counter('spool_torn_lines', 'Lines of the spool that could not be read.', (now) => now.store.tornLines);
  byLabel('answers', 'status', 'Answers by status.', (now) => now.answers);
  counter('connections_refused', 'Connections that were closed without an answer: too many were open.', (now) => now.refusedConnections);
  const labelled = (name: string, label: string, help: string, read: (now: RelayStats) => readonly (readonly [string, number])[]): void => {
    const collect = collectInto((now) => read(now).map(({ 0: value, 1: is }) => [{ [label]: value }, is]));
    registry.registerMetric(new Gauge({ name: `cosmos_relay_${name}`, help, labelNames: [label], registers, collect }));
  };

  gauge('events_pending', 'Events in the store or in flight.', (now) => now.pending);
  gauge('spool_bytes', 'Bytes of the spool on disk.', (now) => now.store.bytes);
  gauge('spool_limit_bytes', 'Bytes that the spool may have on disk. 0: it has no limit.', (now) => now.store.maxBytes ?? 0);
  gauge('spool_durable', 'Whether the next event goes to disk.', (now) => Number(now.store.isDurable));
  gauge(
    'oldest_event_age_seconds',
    'Age of the oldest event in the store or in flight. 0: there is none.',
    (now) => (now.store.oldestAgeMs ?? 0) / 1000,
  );
  gauge(
    'last_success_timestamp_seconds',
    'When the endpoint confirmed an event last, in Unix time. 0: never since the start.',
    (now) => (now.lastSentAtMs ?? 0) / 1000,
  );
  labelled('not_delivering', 'cause', 'Why the last attempt failed. No series: it succeeded.', ({ notDelivering }) =>
    notDelivering === undefined ? [] : [[notDelivering, 1]],
  );
  labelled('breaker_state', 'state', 'State of the circuit breaker: 1 for the one that it is in.', ({ breaker }) =>
    BREAKER_STATES.map((state) => [state, Number(state === breaker)]),
  );
  gauge('opted_out', 'Whether telemetry is opted out: every event is discarded.', (now) => Number(now.isOptedOut));
  gauge('paused', 'Whether sending pauses because the endpoint refuses events.', (now) => Number(now.isPaused));
  gauge('ready', 'Whether events are accepted.', (now) => Number(now.isAccepting));
  const attempts = new Histogram({
    name: 'cosmos_relay_send_seconds',
    help: 'Duration of attempts to send.',
    buckets: BUCKETS,
    registers,
  });
  registry.registerMetric(attempts);
  return {
    observeAttempt: (seconds) => {
      attempts.observe(seconds);
    },
    render: async () => ({ contentType: registry.contentType, text: await registry.metrics() }),
  };
}
