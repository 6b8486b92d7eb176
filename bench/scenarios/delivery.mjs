// How fast events arrive at an endpoint in another process, and the client's processor time per event.
import { openClient, RIVALS } from '../adapters/index.mjs';
import { EVENT } from '../harness/sample-event.mjs';

const BY_REQUEST = ['node:http loop', 'node-fetch loop', 'naive', 'ours'];
const LATENCY_MS = 20;
const WARM_UP = 2000;
const EVENTS = 6000;

/** Enough events that a run takes about as long as the other runs, and that start and stop do not matter. */
const delayedEvents = (concurrency) => Math.round((concurrency * 1200) / LATENCY_MS);

export function plan({ quick }) {
  const rounds = quick ? 1 : 5;
  if (quick) return atOnce(6, ['node-fetch loop', 'ours']).map((sample) => ({ ...sample, rounds }));
  return [
    ...[1, 4, 6, 16, 64].flatMap((concurrency) => atOnce(concurrency, BY_REQUEST)),
    ...[1, 4, 6, 16, 64].flatMap(delayed),
    ...[6, 16].flatMap((concurrency) => atOnce(concurrency, ['node-fetch loop', 'ours'], true)),
    ...batched(false),
    ...batched(true),
  ].map((sample) => ({ rounds, ...sample }));
}

function atOnce(concurrency, rows, tls = false) {
  const column = `c = ${concurrency}${tls ? ', TLS' : ''}`;
  return rows.map((row) => ({
    row,
    column,
    params: { row, concurrency, warmUp: WARM_UP, events: EVENTS },
    collector: { kind: 'get' },
    tls,
  }));
}

function delayed(concurrency) {
  const column = `c = ${concurrency}, ${LATENCY_MS} ms`;
  const params = { concurrency, warmUp: concurrency * 10, events: delayedEvents(concurrency) };
  return ['node-fetch loop', 'naive', 'ours'].map((row) => ({
    row,
    column,
    rounds: 2,
    params: { ...params, row },
    collector: { kind: 'get', latencyMs: LATENCY_MS },
  }));
}

/** Rivals send with their defaults, but with room for all events: another scenario shows what their limits drop. */
function batched(tls) {
  return RIVALS.map((row) => ({
    row,
    column: `its own batches${tls ? ', TLS' : ''}`,
    rounds: 2,
    params: { row, warmUp: WARM_UP, events: EVENTS, capacity: WARM_UP + EVENTS },
    collector: { kind: 'batch' },
    tls,
  }));
}

export async function measure({ row, endpoint, concurrency, warmUp, events, capacity = 10_000 }) {
  const client = await openClient(row, { endpoint, concurrency, capacity });
  await handOver(client, warmUp);
  const before = process.cpuUsage();
  const startedAtMs = performance.now();
  await handOver(client, events);
  const tookMs = performance.now() - startedAtMs;
  const { user, system } = process.cpuUsage(before);
  return { eventsPerS: (events * 1000) / tookMs, cpuUsPerEvent: (user + system) / events, expected: warmUp + events };
}

function handOver({ publish, settle }, events) {
  for (let event = 0; event < events; event += 1) publish(EVENT);
  return settle();
}

/** Only the events that arrived count. */
export function judge({ expected, ...values }, { events, sockets }) {
  return { ...values, deliveredPercent: (100 * events) / expected, sockets };
}
