import { getEventListeners } from 'node:events';

import test from 'ava';

import { retrying } from '../../src/delivery/retry.js';
import type { RetryingOptions } from '../../src/delivery/retry.js';
import { steering } from '../../src/delivery/transport.js';
import type { SendOutcome, Transport } from '../../src/delivery/transport.js';
import { SteppedTransport, seededRandom, usageEvent } from '../helpers/stepped-transport.js';
import type { Step } from '../helpers/stepped-transport.js';
import { settle, VirtualClock } from '../helpers/virtual-clock.js';
import { proves } from '../helpers/promises.js';

const CONNECT: SendOutcome = { kind: 'retryable', reason: 'connect' };
const SENT: SendOutcome = { kind: 'sent' };
const EVENTS = [usageEvent('a'), usageEvent('b')];
const LONG_ENOUGH_MS = 60_000;

/** p-retry is loaded lazily, which takes real time; these tests have virtual time only. */
test.before(async () => {
  await import('p-retry');
});

function arrange(steps: Step | Step[], options: RetryingOptions = {}) {
  const clock = new VirtualClock();
  const inner = new SteppedTransport(steps, () => clock.now());
  const transport = retrying(inner, { clock, random: () => 0.5, ...options });
  const controller = new AbortController();
  const outcome = transport.send(EVENTS, controller.signal);
  return {
    clock,
    inner,
    transport,
    controller,
    outcome,
    times: () => inner.sends.map(({ atMs }) => atMs),
    listeners: () => getEventListeners(controller.signal, 'abort').length,
  };
}

for (const outcome of [
  SENT,
  { kind: 'rejected', reason: 'http_404' },
  { kind: 'rejected', reason: 'timeout' },
  { kind: 'refused', reason: 'too_large' },
  { kind: 'deferred', waitMs: 3_600_000, reason: 'retry_after' },
  { kind: 'aborted' },
] as const satisfies SendOutcome[]) {
  test(`returns ${JSON.stringify(outcome)} after one attempt`, async (t) => {
    const { outcome: answer, inner, clock } = arrange(outcome);
    t.deepEqual(await answer, outcome);
    t.deepEqual(inner.sends, [{ ids: ['a', 'b'], atMs: 0 }]);
    t.is(clock.pendingTimers, 0);
  });
}

test('retries the same events after a backoff that doubles', async (t) => {
  const { clock, inner, outcome, listeners } = arrange([CONNECT, CONNECT, SENT], { minDelayMs: 100 });
  await settle();
  t.deepEqual(inner.sends, [{ ids: ['a', 'b'], atMs: 0 }]);
  t.is(clock.pendingTimers, 1);
  t.is(clock.pendingRefTimers, 0);
  await clock.advance(LONG_ENOUGH_MS);
  t.deepEqual(await outcome, SENT);
  // Half of 100 ms, then half of 200 ms.
  t.deepEqual(inner.sends, [
    { ids: ['a', 'b'], atMs: 0 },
    { ids: ['a', 'b'], atMs: 50 },
    { ids: ['a', 'b'], atMs: 150 },
  ]);
  t.is(clock.pendingTimers, 0);
  t.is(listeners(), 0);
});

test('returns the last retryable outcome when the retries are used up', async (t) => {
  const { clock, inner, outcome } = arrange([CONNECT, CONNECT, { kind: 'retryable', reason: 'http_503' }]);
  await clock.advance(LONG_ENOUGH_MS);
  t.deepEqual(await outcome, { kind: 'retryable', reason: 'http_503' });
  t.is(inner.sends.length, 3);
});

test('a deferred outcome ends the retries', async (t) => {
  const { clock, inner, outcome } = arrange([CONNECT, { kind: 'deferred', waitMs: 60_000, reason: 'circuit_open' }, SENT]);
  await clock.advance(LONG_ENOUGH_MS);
  t.deepEqual(await outcome, { kind: 'deferred', waitMs: 60_000, reason: 'circuit_open' });
  t.is(inner.sends.length, 2);
});

test('retries: 0 never waits', async (t) => {
  const { clock, outcome, inner } = arrange(CONNECT, { retries: 0 });
  t.deepEqual(await outcome, CONNECT);
  t.is(inner.sends.length, 1);
  t.is(clock.pendingTimers, 0);
});

test('the backoff is capped at maxDelayMs', async (t) => {
  const { clock, times, outcome } = arrange(CONNECT, { retries: 4, minDelayMs: 100, maxDelayMs: 300, random: () => 1 });
  await clock.advance(LONG_ENOUGH_MS);
  await outcome;
  t.deepEqual(times(), [0, 100, 300, 600, 900]);
});

test(proves('retry-jitter', 'delays differ across 1,000 seeded runs, fill their bounds and stay inside them'), async (t) => {
  const clock = new VirtualClock();
  const inners = Array.from({ length: 1000 }, () => new SteppedTransport(CONNECT, () => clock.now()));
  const sends = inners.map((inner, seed) =>
    retrying(inner, { clock, random: seededRandom(seed) }).send(EVENTS, new AbortController().signal),
  );
  await clock.advance(LONG_ENOUGH_MS);
  await Promise.all(sends);

  const delays = (retry: 1 | 2) =>
    inners.map(({ sends: attempts }) => (attempts[retry]?.atMs ?? Number.NaN) - (attempts[retry - 1]?.atMs ?? Number.NaN));
  for (const [retry, boundMs] of [
    [1, 250],
    [2, 500],
  ] as const) {
    const seen = delays(retry);
    // Timers round delays below 1 ms up, as in Node.
    t.true(seen.every((delay) => delay > 0.99 && delay < boundMs));
    t.true(new Set(seen).size > 950, 'nearly all hosts return at different times');
    t.true(Math.min(...seen) < boundMs * 0.02, 'full jitter reaches down to nothing');
    t.true(Math.max(...seen) > boundMs * 0.98);
    const mean = seen.reduce((sum, delay) => sum + delay, 0) / seen.length;
    t.true(Math.abs(mean - boundMs / 2) < boundMs * 0.05, `even: mean ${mean}`);
  }
});

test('an abort ends a backoff at once, with its timer and listener', async (t) => {
  const { clock, controller, inner, outcome, listeners } = arrange([CONNECT, SENT]);
  await settle();
  t.is(clock.pendingTimers, 1);
  controller.abort();
  t.deepEqual(await outcome, { kind: 'aborted' });
  t.is(clock.pendingTimers, 0);
  t.is(listeners(), 0);
  t.is(inner.sends.length, 1);
});

test('an abort between an attempt and its backoff also counts', async (t) => {
  const box: { controller?: AbortController } = {};
  const run = arrange([
    async () => {
      await settle(1);
      box.controller?.abort();
      return CONNECT;
    },
    SENT,
  ]);
  box.controller = run.controller;
  t.deepEqual(await run.outcome, { kind: 'aborted' });
  t.is(run.inner.sends.length, 1);
  t.is(run.clock.pendingTimers, 0);
});

test('nothing is tried if the signal fired before', async (t) => {
  const inner = new SteppedTransport(SENT);
  t.deepEqual(await retrying(inner).send(EVENTS, AbortSignal.abort()), { kind: 'aborted' });
  t.deepEqual(inner.sends, []);
});

test('an event that a retry delivered stays delivered, even if the signal fired meanwhile', async (t) => {
  const box: { controller?: AbortController } = {};
  const run = arrange([
    CONNECT,
    async () => {
      box.controller?.abort();
      return SENT;
    },
  ]);
  box.controller = run.controller;
  await run.clock.advance(LONG_ENOUGH_MS);
  t.deepEqual(await run.outcome, SENT);
});

test('the last call ends every backoff with one final attempt', async (t) => {
  const { clock, inner, transport, outcome } = arrange(CONNECT);
  await settle();
  t.is(clock.pendingTimers, 1);
  transport[steering]?.lastCall?.(true);
  t.deepEqual(await outcome, CONNECT);
  t.is(inner.sends.length, 2);
  t.is(clock.now(), 0);
  t.is(clock.pendingTimers, 0);
});

test('during the last call nothing backs off; afterwards it does again', async (t) => {
  const { clock, inner, transport, outcome } = arrange(SENT);
  await outcome;
  const failing = new SteppedTransport(CONNECT);
  const other = retrying(failing, { clock });
  other[steering]?.lastCall?.(true);
  t.deepEqual(await other.send(EVENTS, new AbortController().signal), CONNECT);
  t.is(failing.sends.length, 1);
  t.is(clock.pendingTimers, 0);

  other[steering]?.lastCall?.(false);
  const late = other.send(EVENTS, new AbortController().signal);
  await clock.advance(LONG_ENOUGH_MS);
  t.deepEqual(await late, CONNECT);
  t.is(failing.sends.length, 4);
  transport[steering]?.lastCall?.(true);
  t.is(inner.sends.length, 1);
});

test('a last call during an attempt prevents the backoff and keeps the outcome', async (t) => {
  const box: { transport?: Transport } = {};
  const run = arrange([
    async () => {
      await settle(1);
      box.transport?.[steering]?.lastCall?.(true);
      return CONNECT;
    },
    SENT,
  ]);
  box.transport = run.transport;
  t.deepEqual(await run.outcome, CONNECT);
  t.is(run.inner.sends.length, 1);
});

for (const [name, step] of [
  [
    'throws',
    () => {
      throw new Error('https://user:secret@host/?query');
    },
  ],
  [
    'rejects',
    async () => {
      throw new Error('rejected');
    },
  ],
  [
    'rejects with nothing',
    async () => {
      throw undefined as unknown as Error;
    },
  ],
  ['answers with nothing', async () => undefined],
  ['answers with an unknown kind', async () => ({ kind: 'delivered' })],
  ['answers with an error text as the reason', async () => ({ kind: 'rejected', reason: 'GET https://host/?query failed' })],
  ['answers with a symbol as the reason', async () => ({ kind: 'retryable', reason: Symbol('reason') })],
  ['defers by a string', async () => ({ kind: 'deferred', reason: 'later', waitMs: 'a while' })],
  [
    'answers with an object that throws',
    async () => ({
      get kind() {
        throw new Error('kind');
      },
    }),
  ],
] as const satisfies (readonly [string, Step])[]) {
  test(`an inner transport that ${name} is a transport_error`, async (t) => {
    const { outcome, inner } = arrange(step);
    t.deepEqual(await outcome, { kind: 'rejected', reason: 'transport_error' });
    t.is(inner.sends.length, 1);
  });
}

test('an inner transport that throws on a retry ends the retries', async (t) => {
  const { clock, outcome, inner } = arrange([
    CONNECT,
    () => {
      throw new TypeError('a bug');
    },
    SENT,
  ]);
  await clock.advance(LONG_ENOUGH_MS);
  t.deepEqual(await outcome, { kind: 'rejected', reason: 'transport_error' });
  t.is(inner.sends.length, 2);
});

test('an inner transport that rejects because of the signal was aborted', async (t) => {
  const run = arrange(
    (signal) =>
      new Promise((_, reject) => {
        signal.addEventListener('abort', () => reject(new DOMException('This operation was aborted', 'AbortError')));
      }),
  );
  run.controller.abort();
  t.deepEqual(await run.outcome, { kind: 'aborted' });
});

test('a random source that throws costs the retry, not the event', async (t) => {
  const { outcome } = arrange([CONNECT, SENT], {
    random: () => {
      throw new Error('no chance');
    },
  });
  t.deepEqual(await outcome, CONNECT);
});

test('retrying forwards the batch size, the last call and close', async (t) => {
  const told: boolean[] = [];
  let closed = 0;
  const inner: Transport = {
    maxBatchSize: 20,
    send: async () => SENT,
    close: async () => {
      closed += 1;
    },
    [steering]: { lastCall: (active) => told.push(active) },
  };
  const transport = retrying(inner);
  t.is(transport.maxBatchSize, 20);
  transport[steering]?.lastCall?.(true);
  transport[steering]?.lastCall?.(false);
  t.deepEqual(told, [true, false]);
  await transport.close?.();
  t.is(closed, 1);

  const plain = retrying({ send: async () => SENT });
  t.false('maxBatchSize' in plain);
  t.notThrows(() => plain.close?.());
});

for (const [options, message] of [
  [{ retries: -1 }, 'Expected `retries` to be a whole number from 0 to 100, got -1.'],
  [{ retries: 1.5 }, 'Expected `retries` to be a whole number from 0 to 100, got 1.5.'],
  [{ retries: '2' }, 'Expected `retries` to be a whole number from 0 to 100, got "2".'],
  [{ retries: 'https://user:secret@host' }, 'Expected `retries` to be a whole number from 0 to 100, got "https://***@host".'],
  [{ retries: Symbol('two') }, 'Expected `retries` to be a whole number from 0 to 100, got a symbol.'],
  [{ minDelayMs: Number.NaN }, 'Expected `minDelayMs` to be a number of milliseconds from 0 to 2147483647, got NaN.'],
  [{ maxDelayMs: 249 }, 'Expected `maxDelayMs` to be a number of milliseconds from 250 to 2147483647, got 249.'],
  [{ maxDelayMs: 2 ** 31 }, 'Expected `maxDelayMs` to be a number of milliseconds from 0 to 2147483647, got 2147483648.'],
  [{ random: 0.5 }, 'Expected `random` to be a function, got 0.5.'],
  [{ clock: { setTimeout } }, 'Expected `clock` to be an object with `setTimeout()` and `clearTimeout()`, got an object.'],
  [{ attempts: 3 }, 'Expected `options of retrying` to have known keys only, got `attempts` with 3.'],
  [null, 'Expected `options of retrying` to be an object, got null.'],
  [() => 1, 'Expected `options of retrying` to be an object, got a function.'],
] as const) {
  test(`bad options: ${message}`, (t) => {
    t.throws(() => retrying({ send: async () => SENT }, options as unknown as RetryingOptions), { instanceOf: TypeError, message });
  });
}

test('the inner transport of retrying must have send()', (t) => {
  t.throws(() => retrying({} as unknown as Transport), {
    instanceOf: TypeError,
    message: 'Expected `inner` to be an object with `send()`, got an object.',
  });
});
