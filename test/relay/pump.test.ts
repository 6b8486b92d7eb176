// From the store to the endpoint: the pump, its load shedding, and the backoff of its transport.
import test from 'ava';
// Loaded before the first test: the dispatcher imports it by need, and `settle()` does not wait for that.
import 'p-queue';
import { Log } from '../../src/base/log.js';
import type { SendOutcome, Transport } from '../../src/delivery/transport.js';
import { Gate } from '../../src/opt-out/gate.js';
import { backoff } from '../../src/relay/backoff.js';
import type { RecentEvents } from '../../src/relay/page/recent-events.js';
import { IntakeLoad, Pump, RelayLedger } from '../../src/relay/pump.js';
import { settle, VirtualClock } from '../helpers/virtual-clock.js';
import { startPumpRig } from './helpers/pump-rig.js';
import { StandInStore } from './helpers/stand-in-store.js';

const LEFT = ['/v3/a', '/v3/b', '/v3/c', '/v3/d'];

function startPump(
  state: { isHigh: boolean; hasRoom: boolean },
  { store = new StandInStore(() => undefined, LEFT), recent }: { store?: StandInStore; recent?: RecentEvents } = {},
): { pump: Pump; clock: VirtualClock; sent: string[] } {
  const clock = new VirtualClock();
  const sent: string[] = [];
  const transport: Transport = {
    send: (events) => {
      for (const event of events) sent.push(event.requestTarget());
      return Promise.resolve({ kind: 'sent' });
    },
  };
  const ledger = new RelayLedger();
  ledger.published = LEFT.length;
  const pump = new Pump({
    store,
    transport,
    gate: new Gate({ state: 'open', watch: { optedOutNow: () => false }, clock }),
    ledger,
    log: new Log(undefined, clock) as never,
    recent,
    clock,
    random: () => 0.5,
    backoffMs: 1000,
    maxBackoffMs: 60_000,
    concurrency: 1,
    drainConcurrency: 1,
    sendCapMs: 1000,
    hasRoom: () => state.hasRoom,
    load: {
      add: () => undefined,
      get isHigh() {
        return state.isHigh;
      },
    },
  });
  return { pump, clock, sent };
}

test('events that are gone are looked for among those of a store, and not of a queue that relays share', async (t) => {
  const calls: unknown[] = [];
  const recent = {
    settled: () => undefined,
    expire: () => void calls.push('expire'),
    findLost: (ageMs: number | undefined) => void calls.push(ageMs),
  } as never;
  const look = async (leftBehind: readonly string[], given: object): Promise<unknown[]> => {
    calls.length = 0;
    const store = new StandInStore(() => undefined, leftBehind);
    store.isRead = false;
    const stats = store.stats();
    store.stats = () => ({ ...stats, ...given });
    const { pump, clock } = startPump({ isHigh: false, hasRoom: true }, { store, recent });
    await clock.advance(1000);
    const seen = [...calls];
    await pump.stop();
    return seen;
  };
  t.deepEqual(await look([], { oldestAgeMs: undefined }), ['expire', undefined]);
  t.deepEqual(await look(LEFT, { oldestAgeMs: 5 }), ['expire', 5]);
  t.deepEqual(await look(LEFT, { oldestAgeMs: undefined }), ['expire'], 'a store that does not know the age');
  t.deepEqual(await look([], { queue: { isReachable: true } }), []);
});

test('at high load sending pauses after each round', async (t) => {
  const { pump, clock, sent } = startPump({ isHigh: true, hasRoom: true });
  await clock.advance(0);
  await settle();
  t.deepEqual(sent, LEFT.slice(0, 1));
  await clock.advance(49);
  t.is(sent.length, 1);
  await clock.advance(1);
  await settle();
  t.deepEqual(sent, LEFT.slice(0, 2));
  await pump.stop();
});

test('events whose text is still to be read keep nothing busy, and are sent as soon as they can be taken', async (t) => {
  const { pump, store, clock, targets, accounts } = startPumpRig(t, { events: LEFT, endpoint: () => ({ kind: 'sent' }) });
  store.isRead = false;
  await clock.advance(10_000);
  await settle();
  t.deepEqual([targets(), accounts().pending, clock.pendingDeferred], ['', 4, 0]);
  const drained = pump.drain(5000);
  await clock.advance(0);
  t.is(clock.pendingDeferred, 0);
  store.isRead = true;
  pump.onReady();
  await clock.advance(0);
  await settle();
  t.is(targets(), 'a b c d');
  t.false(await drained);
});

test('a drain ends when the last events of the store are lost', async (t) => {
  const { pump, store, clock } = startPumpRig(t, { events: LEFT, endpoint: () => ({ kind: 'sent' }) });
  store.isRead = false;
  await clock.advance(0);
  const drained = pump.drain(5000);
  store.clear();
  pump.onReady();
  t.false(await drained);
});

test('sending does not pause if the store is filling up, or if the load is not high', async (t) => {
  for (const state of [
    { isHigh: true, hasRoom: false },
    { isHigh: false, hasRoom: true },
  ]) {
    const { pump, clock, sent } = startPump(state);
    await clock.advance(0);
    await settle();
    t.deepEqual(sent, LEFT, JSON.stringify(state));
    await pump.stop();
  }
});

test('drain() ends the pause of a high load', async (t) => {
  const { pump, clock, sent } = startPump({ isHigh: true, hasRoom: true });
  await clock.advance(0);
  await settle();
  t.is(sent.length, 1);
  t.false(await pump.drain(1000));
  t.deepEqual(sent, LEFT);
  await pump.stop();
});

function loadRig() {
  const clock = new VirtualClock();
  const loop = { utilization: 0 };
  return { clock, loop, load: new IntakeLoad(clock, () => loop.utilization) };
}

test('the load is high if the process is busy and events come in', (t) => {
  const cases: [utilization: number, events: number, isHigh: boolean][] = [
    [0.95, 100, true],
    [0.5, 20, true],
    [0.49, 100, false],
    [1, 19, false],
  ];
  for (const [utilization, events, isHigh] of cases) {
    const { clock, loop, load } = loadRig();
    loop.utilization = utilization;
    load.add(events);
    clock.nowMs = 99;
    t.false(load.isHigh);
    clock.nowMs = 100;
    t.is(load.isHigh, isHigh, `${utilization} ${events}`);
    clock.nowMs = 199;
    t.is(load.isHigh, isHigh);
    clock.nowMs = 200;
    t.false(load.isHigh);
  }
});

/** A backoff around scripted outcomes, on a clock that the test moves. */
function backoffRig(outcomes: readonly SendOutcome[], random = () => 0.5) {
  const clock = { nowMs: 0, now: () => clock.nowMs };
  const script = [...outcomes];
  const inner: Transport = { send: () => Promise.resolve(script.shift() ?? { kind: 'sent' }) };
  const transport = backoff(inner, { backoffMs: 100, maxBackoffMs: 1000, clock, random });
  const send = async () => {
    clock.nowMs += 1;
    return transport.send([], new AbortController().signal);
  };
  return { send };
}

const DOWN: SendOutcome = { kind: 'retryable', reason: 'connect' };

test('backoffs double up to the maximum, and start again after a success', async (t) => {
  const { send } = backoffRig([DOWN, DOWN, DOWN, DOWN, DOWN, DOWN, { kind: 'sent' }, DOWN]);
  const waits: (number | string)[] = [];
  for (let index = 0; index < 8; index += 1) {
    const outcome = await send();
    waits.push(outcome.kind === 'deferred' ? outcome.waitMs : outcome.kind);
  }
  t.deepEqual(waits, [50, 100, 200, 400, 500, 500, 'sent', 50]);
});

test('the backoff has full jitter', async (t) => {
  for (const [chance, waitMs] of [
    [0, 0],
    [0.25, 25],
    [0.999, 99.9],
  ] as const) {
    t.deepEqual(await backoffRig([DOWN], () => chance).send(), { kind: 'deferred', waitMs, reason: 'connect' });
  }
});

test('attempts that fail while in flight together count as one failure', async (t) => {
  const clock = { nowMs: 0, now: () => clock.nowMs };
  const fail: (() => void)[] = [];
  const inner: Transport = {
    send: () =>
      new Promise((resolve) => {
        fail.push(() => {
          resolve(DOWN);
        });
      }),
  };
  const transport = backoff(inner, { backoffMs: 100, maxBackoffMs: 1000, clock, random: () => 0.5 });
  const { signal } = new AbortController();
  const together = [transport.send([], signal), transport.send([], signal), transport.send([], signal)];
  clock.nowMs = 10;
  for (const each of fail.splice(0)) each();
  t.deepEqual(
    (await Promise.all(together)).map((outcome) => outcome.kind === 'deferred' && outcome.waitMs),
    [50, 50, 50],
  );
  clock.nowMs = 20;
  const next = transport.send([], signal);
  fail[0]?.();
  t.deepEqual(await next, { kind: 'deferred', waitMs: 100, reason: 'connect' });
});

test('the backoff passes all other outcomes unchanged', async (t) => {
  const outcomes: SendOutcome[] = [
    { kind: 'sent' },
    { kind: 'rejected', reason: 'timeout' },
    { kind: 'refused', reason: 'too_large' },
    { kind: 'deferred', waitMs: 7, reason: 'circuit_open' },
    { kind: 'aborted' },
  ];
  const { send } = backoffRig(outcomes);
  for (const outcome of outcomes) t.deepEqual(await send(), outcome);
});

test('it knows the state of the breaker, why nothing is delivered, and when an event was sent last', async (t) => {
  const seen: unknown[] = [];
  const outcomes: readonly SendOutcome[] = [
    { kind: 'rejected', reason: 'timeout' },
    { kind: 'deferred', waitMs: 10, reason: 'connect', cause: 'refused' },
    { kind: 'deferred', waitMs: 10, reason: 'circuit_open' },
    { kind: 'deferred', waitMs: 10, reason: 'circuit_open', cause: 'slow' },
    { kind: 'deferred', waitMs: 10, reason: 'http_503' },
    { kind: 'deferred', waitMs: 10, reason: 'connect' },
    { kind: 'sent' },
    { kind: 'rejected', reason: 'http_404' },
    { kind: 'refused', reason: 'too_large' },
    { kind: 'aborted' },
  ];
  const events = ['/v3/a', '/v3/b', '/v3/c', '/v3/d', '/v3/e'];
  let attempt = 0;
  const { pump, clock } = startPumpRig(t, {
    events,
    endpoint: () => {
      const { record } = pump;
      seen.push([
        record.breaker,
        record.failure,
        record.lastSentAtMs === undefined ? undefined : record.lastSentAtMs - Date.UTC(2026, 0, 1),
      ]);
      return outcomes[attempt++];
    },
  });
  while (attempt < outcomes.length && clock.now() < 600_000) await clock.advance(10);
  await clock.advance(10);
  const sentAtMs = (pump.record.lastSentAtMs ?? NaN) - Date.UTC(2026, 0, 1);
  t.true(sentAtMs > 0 && sentAtMs <= clock.now());
  t.deepEqual(seen, [
    ['closed', undefined, undefined],
    ['closed', 'timeout', undefined],
    ['half_open', 'refused', undefined],
    ['open', 'refused', undefined],
    ['open', 'slow', undefined],
    ['closed', 'http_503', undefined],
    ['half_open', 'http_503', undefined],
    ['closed', undefined, sentAtMs],
    ['closed', 'http_404', sentAtMs],
    ['closed', 'http_404', sentAtMs],
  ]);
});
