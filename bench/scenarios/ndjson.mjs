// Batches: lines (`cosmos-telemetry/ndjson`) and an exporter of OpenTelemetry (`cosmos-telemetry/otel`) beside OpenTelemetry's own logs and
// beside one GET an event: the same event and the same collector.
import { openClient } from '../adapters/index.mjs';
import { EVENT } from '../harness/sample-event.mjs';

export const LINES = 'ours: lines';
export const OTEL = 'OpenTelemetry';
const GET = 'ours: one GET an event';
const EXPORTER = 'ours: exporter of OpenTelemetry';
const PLAIN_LINES = 'ours: lines, not compressed';
const GZIP_OTEL = 'OpenTelemetry, compressed';
/** Lines are compressed by default, and OpenTelemetry's records are not: each has a row of the other kind, too. */
const ROWS = {
  [LINES]: { client: 'ours by lines' },
  [PLAIN_LINES]: { client: 'ours by lines', gzip: false },
  [GET]: { client: 'ours' },
  [EXPORTER]: { client: 'ours by exporter' },
  [OTEL]: { client: OTEL },
  [GZIP_OTEL]: { client: OTEL, compression: 'gzip' },
};

const WARM_UP = 10_000;
const EVENTS = 60_000;
/** One burst takes a third of a second, in which a disturbance of the machine and the compiler of V8 weigh much. */
const BURSTS = 5;

export function plan({ quick }) {
  const rounds = quick ? 1 : 5;
  return (quick ? [LINES, GET] : Object.keys(ROWS)).map((row) => ({
    row,
    rounds,
    // OpenTelemetry drops what its queue does not hold: it gets room for all.
    params: { ...ROWS[row], bursts: row === GET ? 1 : BURSTS, capacity: WARM_UP + EVENTS },
    collector: { kind: row === GET ? 'get' : 'batch' },
  }));
}

export async function measure({ client, bursts, ...options }) {
  const { publish, settle } = await openClient(client, options);
  const handOver = (events) => {
    for (let event = 0; event < events; event += 1) publish(EVENT);
    return settle();
  };
  await handOver(WARM_UP);
  const before = process.cpuUsage();
  const startedAtMs = performance.now();
  for (let burst = 0; burst < bursts; burst += 1) await handOver(EVENTS);
  const tookMs = performance.now() - startedAtMs;
  const { user, system } = process.cpuUsage(before);
  const events = bursts * EVENTS;
  return { eventsPerS: (events * 1000) / tookMs, cpuUsPerEvent: (user + system) / events };
}

/** Only the events that arrived count. */
export function judge(values, { events, requests }, { params: { bursts } }) {
  const expected = WARM_UP + bursts * EVENTS;
  const broken = events === expected ? [] : [`${events} of ${expected} events arrived`];
  return { ...values, deliveredPercent: (100 * events) / expected, eventsPerRequest: events / requests, broken };
}
