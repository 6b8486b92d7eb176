import type { RelayStats } from './types.js';

/** The relay's figures for Prometheus. */
export interface Metrics {
  /** One attempt to send, in seconds. */
  observeAttempt(seconds: number): void;
  /** @returns The media type and the text. */
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

/** The part of prom-client that is used. Written down here, since its types are not there for whoever has not installed it. */
export interface PromClient {
  readonly Registry: new () => { readonly contentType: string; metrics(): Promise<string>; registerMetric(metric: object): void };
  readonly Counter: MetricClass;
  readonly Gauge: MetricClass;
  readonly Histogram: MetricClass<{ observe(value: number): void }>;
}

async function loadPromClient(): Promise<PromClient> {
  const loaded: unknown = await import('prom-client');
  return (loaded as { default: PromClient }).default;
}

/** Seconds: a round trip within a data centre up to what an attempt may take. */
const BUCKETS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];

/**
 * Loads prom-client, which is there only where somebody has installed it.
 *
 * @returns Undefined where it is not.
 */
export async function loadMetrics(stats: () => RelayStats, load: () => Promise<PromClient> = loadPromClient): Promise<Metrics | undefined> {
  try {
    return metricsWith(await load(), stats);
  } catch {
    return undefined;
  }
}

/** The accounts are read when somebody asks, so that they cannot differ from what `stats()` says. */
function metricsWith({ Registry, Counter, Gauge, Histogram }: PromClient, stats: () => RelayStats): Metrics {
  // One of our own: the package's global one belongs to the program around us.
  const registry = new Registry();
  // Given none, a metric would join the global registry, too.
  const registers: [] = [];
  const counter = (name: string, help: string, read: (now: RelayStats) => number): void => {
    registry.registerMetric(
      new Counter({ name: `cosmos_relay_${name}_total`, help, registers, collect: collectInto((now) => [[{}, read(now)]]) }),
    );
  };
  const byLabel = (name: string, label: string, help: string, read: (now: RelayStats) => Readonly<Record<string, number>>): void => {
    const collect = collectInto((now) => Object.entries(read(now)).map(([value, events]) => [{ [label]: value }, events]));
    registry.registerMetric(new Counter({ name: `cosmos_relay_${name}_total`, help, labelNames: [label], registers, collect }));
  };
  const gauge = (name: string, help: string, read: (now: RelayStats) => number): void => {
    registry.registerMetric(new Gauge({ name: `cosmos_relay_${name}`, help, registers, collect: collectInto((now) => [[{}, read(now)]]) }));
  };

  function collectInto(read: (now: RelayStats) => [Record<string, string>, number][]) {
    return function collect(this: Collected) {
      this.reset();
      for (const [labels, value] of read(stats())) this.inc(labels, value);
    };
  }

  counter('events_accepted', 'Events that this process has acknowledged.', (now) => now.accepted);
  counter('events_recovered', 'Events that an earlier process left in the spool.', (now) => now.store.recovered);
  counter('events_sent', 'Events that the endpoint has confirmed.', (now) => now.sent);
  byLabel('events_failed', 'reason', 'Events that were sent and did not arrive for certain.', (now) => now.failedBy);
  byLabel('events_dropped', 'reason', 'Events that were never sent.', (now) => now.droppedBy);
  counter('events_maybe_sent_twice', 'Events that an earlier process may have sent, too.', (now) => now.store.maybeSentTwice);
  counter('fields_dropped', 'Fields that were undeclared, ill-typed or there twice.', (now) => now.fieldsDropped);
  counter('spool_torn_lines', 'Lines of the spool that could not be read.', (now) => now.store.tornLines);
  byLabel('answers', 'status', 'Answers by status.', (now) => now.answers);
  gauge('events_pending', 'Events that wait or are under way.', (now) => now.pending);
  gauge('spool_bytes', 'Bytes of the spool on disk.', (now) => now.store.bytes);
  gauge('spool_durable', 'Whether the next event goes to disk.', (now) => Number(now.store.isDurable));
  gauge('ready', 'Whether events are accepted.', (now) => Number(now.isAccepting));
  const attempts = new Histogram({
    name: 'cosmos_relay_send_seconds',
    help: 'How long attempts to send took.',
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
