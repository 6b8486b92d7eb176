// Batches: lines (`cosmos-telemetry/ndjson`) and an exporter of OpenTelemetry (`cosmos-telemetry/otel`) beside OpenTelemetry's own logs and
// beside one GET an event: the same event and the same collector.
import { openClient } from '../adapters/index.mjs';
import { EVENT } from '../harness/sample-event.mjs';

export const LINES = 'ours: lines';
export const OTEL = 'OpenTelemetry';
const GET = 'ours: one GET an event';
const EXPORTER = 'ours: exporter of OpenTelemetry';
const CLIENTS = { [LINES]: 'ours by lines', [EXPORTER]: 'ours by exporter', [GET]: 'ours', [OTEL]: OTEL };

const WARM_UP = 10_000;
const EVENTS = 60_000;

export function plan({ quick }) {
  const rounds = quick ? 1 : 5;
  return (quick ? [LINES, GET] : [LINES, GET, EXPORTER, OTEL]).map((row) => ({
    row,
    rounds,
    // OpenTelemetry drops what its queue does not hold: it gets room for all.
    params: { row, capacity: WARM_UP + EVENTS },
    collector: { kind: row === GET ? 'get' : 'batch' },
  }));
}

export async function measure({ row, endpoint, capacity }) {
  const { publish, settle } = await openClient(CLIENTS[row], { endpoint, capacity });
  const handOver = (events) => {
    for (let event = 0; event < events; event += 1) publish(EVENT);
    return settle();
  };
  await handOver(WARM_UP);
  const before = process.cpuUsage();
  const startedAtMs = performance.now();
  await handOver(EVENTS);
  const tookMs = performance.now() - startedAtMs;
  const { user, system } = process.cpuUsage(before);
  return { eventsPerS: (EVENTS * 1000) / tookMs, cpuUsPerEvent: (user + system) / EVENTS };
}

/** Only the events that arrived count. */
export function judge(values, { events, requests }) {
  const expected = WARM_UP + EVENTS;
  const broken = events === expected ? [] : [`${events} of ${expected} events arrived`];
  return { ...values, deliveredPercent: (100 * events) / expected, eventsPerRequest: events / requests, broken };
}
