import test from 'ava';

import { circuitBreaker } from '../../src/delivery/circuit-breaker.js';
import type { CircuitBreakerOptions } from '../../src/delivery/circuit-breaker.js';
import { retrying } from '../../src/delivery/retry.js';
import { steering } from '../../src/delivery/transport.js';
import type { SendOutcome, Transport } from '../../src/delivery/transport.js';
import { SteppedTransport, seededRandom, usageEvent } from '../helpers/stepped-transport.js';
import type { Step } from '../helpers/stepped-transport.js';
import { unhandledRejections } from '../helpers/unhandled-rejections.js';
import { VirtualClock } from '../helpers/virtual-clock.js';
import { proves } from '../helpers/promises.js';

const CONNECT: SendOutcome = { kind: 'retryable', reason: 'connect' };
const TIMEOUT: SendOutcome = { kind: 'rejected', reason: 'timeout' };
const SENT: SendOutcome = { kind: 'sent' };
const HOUR_MS = 3_600_000;

test.before(async () => {
  await import('p-retry');
});

/** `network.answer` is what the inner transport does next; a test may change it at any time. */
function arrange(answer: Step, options: CircuitBreakerOptions = {}) {
  const clock = new VirtualClock();
  const network = { answer };
  const inner = new SteppedTransport(
    (signal) => (typeof network.answer === 'function' ? network.answer(signal) : network.answer),
    () => clock.now(),
  );
  const transport = circuitBreaker(inner, { clock, random: () => 0.5, ...options });
  const send = (signal = new AbortController().signal) => transport.send([usageEvent()], signal);
  return {
    clock,
    network,
    inner,
    transport,
    send,
    attempts: () => inner.sends.length,
    /** Fails as often as it takes to open the circuit; then the time is 1200 and the next probe is due at 3200. */
    open: async (): Promise<void> => {
      for (let failures = 0; failures < 5; failures += 1) {
        await send();
        if (failures < 4) await clock.advance(300);
      }
    },
  };
}

/** An attempt that the test ends. */
function pending() {
  const ends: ((outcome: SendOutcome) => void)[] = [];
  const promise = new Promise<SendOutcome>((resolve) => {
    ends.push(resolve);
  });
  return { promise, resolve: (outcome: SendOutcome) => ends[0]?.(outcome) };
}

function deferred(waitMs: number, reason = 'circuit_open'): SendOutcome {
  return { kind: 'deferred', waitMs, reason };
}

test('an attempt that failed to connect uses up no retry: its event comes back, and one attempt at a time follows', async (t) => {
  const { clock, network, send, attempts, transport } = arrange(CONNECT);
  const client = retrying(transport, { clock, random: () => 0.5 });
  t.deepEqual(await client.send([usageEvent()], new AbortController().signal), deferred(300, 'connect'));
  t.deepEqual(await send(), deferred(300, 'connect'));
  t.is(attempts(), 1);
  await clock.advance(299.5);
  t.deepEqual(await send(), deferred(1, 'connect'), 'rounded up, or the emitter would try a moment too early');
  await clock.advance(0.5);
  const probe = pending();
  network.answer = () => probe.promise;
  const probing = send();
  t.deepEqual(await send(), deferred(250, 'connect'));
  probe.resolve(SENT);
  t.deepEqual(await probing, SENT);
  network.answer = SENT;
  t.deepEqual([await send(), await send()], [SENT, SENT]);
  t.is(attempts(), 4);
});

test('the next attempt comes after 200 to 400 ms', async (t) => {
  for (const [chance, waitMs] of [
    [0, 200],
    [0.25, 250],
    [0.999_999, 400],
  ] as const) {
    t.deepEqual(await arrange(CONNECT, { random: () => chance }).send(), deferred(waitMs, 'connect'));
  }
});

test('the cause of a failure is part of the outcome', async (t) => {
  const { send } = arrange({ ...CONNECT, cause: 'refused' });
  t.deepEqual(await send(), { kind: 'deferred', waitMs: 300, reason: 'connect', cause: 'refused' });
});

test(proves('breaker-probe', 'the circuit opens after five failures that span a second'), async (t) => {
  const { clock, send, attempts } = arrange(CONNECT);
  for (let failures = 1; failures <= 4; failures += 1) {
    t.deepEqual(await send(), deferred(300, 'connect'));
    await clock.advance(300);
  }
  t.deepEqual(await send(), { ...CONNECT, kind: 'deferred', waitMs: 2000 });
  t.deepEqual(await send(), deferred(2000));
  t.is(attempts(), 5);
});

for (const [spanMs, isOpen] of [
  [0, false],
  [999, false],
  [1000, true],
] as const) {
  test(`failures within ${spanMs} ms ${isOpen ? 'open' : 'do not open'} the circuit`, async (t) => {
    const { clock, network, send } = arrange(CONNECT);
    const attempts = Array.from({ length: 9 }, () => pending());
    let next = 0;
    network.answer = () => attempts[next++]?.promise;
    const sends = attempts.map(() => send());
    for (const attempt of attempts.slice(0, 8)) attempt.resolve(CONNECT);
    await Promise.all(sends.slice(0, 8));
    clock.nowMs = spanMs;
    network.answer = CONNECT;
    // The time of the next attempt, if that has not come.
    await clock.advance(Math.max(0, 300 - spanMs));
    clock.nowMs = Math.max(spanMs, 300);
    if (spanMs === 999) clock.nowMs = 999;
    t.deepEqual(await send(), deferred(isOpen ? 2000 : 300, 'connect'));
    t.deepEqual(await send(), deferred(isOpen ? 2000 : 300, isOpen ? 'circuit_open' : 'connect'));
  });
}

for (const outcome of [TIMEOUT, { kind: 'retryable', reason: 'timeout' }] as const satisfies SendOutcome[]) {
  test(`counts ${JSON.stringify(outcome)} as a failure, and returns it as it is`, async (t) => {
    const { open, send } = arrange(outcome);
    await open();
    t.deepEqual(await send(), deferred(2000));
  });
}

for (const outcome of [
  SENT,
  { kind: 'retryable', reason: 'http_503' },
  { kind: 'rejected', reason: 'http_404' },
  { kind: 'rejected', reason: 'redirect_refused' },
  { kind: 'deferred', waitMs: 1000, reason: 'retry_after' },
] as const satisfies SendOutcome[]) {
  test(`${JSON.stringify(outcome)} is an answer: it ends the doubt and closes the circuit`, async (t) => {
    const { clock, network, open, send, attempts } = arrange(CONNECT);
    await send();
    await clock.advance(300);
    network.answer = outcome;
    t.deepEqual([await send(), await send()], [outcome, outcome]);
    network.answer = CONNECT;
    await open();
    t.is(attempts(), 8, 'five more open it');
    await clock.advance(2000);
    network.answer = outcome;
    t.deepEqual([await send(), await send()], [outcome, outcome]);
  });
}

for (const outcome of [
  { kind: 'rejected', reason: 'network' },
  { kind: 'rejected', reason: 'connect' },
  { kind: 'rejected', reason: 'transport_error' },
  { kind: 'rejected', reason: 'proxy_invalid' },
  { kind: 'retryable', reason: 'broker_busy' },
  { kind: 'refused', reason: 'too_large' },
  { kind: 'deferred', waitMs: 1000, reason: 'circuit_open' },
  { kind: 'deferred', waitMs: 300, reason: 'connect' },
  { kind: 'deferred', waitMs: 50, reason: 'busy' },
  { kind: 'deferred', waitMs: 0, reason: 'aborted' },
  { kind: 'aborted' },
] as const satisfies SendOutcome[]) {
  test(`${JSON.stringify(outcome)} says nothing of the network, and another probe may start at once`, async (t) => {
    const { clock, network, open, send, attempts } = arrange(CONNECT);
    await open();
    await clock.advance(2000);
    network.answer = outcome;
    t.deepEqual([await send(), await send()], [outcome, outcome]);
    network.answer = CONNECT;
    t.deepEqual(await send(), deferred(2000, 'connect'));
    t.deepEqual(await send(), deferred(2000));
    t.is(attempts(), 8);
  });
}

test(
  proves('breaker-probe', 'probes come 1 to 3 s apart for a minute; then the time doubles up to an hour, less a random part'),
  async (t) => {
    for (const [chance, steadyMs, later] of [
      [0, 1000, [2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 1800, 1800]],
      [0.5, 2000, [3, 6, 12, 24, 48, 96, 192, 384, 768, 1536, 2700, 2700]],
      [0.999_999_999, 3000, [4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 3600, 3600]],
    ] as const) {
      const { clock, network, open, send, attempts } = arrange(CONNECT, { random: () => chance });
      network.answer = TIMEOUT;
      await open();
      while (attempts() < 5) {
        await clock.advance(200);
        await send();
      }
      const openSinceMs = clock.now();
      const waits: number[] = [];
      while (waits.length < 60) {
        const outcome = await send();
        const waitMs = outcome.kind === 'deferred' ? outcome.waitMs : Number.NaN;
        waits.push(waitMs);
        await clock.advance(waitMs);
        await send();
      }
      const steady = waits.findIndex((waitMs) => waitMs !== steadyMs);
      t.deepEqual(waits.slice(0, steady), waits.slice(0, steady).fill(steadyMs));
      t.true(steady === 36 || (steady - 1) * steadyMs < 60_000, `${steady}`);
      t.true(steady * steadyMs >= 36_000 && openSinceMs >= 1000);
      t.deepEqual(
        waits.slice(steady, steady + 12).map((waitMs) => waitMs / 1000),
        later,
      );
    }
  },
);

test(proves('breaker-firewall', 'a dead network costs at most 60 attempts in the first hour and two in each later one'), async (t) => {
  for (const [name, random] of Object.entries({
    least: (): number => 0,
    middle: (): number => 0.5,
    most: (): number => 0.999_999,
    seeded: seededRandom(7),
  })) {
    for (const answer of [CONNECT, TIMEOUT]) {
      const { clock, inner, send } = arrange(answer, { random });
      // Six at a time, as the default concurrency, as soon as they may.
      let untilMs = HOUR_MS;
      const runTo = async (endMs: number): Promise<number> => {
        const before = inner.sends.length;
        while (clock.now() < endMs) {
          const outcomes = await Promise.all(Array.from({ length: 6 }, () => send()));
          const waits = outcomes.flatMap((outcome) => (outcome.kind === 'deferred' ? [outcome.waitMs] : []));
          clock.nowMs += waits.length === 0 ? 10 : Math.max(10, Math.min(...waits));
        }
        return inner.sends.length - before;
      };
      const first = await runTo(untilMs);
      t.true(first <= 60 && first >= 20, `${name}: ${first}`);
      for (let hour = 2; hour <= 8; hour += 1) {
        untilMs += HOUR_MS;
        const later = await runTo(untilMs);
        t.true(later <= 2, `${name}: ${later} in hour ${hour}`);
      }
    }
  }
});

test('attempts that were in flight when the first one failed do not put the next attempt off', async (t) => {
  const { clock, network, send } = arrange(CONNECT);
  const slow = pending();
  network.answer = () => slow.promise;
  const inFlight = send();
  network.answer = CONNECT;
  await send();
  await clock.advance(200);
  slow.resolve(CONNECT);
  t.deepEqual(await inFlight, deferred(100, 'connect'));
  await clock.advance(100);
  network.answer = SENT;
  t.deepEqual(await send(), SENT);
});

test('an answer to an attempt in flight when the circuit opened closes it', async (t) => {
  const { clock, network, open, send } = arrange(CONNECT);
  const slow = pending();
  network.answer = () => slow.promise;
  const answeredLate = send();
  network.answer = CONNECT;
  await open();
  await clock.advance(2000);
  const probe = pending();
  network.answer = () => probe.promise;
  const probing = send();
  slow.resolve(SENT);
  t.deepEqual(await answeredLate, SENT);
  probe.resolve(CONNECT);
  t.deepEqual(await probing, deferred(300, 'connect'), 'the probe is the first failure of a new doubt');
});

test('a probe that never settles is replaced after 30 s, and its late outcome puts nothing off', async (t) => {
  const { clock, network, open, send } = arrange(CONNECT);
  await open();
  await clock.advance(2000);
  const stuck = pending();
  network.answer = () => stuck.promise;
  const probing = send();
  await clock.advance(29_999);
  t.deepEqual(await send(), deferred(250));
  await clock.advance(1);
  const second = pending();
  network.answer = () => second.promise;
  const probingAgain = send();
  stuck.resolve(TIMEOUT);
  t.deepEqual(await probing, TIMEOUT);
  t.deepEqual(await send(), deferred(250), 'still half open');
  second.resolve(CONNECT);
  t.deepEqual(await probingAgain, deferred(2000, 'connect'));
});

test('a send whose signal has fired is no probe', async (t) => {
  const { clock, network, open, send, attempts } = arrange(CONNECT);
  await open();
  await clock.advance(2000);
  t.deepEqual(await send(AbortSignal.abort()), { kind: 'aborted' });
  t.is(attempts(), 5);
  network.answer = SENT;
  t.deepEqual(await send(), SENT);
});

/** A breaker whose inner transport notes the limits of its connects. */
function arrangeLimits(answer: Step) {
  const rig = arrange(answer);
  const limits: unknown[] = [];
  Object.assign(rig.inner, {
    [steering]: { limitConnects: (limitMs: number | undefined, isFirm: boolean) => limits.push([limitMs, isFirm]) },
  });
  return { ...rig, limits };
}

test('the connect of an attempt that tests the network is cut at 3 s, later ones are not', async (t) => {
  const { clock, limits, network, send } = arrangeLimits(SENT);
  await send();
  t.deepEqual(limits, []);
  network.answer = CONNECT;
  await send();
  await clock.advance(300);
  network.answer = SENT;
  await send();
  t.deepEqual(limits, [[3000, false]]);
  await send();
  await send();
  t.deepEqual(limits, [
    [3000, false],
    [undefined, false],
  ]);
});

test('while the process leaves, three connects 50 ms apart may fail, then nothing more is tried', async (t) => {
  const { clock, limits, send, transport, attempts } = arrangeLimits(CONNECT);
  transport[steering]?.lastCall?.(true);
  t.deepEqual(await send(), deferred(50, 'connect'));
  await clock.advance(50);
  t.deepEqual(await send(), deferred(50, 'connect'));
  await clock.advance(50);
  t.deepEqual(await send(), deferred(HOUR_MS, 'connect'));
  await clock.advance(60_000);
  t.like(await send(), { kind: 'deferred' });
  t.is(attempts(), 3);
  t.deepEqual(limits, [
    [3000, false],
    [3000, false],
  ]);
});

test('while the process leaves, a success between two failures starts the count again', async (t) => {
  const { clock, network, send, transport } = arrange(CONNECT);
  transport[steering]?.lastCall?.(true);
  for (const answer of [CONNECT, CONNECT, SENT, CONNECT, CONNECT] as const) {
    network.answer = answer;
    t.deepEqual(await send(), answer === SENT ? SENT : deferred(50, 'connect'));
    await clock.advance(50);
  }
  network.answer = CONNECT;
  t.deepEqual(await send(), deferred(HOUR_MS, 'connect'));
});

test('while the process leaves, failures of connects that were in flight together count once', async (t) => {
  const { network, send, transport } = arrange(CONNECT);
  transport[steering]?.lastCall?.(true);
  const together = Array.from({ length: 24 }, () => pending());
  let next = 0;
  network.answer = () => together[next++]?.promise;
  const sends = together.map(() => send());
  for (const each of together) each.resolve(CONNECT);
  const expected = deferred(50, 'connect');
  for (const each of sends) t.deepEqual(await each, expected);
});

test(proves('breaker-probe', 'while the process leaves, an open circuit lets one probe through, for at most a second'), async (t) => {
  const { clock, limits, network, open, send, transport, attempts } = arrangeLimits(CONNECT);
  await open();
  transport[steering]?.lastCall?.(true);
  const probe = pending();
  network.answer = () => probe.promise;
  const probing = send();
  t.deepEqual(await send(), deferred(250));
  t.deepEqual(limits.at(-1), [1000, true]);
  probe.resolve(CONNECT);
  t.deepEqual(await probing, deferred(HOUR_MS, 'connect'));
  t.is(attempts(), 6);

  transport[steering]?.lastCall?.(false);
  t.deepEqual(await send(), deferred(2000), 'the process stays: probes go on');
  await clock.advance(2000);
  network.answer = SENT;
  t.deepEqual([await send(), await send()], [SENT, SENT]);
});

test('while the process leaves, a probe that succeeds opens the way for all', async (t) => {
  const { network, open, send, transport } = arrange(CONNECT);
  await open();
  transport[steering]?.lastCall?.(true);
  network.answer = SENT;
  t.deepEqual([await send(), await send()], [SENT, SENT]);
});

test('the longest time between probes may be less than the usual one', async (t) => {
  const { open, send } = arrange(CONNECT, { maxProbeAfterMs: 500 });
  await open();
  t.deepEqual(await send(), deferred(500));
});

test('an inner transport that throws is a transport_error and does not open the circuit', async (t) => {
  const { send } = arrange(() => {
    throw new Error('a bug');
  });
  for (let index = 0; index < 10; index += 1) t.deepEqual(await send(), { kind: 'rejected', reason: 'transport_error' });
});

test('circuitBreaker forwards the batch size, steering and close', async (t) => {
  const told: unknown[] = [];
  const inner = Object.assign(new SteppedTransport(SENT), {
    maxBatchSize: 7,
    [steering]: {
      lastCall: (isLast: boolean) => told.push(isLast),
      letGo: () => told.push('letGo'),
      hostHasEnded: () => true,
    },
  });
  const transport = circuitBreaker(inner);
  t.is(transport.maxBatchSize, 7);
  transport[steering]?.lastCall?.(true);
  transport[steering]?.letGo?.();
  t.deepEqual(told, [true, 'letGo']);
  t.true(transport[steering]?.hostHasEnded?.());
  await transport.close?.();
  t.is(inner.closed, 1);
});

for (const [options, message] of [
  [{ failureThreshold: 0 }, 'Expected `failureThreshold` to be a whole number from 1 to 1000, got 0.'],
  [{ probeAfterMs: 0 }, 'Expected `probeAfterMs` to be a number of milliseconds from 1 to 2147483647, got 0.'],
  [
    { probeAfterMs: 3000, maxProbeAfterMs: 1000 },
    'Expected `maxProbeAfterMs` to be a number of milliseconds from 3000 to 2147483647, got 1000.',
  ],
  [{ random: 0.5 }, 'Expected `random` to be a function, got 0.5.'],
  [{ clock: Date }, 'Expected `clock` to be an object with `now()`, got a function.'],
  [{ threshold: 5 }, 'Expected `options of circuitBreaker` to have known keys only, got `threshold` with 5.'],
] as const) {
  test(`bad options: ${message}`, (t) => {
    t.throws(() => circuitBreaker(new SteppedTransport(SENT), options as unknown as CircuitBreakerOptions), {
      instanceOf: TypeError,
      message,
    });
  });
}

test('the inner transport of circuitBreaker must have send()', (t) => {
  t.throws(() => circuitBreaker(undefined as unknown as Transport), {
    instanceOf: TypeError,
    message: 'Expected `inner` to be an object with `send()`, got undefined.',
  });
});

test.serial('a clock that throws rejects the send, and causes no unhandled rejection', async (t) => {
  const clock = Object.assign(new VirtualClock(), {
    now: (): number => {
      throw new Error('hunter2');
    },
  });
  const breaker = circuitBreaker(new SteppedTransport(CONNECT), { failureThreshold: 1, clock });
  const unhandled = await unhandledRejections(() =>
    t.throwsAsync(breaker.send([usageEvent()], new AbortController().signal), { message: 'hunter2' }),
  );
  t.deepEqual(unhandled, []);
});
