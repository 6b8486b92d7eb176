// What becomes of events while the network is down for a time, with the default options, on a virtual clock.
import test from 'ava';
import type { DrainReport } from '../../src/index.js';
import { circuitBreaker } from '../../src/delivery/circuit-breaker.js';
import { retrying } from '../../src/delivery/retry.js';
import { steering } from '../../src/delivery/transport.js';
import type { SendOutcome, Transport } from '../../src/delivery/transport.js';
import { proves } from '../helpers/promises.js';
import { seededRandom } from '../helpers/stepped-transport.js';
import { telemetryRig, virtualMachine } from '../helpers/telemetry-rig.js';
import { VirtualClock } from '../helpers/virtual-clock.js';
import { createTelemetryWith } from '../../src/client/telemetry.js';
import { defineEvent } from '../../src/index.js';

const REFUSED: SendOutcome = { kind: 'retryable', reason: 'connect', cause: 'refused' };
/** Of an attempt that is aborted while it connects. */
const UNWRITTEN: SendOutcome = { kind: 'deferred', waitMs: 0, reason: 'aborted' };
const SLOW: SendOutcome = { kind: 'retryable', reason: 'connect', cause: 'slow' };

/** How long a request takes, and how long a connect takes to be refused. */
const TRIP_MS = 5;

/** How long a step of a connect may take by default. */
const CONNECT_LIMIT_MS = 5000;

/** When TCP sends its first packet, and sends it again if nothing answers. */
const SYN_MS = [0, 1000, 3000];

/** A client of a network that the test switches off and on. */
function arrange(random = seededRandom(3)) {
  const clock = new VirtualClock();
  const network = { isUp: true, isSilent: false, refusesEvery: Infinity, firstSentAtMs: Number.NaN, attempts: 0, connecting: 0 };
  const after = (delayMs: number): Promise<void> => new Promise((resolve) => void clock.setTimeout(resolve, delayMs));
  let limitMs = CONNECT_LIMIT_MS;
  const connect = async (): Promise<SendOutcome> => {
    network.attempts += 1;
    const isRefused = network.attempts % network.refusesEvery === 0;
    const ownLimitMs = limitMs;
    let waitedMs = 0;
    for (const synMs of SYN_MS.filter((atMs) => atMs < ownLimitMs)) {
      await after(synMs - waitedMs);
      waitedMs = synMs;
      if (!network.isUp && network.isSilent) continue;
      await after(TRIP_MS);
      if (!network.isUp || isRefused) return REFUSED;
      if (Number.isNaN(network.firstSentAtMs)) network.firstSentAtMs = clock.now();
      return { kind: 'sent' };
    }
    await after(ownLimitMs - waitedMs);
    return SLOW;
  };
  const attempt: Transport = {
    [steering]: {
      limitConnects: (connectMs) => {
        limitMs = Math.min(connectMs ?? CONNECT_LIMIT_MS, CONNECT_LIMIT_MS);
      },
    },
    send: async (_events, signal) => {
      const ended = new AbortController();
      const whenAborted = new Promise<SendOutcome>((resolve) => {
        signal.addEventListener('abort', () => resolve(UNWRITTEN), { signal: ended.signal });
      });
      network.connecting += 1;
      const outcome = await Promise.race([connect(), whenAborted]);
      network.connecting -= 1;
      ended.abort();
      return outcome;
    },
  };
  const transport = retrying(circuitBreaker(attempt, { clock, random }), { clock, random });
  const tick = defineEvent('tick', {});
  const telemetry = createTelemetryWith(
    { product: { name: 'acme', version: '1.0.0' }, transport, env: {}, events: [tick], drainOnExit: false },
    virtualMachine(clock, random),
  );
  return { clock, network, telemetry, publish: () => telemetry.publish('tick', {}) };
}

test.before(async () => {
  await import('p-queue');
});

for (const lateMs of [200, 500, 1000]) {
  test(proves('outage-recovers', `an endpoint that is ${lateMs} ms late at the start of a process gets every event`), async (t) => {
    const { clock, network, telemetry, publish } = arrange();
    network.isUp = false;
    for (let count = 0; count < 46; count += 1) publish();
    await clock.advance(lateMs);
    network.isUp = true;
    await clock.advance(3200);
    t.like(telemetry.stats(), { published: 46, sent: 46, reasons: {} });
  });
}

for (const [downMs, isSilent] of [
  [100, false],
  [1000, false],
  [5000, false],
  [30_000, false],
  [60_000, false],
  [1000, true],
  [30_000, true],
  [60_000, true],
] as const) {
  const kind = isSilent ? 'silence' : 'refusals';
  test(
    proves('outage-recovers', `${downMs} ms of ${kind}: the first event is confirmed within 5 s of the end, and the rest follows`),
    async (t) => {
      const { clock, network, telemetry, publish } = arrange();
      // No more than the buffer holds.
      const perSecond = downMs <= 1000 ? 200 : 50;
      const run = async (forMs: number): Promise<void> => {
        for (let elapsedMs = 0; elapsedMs < forMs; elapsedMs += 1000 / perSecond) {
          publish();
          await clock.advance(1000 / perSecond);
        }
      };
      await run(300);
      network.isUp = false;
      network.isSilent = isSilent;
      await run(downMs);
      network.isUp = true;
      network.firstSentAtMs = Number.NaN;
      const endedAtMs = clock.now();
      await run(5200);
      t.true(network.firstSentAtMs - endedAtMs <= 5000, `${network.firstSentAtMs - endedAtMs} ms`);
      for (let tries = 0; telemetry.stats().pending > 10 && tries < 100; tries += 1) await clock.advance(100);
      const report = await closeWith(clock, telemetry);
      t.like(report, { failed: 0, dropped: 0, pending: 0, timedOut: false });
      t.is(report.sent, report.published);
    },
  );
}

const CHANCES: readonly (readonly [name: string, random: () => number, isSilent?: boolean])[] = [
  ['least', () => 0],
  ['middle', () => 0.5],
  ['most', () => 0.999],
  ['seeded', seededRandom(11)],
  ['least, and silence', () => 0, true],
];

test(proves('breaker-firewall', 'a client of a dead network makes at most 60 attempts in the first hour, then two'), async (t) => {
  for (const [name, random, isSilent = false] of CHANCES) {
    const { clock, network, telemetry, publish } = arrange(random);
    Object.assign(network, { isUp: false, isSilent });
    const attemptsInHour = async (): Promise<number> => {
      const before = network.attempts;
      for (let second = 0; second < 3600; second += 20) {
        publish();
        await clock.advance(20_000);
      }
      return network.attempts - before;
    };
    for (let count = 0; count < 20; count += 1) publish();
    const first = await attemptsInHour();
    const second = await attemptsInHour();
    t.true(first >= 20 && first <= 60, `${name}: ${first}`);
    t.true(second >= 1 && second <= 2, `${name}: ${second}`);
    t.like(telemetry.stats(), { published: 380, sent: 0, failed: 0, dropped: 0 });
  }
});

async function closeWith(clock: VirtualClock, telemetry: { close(): Promise<DrainReport> }): Promise<DrainReport> {
  const closing = telemetry.close();
  for (let elapsedMs = 0; elapsedMs < 2000; elapsedMs += 10) await clock.advance(10);
  return closing;
}

test(proves('close-tries-again', 'close() against a port that refuses takes at most 200 ms, and the rest is `deadline`'), async (t) => {
  const { clock, network, telemetry, publish } = arrange();
  network.isUp = false;
  for (let count = 0; count < 100; count += 1) publish();
  const report = await closeWith(clock, telemetry);
  t.like(report, { sent: 0, failed: 0, dropped: 100, reasons: { deadline: 100 }, timedOut: false });
  t.true(report.durationMs <= 200, `${report.durationMs} ms`);
  t.true(network.attempts <= 24 + 2, `${network.attempts}`);
});

test(proves('close-tries-again', 'close() delivers what it can if the endpoint is alive again when it is called'), async (t) => {
  for (const downMs of [100, 3000, 120_000]) {
    const { clock, network, telemetry, publish } = arrange();
    network.isUp = false;
    for (let count = 0; count < 500; count += 1) publish();
    for (let elapsedMs = 0; elapsedMs < downMs; elapsedMs += 100) await clock.advance(100);
    network.isUp = true;
    t.like(await closeWith(clock, telemetry), { sent: 500, failed: 0, dropped: 0, timedOut: false });
  }
});

test(proves('close-tries-again', 'close() delivers to an endpoint that refuses its first connects only'), async (t) => {
  const { clock, network, telemetry, publish } = arrange();
  network.isUp = false;
  for (let count = 0; count < 100; count += 1) publish();
  const closed = closeWith(clock, telemetry);
  clock.setTimeout(() => (network.isUp = true), 60);
  t.like(await closed, { sent: 100, failed: 0, dropped: 0, timedOut: false });
});

test(proves('close-tries-again', 'a connection that fails now and then does not end a close() of many that deliver'), async (t) => {
  const { clock, network, telemetry, publish } = arrange();
  network.refusesEvery = 10;
  for (let count = 0; count < 500; count += 1) publish();
  const report = await closeWith(clock, telemetry);
  t.like(report, { sent: 500, failed: 0, dropped: 0, timedOut: false });
});

test(proves('close-tries-again', 'close() of an open circuit sends one probe, and the rest is `deadline`'), async (t) => {
  for (const isSilent of [false, true]) {
    const { clock, network, telemetry, publish } = arrange();
    Object.assign(network, { isUp: false, isSilent });
    for (let count = 0; count < 100; count += 1) publish();
    await clock.advance(12_000);
    while (network.connecting > 0) await clock.advance(10);
    const before = network.attempts;
    const report = await closeWith(clock, telemetry);
    t.is(network.attempts - before, 1);
    t.like(report, { sent: 0, failed: 0, dropped: 100, reasons: { deadline: 100 }, timedOut: false });
    // The probe of a silent network is cut after a second.
    const probeMs = isSilent ? 1000 : TRIP_MS;
    t.true(report.durationMs >= probeMs && report.durationMs <= probeMs + 5, `${report.durationMs} ms`);
  }
});

test(
  proves('outage-recovers', 'a drain of a silent network ends at its deadline, and what it left is sent when the network is back'),
  async (t) => {
    const { clock, network, telemetry, publish } = arrange();
    network.isUp = false;
    network.isSilent = true;
    for (let count = 0; count < 100; count += 1) publish();
    const drained = telemetry.drain({ deadlineMs: 500 });
    await clock.advance(500);
    t.like(await drained, { timedOut: true, pending: 100 });
    network.isUp = true;
    await clock.advance(5000);
    t.like(telemetry.stats(), { sent: 100, pending: 0 });
  },
);

test('close() against silence takes its deadline', async (t) => {
  const { clock, network, telemetry, publish } = arrange();
  Object.assign(network, { isUp: false, isSilent: true });
  for (let count = 0; count < 100; count += 1) publish();
  const report = await closeWith(clock, telemetry);
  t.like(report, { sent: 0, failed: 0, timedOut: true, durationMs: 2000, pending: 0, reasons: { deadline: 100 } });
});

test(
  proves('outage-recovers', 'an endpoint that accepts connections and ends them costs an event now and then, not all of them'),
  async (t) => {
    const lines: string[] = [];
    const logger = { debug: () => undefined, warn: (line: string) => lines.push(line) };
    const clock = new VirtualClock();
    const network: { answer: SendOutcome } = { answer: { kind: 'rejected', reason: 'network', cause: 'reset' } };
    const attempt: Transport = {
      send: async () => {
        await new Promise<void>((resolve) => void clock.setTimeout(resolve, TRIP_MS));
        return network.answer;
      },
    };
    const random = seededRandom(3);
    const transport = retrying(circuitBreaker(attempt, { clock, random }), { clock, random });
    const rig = telemetryRig({ transport, clock, logger });
    await rig.publish(500);
    for (let elapsedMs = 0; elapsedMs < 60_000; elapsedMs += 100) await clock.advance(100);
    const { failed, pending, reasons } = rig.telemetry.stats();
    t.true(failed <= 50, `${failed} lost in a minute`);
    t.is(failed + pending, 500);
    t.deepEqual(reasons, { network: failed });
    t.is(lines.length, 1);
    t.regex(lines[0] ?? '', /^\[telemetry\] delivery_stopped: the endpoint cannot be reached \(reset\); waiting events: 4\d\d$/);
    network.answer = { kind: 'sent' };
    for (let elapsedMs = 0; elapsedMs < 10_000; elapsedMs += 100) await clock.advance(100);
    t.like(rig.telemetry.stats(), { sent: 500 - failed, pending: 0 });
    t.is(lines.length, 2);
  },
);

test(
  proves('outage-recovers', 'each outage is said, with its cause, also the second one within a minute, and with a single waiting event'),
  async (t) => {
    const lines: string[] = [];
    const logger = { debug: () => undefined, warn: (line: string) => lines.push(line) };
    const clock = new VirtualClock();
    const network: { answer: SendOutcome } = { answer: REFUSED };
    const attempt: Transport = { send: () => Promise.resolve(network.answer) };
    const rig = telemetryRig({ transport: circuitBreaker(attempt, { clock, random: () => 0.5 }), clock, logger });
    for (const answer of [REFUSED, { kind: 'rejected', reason: 'timeout' }, REFUSED] as const) {
      network.answer = answer;
      // An event that timed out is lost, so the next one must come.
      for (let elapsedMs = 0; elapsedMs < 8000; elapsedMs += 400) {
        if (rig.telemetry.stats().pending === 0) await rig.publish(1);
        await clock.advance(400);
      }
      t.is(rig.telemetry.stats().pending, 1);
      network.answer = { kind: 'sent' };
      await clock.advance(5000);
      t.is(rig.telemetry.stats().pending, 0);
    }
    const said = lines.map((line) => /^\[telemetry\] (delivery_\w+): [^(]*(?:\((\w+)\); waiting events: 1)?$/.exec(line)?.slice(1, 3));
    const resumed = ['delivery_resumed', undefined];
    const expected = ['refused', 'timeout', 'refused'].flatMap((cause) => [['delivery_stopped', cause], resumed]);
    t.deepEqual(said, expected);
  },
);

test('one line says that delivery stopped, with its cause and how many events wait, and one that it is back', async (t) => {
  const lines: string[] = [];
  const rig = telemetryRig({ logger: { debug: () => undefined, warn: (line) => lines.push(line) }, concurrency: 1 });
  await rig.publish(3);
  rig.transport.open[0]?.answer({ ...REFUSED, kind: 'deferred', waitMs: 300 });
  await rig.clock.advance(300);
  t.deepEqual(lines, []);
  rig.transport.open[0]?.answer({ kind: 'deferred', waitMs: 2000, reason: 'circuit_open' });
  await rig.clock.advance(2000);
  t.deepEqual(lines, ['[telemetry] delivery_stopped: the endpoint cannot be reached (refused); waiting events: 3']);
  rig.transport.open[0]?.answer({ kind: 'deferred', waitMs: 2000, reason: 'circuit_open' });
  await rig.clock.advance(2000);
  await rig.succeed();
  t.deepEqual(lines.slice(1), ['[telemetry] delivery_resumed: the endpoint can be reached again']);
  t.is(rig.telemetry.stats().sent, 3);
});
