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
const MINUTE_MS = 60_000;
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
  const transport = circuitBreaker(inner, { clock, ...options });
  const send = (signal = new AbortController().signal) => transport.send([usageEvent()], signal);
  return {
    clock,
    network,
    inner,
    transport,
    send,
    attempts: () => inner.sends.length,
    sendTimes: async (count: number): Promise<void> => {
      for (let index = 0; index < count; index += 1) await send();
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

function open(waitMs: number): SendOutcome {
  return { kind: 'deferred', waitMs, reason: 'circuit_open' };
}

test(proves('breaker-probe', 'returns outcomes unchanged while closed, and opens after five failures in a row'), async (t) => {
  const { send, attempts } = arrange(CONNECT);
  for (let index = 0; index < 5; index += 1) t.deepEqual(await send(), CONNECT);
  t.deepEqual(await send(), open(MINUTE_MS));
  t.deepEqual(await send(), open(MINUTE_MS));
  t.is(attempts(), 5);
});

for (const outcome of [TIMEOUT, { kind: 'retryable', reason: 'timeout' }] as const satisfies SendOutcome[]) {
  test(`counts ${JSON.stringify(outcome)} as a failure`, async (t) => {
    const { network, send, sendTimes } = arrange(CONNECT);
    await sendTimes(4);
    network.answer = outcome;
    t.deepEqual(await send(), outcome);
    t.deepEqual(await send(), open(MINUTE_MS));
  });
}

for (const outcome of [
  SENT,
  { kind: 'retryable', reason: 'http_503' },
  { kind: 'rejected', reason: 'http_404' },
  { kind: 'rejected', reason: 'redirect_refused' },
  { kind: 'deferred', waitMs: 1000, reason: 'retry_after' },
] as const satisfies SendOutcome[]) {
  test(`${JSON.stringify(outcome)} is an answer: it resets the count and closes the circuit`, async (t) => {
    const { clock, network, send, sendTimes } = arrange(CONNECT);
    await sendTimes(4);
    network.answer = outcome;
    t.deepEqual(await send(), outcome);
    network.answer = CONNECT;
    await sendTimes(4);
    t.deepEqual(await send(), CONNECT, 'the fifth since the answer');

    await clock.advance(MINUTE_MS);
    network.answer = outcome;
    t.deepEqual(await send(), outcome, 'the probe');
    network.answer = SENT;
    t.deepEqual(await send(), SENT);
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
  { kind: 'deferred', waitMs: 50, reason: 'busy' },
  { kind: 'aborted' },
] as const satisfies SendOutcome[]) {
  test(`${JSON.stringify(outcome)} says nothing: it keeps the count, and another probe may start`, async (t) => {
    const { clock, network, send, sendTimes, attempts } = arrange(CONNECT);
    await sendTimes(4);
    network.answer = outcome;
    t.deepEqual(await send(), outcome);
    network.answer = CONNECT;
    t.deepEqual(await send(), CONNECT);
    t.deepEqual(await send(), open(MINUTE_MS));

    await clock.advance(MINUTE_MS);
    network.answer = outcome;
    t.deepEqual(await send(), outcome, 'the probe');
    network.answer = CONNECT;
    t.deepEqual(await send(), CONNECT, 'another probe, at once');
    t.deepEqual(await send(), open(2 * MINUTE_MS), 'doubled once, by the one that failed');
    t.is(attempts(), 8);
  });
}

test('the wait counts down to the probe', async (t) => {
  const { clock, send, sendTimes } = arrange(CONNECT);
  await sendTimes(5);
  await clock.advance(59_000.5);
  t.deepEqual(await send(), open(1000), 'rounded up, or the emitter would try a moment too early');
  await clock.advance(999.5);
  t.deepEqual(await send(), CONNECT);
});

test('exactly one probe goes through; other events wait 250 ms', async (t) => {
  const { clock, network, send, sendTimes, attempts } = arrange(CONNECT);
  await sendTimes(5);
  await clock.advance(MINUTE_MS);
  const probe = pending();
  network.answer = () => probe.promise;
  const probing = send();
  t.deepEqual(await send(), open(250));
  t.deepEqual(await send(), open(250));
  t.is(attempts(), 6);

  network.answer = SENT;
  probe.resolve(SENT);
  t.deepEqual(await probing, SENT);
  t.deepEqual(await send(), SENT);
  t.is(attempts(), 7);
});

test(proves('breaker-probe', 'a failed probe doubles the wait, up to an hour; an answer resets it to a minute'), async (t) => {
  const { clock, network, send, sendTimes } = arrange(CONNECT);
  await sendTimes(5);
  const waits: number[] = [];
  for (let probes = 0; probes < 8; probes += 1) {
    const outcome = await send();
    const waitMs = outcome.kind === 'deferred' ? outcome.waitMs : Number.NaN;
    waits.push(waitMs / MINUTE_MS);
    await clock.advance(waitMs);
    t.deepEqual(await send(), CONNECT);
  }
  t.deepEqual(waits, [1, 2, 4, 8, 16, 32, 60, 60]);

  await clock.advance(HOUR_MS);
  network.answer = SENT;
  t.deepEqual(await send(), SENT);
  network.answer = TIMEOUT;
  await sendTimes(5);
  t.deepEqual(await send(), open(MINUTE_MS));
});

test('attempts in flight when the circuit opens do not double the wait', async (t) => {
  const { clock, network, send } = arrange(CONNECT);
  const attempts = Array.from({ length: 8 }, () => pending());
  let next = 0;
  network.answer = () => attempts[next++]?.promise;
  const sends = attempts.map(() => send());
  for (const [index, attempt] of attempts.entries()) {
    attempt.resolve(CONNECT);
    t.deepEqual(await sends[index], CONNECT);
  }
  t.deepEqual(await send(), open(MINUTE_MS));

  await clock.advance(MINUTE_MS);
  network.answer = CONNECT;
  t.deepEqual(await send(), CONNECT);
  t.deepEqual(await send(), open(2 * MINUTE_MS));
});

test('an answer to an attempt in flight when the circuit opened closes it; the running probe then counts as any attempt', async (t) => {
  const { clock, network, send, sendTimes, attempts } = arrange(CONNECT);
  const slow = pending();
  network.answer = () => slow.promise;
  const answeredLate = send();
  network.answer = CONNECT;
  await sendTimes(5);
  await clock.advance(MINUTE_MS);
  const probe = pending();
  network.answer = () => probe.promise;
  const probing = send();

  slow.resolve(SENT);
  t.deepEqual(await answeredLate, SENT);
  probe.resolve(CONNECT);
  t.deepEqual(await probing, CONNECT);
  network.answer = CONNECT;
  await sendTimes(3);
  t.deepEqual(await send(), CONNECT, 'the fifth in a row, the probe among them');
  t.deepEqual(await send(), open(MINUTE_MS));
  t.is(attempts(), 11);
});

test('a probe that never settles is replaced after another wait, and its late outcome is ignored', async (t) => {
  const { clock, network, send, sendTimes } = arrange(CONNECT);
  await sendTimes(5);
  await clock.advance(MINUTE_MS);
  const stuck = pending();
  network.answer = () => stuck.promise;
  const probing = send();
  await clock.advance(MINUTE_MS - 100);
  t.deepEqual(await send(), open(100));
  await clock.advance(100);
  const second = pending();
  network.answer = () => second.promise;
  const probingAgain = send();
  t.deepEqual(await send(), open(250));

  stuck.resolve(TIMEOUT);
  t.deepEqual(await probing, TIMEOUT);
  t.deepEqual(await send(), open(250), 'still half open');
  second.resolve(CONNECT);
  t.deepEqual(await probingAgain, CONNECT);
  t.deepEqual(await send(), open(2 * MINUTE_MS));
});

test('a send whose signal has fired is no probe', async (t) => {
  const { clock, network, send, sendTimes, attempts } = arrange(CONNECT);
  await sendTimes(5);
  await clock.advance(MINUTE_MS);
  t.deepEqual(await send(AbortSignal.abort()), { kind: 'aborted' });
  t.is(attempts(), 5);
  network.answer = SENT;
  t.deepEqual(await send(), SENT);
});

test(proves('breaker-firewall', 'a blocked firewall costs a handful of attempts an hour, not one per event'), async (t) => {
  const { clock, inner, transport } = arrange(TIMEOUT);
  const client = retrying(transport, { clock, random: seededRandom(1) });
  const refused = arrange(CONNECT);
  const refusedClient = retrying(refused.transport, { clock: refused.clock, random: seededRandom(2) });
  const { signal } = new AbortController();
  for (let second = 0; second < 7200; second += 1) {
    void client.send([usageEvent(`dropped ${second}`)], signal);
    void refusedClient.send([usageEvent(`refused ${second}`)], signal);
    await clock.advance(1000);
    await refused.clock.advance(1000);
  }
  // Five attempts open the circuit. Probes follow after 1, 2, 4, 8, 16 and 32 minutes; the next one is due after the second hour.
  t.is(inner.sends.length, 5 + 6);
  t.is(refused.inner.sends.length, 5 + 6);
  t.is(clock.pendingTimers + refused.clock.pendingTimers, 0);
});

test('an open circuit stays open during the last call', async (t) => {
  const { send, sendTimes, transport, attempts } = arrange(CONNECT);
  await sendTimes(5);
  transport[steering]?.lastCall?.(true);
  t.deepEqual(await send(), open(MINUTE_MS));
  t.is(attempts(), 5);
});

test('an inner transport that throws is a transport_error and does not open the circuit', async (t) => {
  const { send } = arrange(() => {
    throw new Error('a bug');
  });
  for (let index = 0; index < 10; index += 1) t.deepEqual(await send(), { kind: 'rejected', reason: 'transport_error' });
});

test('circuitBreaker forwards the batch size, the last call and close', async (t) => {
  const told: boolean[] = [];
  const inner = Object.assign(new SteppedTransport(SENT), {
    maxBatchSize: 7,
    [steering]: { lastCall: (active: boolean) => told.push(active) },
  });
  const transport = circuitBreaker(inner);
  t.is(transport.maxBatchSize, 7);
  transport[steering]?.lastCall?.(true);
  t.deepEqual(told, [true]);
  await transport.close?.();
  t.is(inner.closed, 1);
});

for (const [options, message] of [
  [{ failureThreshold: 0 }, 'Expected `failureThreshold` to be a whole number from 1 to 1000, got 0.'],
  [{ probeAfterMs: 0 }, 'Expected `probeAfterMs` to be a number of milliseconds from 1 to 2147483647, got 0.'],
  [{ maxProbeAfterMs: 1000 }, 'Expected `maxProbeAfterMs` to be a number of milliseconds from 60000 to 2147483647, got 1000.'],
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
