import test from 'ava';
import { circuitBreaker } from '../../src/delivery/circuit-breaker.js';
import type { CircuitBreakerOptions } from '../../src/delivery/circuit-breaker.js';
import { retrying } from '../../src/delivery/retry.js';
import { steering } from '../../src/delivery/transport.js';
import type { SendOutcome, Transport } from '../../src/delivery/transport.js';
import { breakerRig, CONNECT, deferred, HOUR_MS, pending, SENT, TIMEOUT } from '../helpers/breaker-rig.js';
import { SteppedTransport, seededRandom, usageEvent } from '../helpers/stepped-transport.js';
import { unhandledRejections } from '../helpers/unhandled-rejections.js';
import { VirtualClock } from '../helpers/virtual-clock.js';
import { proves } from '../helpers/promises.js';

test.before(async () => {
  await import('p-retry');
});

test('an attempt that failed to connect uses up no retry: its event comes back, and one attempt at a time follows', async (t) => {
  const { clock, network, send, attempts, transport } = breakerRig(CONNECT);
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
    t.deepEqual(await breakerRig(CONNECT, { random: () => chance }).send(), deferred(waitMs, 'connect'));
  }
});

test('the cause of a failure is part of the outcome', async (t) => {
  const { send } = breakerRig({ ...CONNECT, cause: 'refused' });
  t.deepEqual(await send(), { kind: 'deferred', waitMs: 300, reason: 'connect', cause: 'refused' });
});

test(proves('breaker-probe', 'the circuit opens after five failures that span a second'), async (t) => {
  const { clock, send, attempts } = breakerRig(CONNECT);
  for (let failures = 1; failures <= 4; failures += 1) {
    t.deepEqual(await send(), deferred(300, 'connect'));
    await clock.advance(300);
  }
  t.deepEqual(await send(), deferred(2000), 'the failure itself says that the circuit is open: no other event may be there to say it');
  t.deepEqual(await send(), deferred(2000));
  t.is(attempts(), 5);
});

test('four failures do not open the circuit, however long they span', async (t) => {
  const { clock, send } = breakerRig(CONNECT, { random: () => 0.999_999 });
  for (let failures = 1; failures <= 4; failures += 1) {
    t.deepEqual(await send(), deferred(400, 'connect'));
    await clock.advance(400);
  }
  t.deepEqual(await send(), deferred(3000));
});

test('six refusals within a millisecond do not open the circuit', async (t) => {
  const { network, send, attempts } = breakerRig(CONNECT);
  const together = Array.from({ length: 6 }, () => pending());
  network.answer = () => together[attempts() - 1]?.promise;
  const sends = together.map(() => send());
  for (const each of together) each.resolve(CONNECT);
  for (const each of sends) t.deepEqual(await each, deferred(300, 'connect'));
  t.deepEqual(await send(), deferred(300, 'connect'));
});

for (const [spanMs, waitMs, reason] of [
  [999, 300, 'connect'],
  [1000, 2000, 'circuit_open'],
] as const) {
  test(`six failures that span ${spanMs} ms ${reason === 'connect' ? 'do not open' : 'open'} the circuit`, async (t) => {
    const { clock, network, send } = breakerRig(CONNECT);
    await Promise.all(Array.from({ length: 5 }, () => send()));
    await clock.advance(300);
    const sixth = pending();
    network.answer = () => sixth.promise;
    const failing = send();
    await clock.advance(spanMs - 300);
    sixth.resolve(CONNECT);
    t.deepEqual(await failing, deferred(waitMs, reason));
    t.deepEqual(await send(), deferred(waitMs, reason));
  });
}

for (const outcome of [
  TIMEOUT,
  { kind: 'retryable', reason: 'timeout' },
  { kind: 'rejected', reason: 'network' },
] as const satisfies SendOutcome[]) {
  test(`counts ${JSON.stringify(outcome)} as a failure, and returns it as it is`, async (t) => {
    const { open, send } = breakerRig(outcome);
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
    const { clock, network, open, send, attempts } = breakerRig(CONNECT);
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
    const { clock, network, open, send, attempts } = breakerRig(CONNECT);
    await open();
    await clock.advance(2000);
    network.answer = outcome;
    t.deepEqual([await send(), await send()], [outcome, outcome]);
    network.answer = CONNECT;
    t.deepEqual(await send(), deferred(2000));
    t.deepEqual(await send(), deferred(2000));
    t.is(attempts(), 8);
  });
}

test(
  proves('breaker-probe', 'probes come 1 to 3 s apart for a minute; then the time doubles up to an hour, less a random part'),
  async (t) => {
    for (const [chance, steadyMs, steady, later] of [
      [0, 1000, 36, [2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 1800, 1800]],
      [0.5, 2000, 30, [3, 6, 12, 24, 48, 96, 192, 384, 768, 1536, 2700, 2700]],
      [0.999_999_999, 3000, 20, [4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 3600, 3600]],
    ] as const) {
      const { clock, send } = breakerRig(CONNECT, { random: () => chance });
      let outcome = await send();
      const waits: number[] = [];
      while (waits.length < steady + later.length) {
        const { waitMs, reason } = outcome as Extract<SendOutcome, { kind: 'deferred' }>;
        if (reason === 'circuit_open') waits.push(waitMs);
        await clock.advance(waitMs);
        await send();
        outcome = await send();
      }
      t.deepEqual(waits, [...Array.from({ length: steady }, () => steadyMs), ...later.map((seconds) => seconds * 1000)]);
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
      const { clock, inner, send } = breakerRig(answer, { random });
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
  const { clock, network, send } = breakerRig(CONNECT);
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
  const { clock, network, open, send } = breakerRig(CONNECT);
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

test(
  proves(
    'breaker-probe',
    'a probe without an outcome counts as a failure after 1.5 s: the next one does not wait, and its own outcome puts nothing off',
  ),
  async (t) => {
    const { clock, network, open, send, attempts } = breakerRig(CONNECT);
    await open();
    await clock.advance(2000);
    const stuck = pending();
    network.answer = () => stuck.promise;
    const probing = send();
    await clock.advance(1400);
    t.deepEqual(await send(), deferred(100));
    await clock.advance(100);
    t.deepEqual(await send(), deferred(2000), 'as after any failure');
    await clock.advance(2000);
    const second = pending();
    network.answer = () => second.promise;
    const probingAgain = send();
    stuck.resolve(TIMEOUT);
    t.deepEqual(await probing, TIMEOUT);
    t.deepEqual(await send(), deferred(250), 'still half open');
    second.resolve(CONNECT);
    t.deepEqual(await probingAgain, deferred(2000));
    t.is(attempts(), 7);
  },
);

test('a probe that was given up counts once', async (t) => {
  const { clock, network, send } = breakerRig(CONNECT);
  await send();
  for (let failures = 2; failures <= 4; failures += 1) {
    await clock.advance(300);
    const stuck = pending();
    network.answer = () => stuck.promise;
    const probing = send();
    await clock.advance(1500);
    t.deepEqual(await send(), deferred(300, 'connect'));
    stuck.resolve(TIMEOUT);
    await probing;
  }
  await clock.advance(300);
  network.answer = CONNECT;
  t.deepEqual(await send(), deferred(2000), 'this one is the fifth');
});

test(proves('breaker-probe', 'the answer to a probe that was given up closes the circuit all the same'), async (t) => {
  const { clock, network, open, send } = breakerRig(CONNECT);
  await open();
  await clock.advance(2000);
  const slow = pending();
  network.answer = () => slow.promise;
  const probing = send();
  await clock.advance(1500);
  await send();
  slow.resolve(SENT);
  t.deepEqual(await probing, SENT);
  network.answer = SENT;
  t.deepEqual(await send(), SENT);
});

test('a send whose signal has fired is no probe', async (t) => {
  const { clock, network, open, send, attempts } = breakerRig(CONNECT);
  await open();
  await clock.advance(2000);
  t.deepEqual(await send(AbortSignal.abort()), { kind: 'aborted' });
  t.is(attempts(), 5);
  network.answer = SENT;
  t.deepEqual(await send(), SENT);
});

test('the longest time between probes may be less than the usual one', async (t) => {
  const { open, send } = breakerRig(CONNECT, { maxProbeAfterMs: 500 });
  await open();
  t.deepEqual(await send(), deferred(500));
});

test('an inner transport that throws is a transport_error and does not open the circuit', async (t) => {
  const { send } = breakerRig(() => {
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
    },
  });
  const transport = circuitBreaker(inner);
  t.is(transport.maxBatchSize, 7);
  transport[steering]?.lastCall?.(true);
  transport[steering]?.letGo?.();
  t.deepEqual(told, [true, 'letGo']);
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
