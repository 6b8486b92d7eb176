import { getEventListeners } from 'node:events';

import test from 'ava';

import { recordingTransport } from '../../src/testing/index.js';
import type { SendOutcome, UsageEvent } from '../../src/delivery/transport.js';
import { usageEvent } from '../helpers/stepped-transport.js';

const { signal } = new AbortController();

test('records its events and answers `sent`', async (t) => {
  const transport = recordingTransport();
  const metrics = { status: 'success', task_count: 2, nothing: null };
  const event: UsageEvent = { id: '7', type: 'dag_run', metrics, requestTarget: () => '/v3/dag_run?status=success' };
  t.deepEqual(await transport.send([event], signal), { kind: 'sent' });
  metrics.status = 'changed afterwards';
  t.deepEqual(transport.events, [
    {
      id: '7',
      timeMs: undefined,
      type: 'dag_run',
      metrics: { status: 'success', task_count: 2, nothing: null },
      requestTarget: '/v3/dag_run?status=success',
      kinds: {},
    },
  ]);
  t.false('maxBatchSize' in transport);
});

const bytesOf = (): number => 9;
const kindOf: UsageEvent['kindOf'] = (name) => (name === 'took' ? 'duration' : undefined);

test('records the time and the kinds of an event, and says of its batches what it was given', async (t) => {
  const transport = recordingTransport({ maxBatchSize: 4, lingerMs: 10, maxBatchBytes: 100, bytesOf });
  t.like(transport, { maxBatchSize: 4, lingerMs: 10, maxBatchBytes: 100, bytesOf });
  await transport.send([{ ...usageEvent('a'), metrics: { took: 7, what: 'x' }, timeMs: 12, kindOf }], signal);
  t.like(transport.events[0], { timeMs: 12, kinds: { took: 'duration' } });
  t.deepEqual(transport.events[0]?.kinds, { took: 'duration' });
});

test('a list has one outcome per send, its last entry repeats, and each attempt is recorded', async (t) => {
  const retryable: SendOutcome = { kind: 'retryable', reason: 'http_503' };
  const rejected: SendOutcome = { kind: 'rejected', reason: 'timeout' };
  const transport = recordingTransport({ outcomes: [retryable, { kind: 'sent' }, rejected], maxBatchSize: 2 });
  t.is(transport.maxBatchSize, 2);
  const batch = [usageEvent('a'), usageEvent('b')];
  t.deepEqual(await transport.send(batch, signal), retryable);
  t.deepEqual(await transport.send(batch, signal), { kind: 'sent' });
  t.deepEqual(await transport.send([usageEvent('c')], signal), rejected);
  t.deepEqual(await transport.send([usageEvent('d')], signal), rejected);
  t.deepEqual(
    transport.events.map(({ id }) => id),
    ['a', 'b', 'a', 'b', 'c', 'd'],
  );
});

test('a single outcome is for all sends', async (t) => {
  const transport = recordingTransport({ outcomes: { kind: 'refused', reason: 'too_large' } });
  for (let index = 0; index < 3; index += 1) {
    t.deepEqual(await transport.send([usageEvent()], signal), { kind: 'refused', reason: 'too_large' });
  }
});

test('a function decides by event and number, and may return a promise', async (t) => {
  const transport = recordingTransport({
    outcomes: async ({ id }, index) => ({ kind: 'rejected', reason: `${id}_${index}` }),
  });
  t.deepEqual(await transport.send([usageEvent('a'), usageEvent('b')], signal), { kind: 'rejected', reason: 'a_0' });
  t.deepEqual(await transport.send([usageEvent('c')], signal), { kind: 'rejected', reason: 'c_1' });
  t.deepEqual(await transport.send([], signal), { kind: 'sent' });

  const immediate = recordingTransport({ outcomes: ({ type }) => ({ kind: 'refused', reason: type }) });
  t.deepEqual(await immediate.send([usageEvent('a', 'dag_run')], signal), { kind: 'refused', reason: 'dag_run' });
});

test('a pending outcome becomes `aborted` when the signal aborts', async (t) => {
  const controller = new AbortController();
  const transport = recordingTransport({ outcomes: () => new Promise(() => {}) });
  const outcome = transport.send([usageEvent()], controller.signal);
  controller.abort();
  t.deepEqual(await outcome, { kind: 'aborted' });
  t.is(transport.events.length, 1);
  t.deepEqual(await transport.send([usageEvent()], controller.signal), { kind: 'aborted' });
  t.is(transport.events.length, 1, 'a send whose signal has aborted before is not recorded');
});

test('a promised outcome leaves no listener, and its rejection is passed on', async (t) => {
  const controller = new AbortController();
  let turn = 0;
  const transport = recordingTransport({
    outcomes: async () => {
      turn += 1;
      if (turn === 2) throw new Error('a slip in the test');
      return { kind: 'sent' };
    },
  });
  t.deepEqual(await transport.send([usageEvent()], controller.signal), { kind: 'sent' });
  await t.throwsAsync(transport.send([usageEvent()], controller.signal), { message: 'a slip in the test' });
  await Promise.resolve();
  t.is(getEventListeners(controller.signal, 'abort').length, 0);
});

test('waitFor counts events since clear(), and rejects after close()', async (t) => {
  const transport = recordingTransport();
  const three = transport.waitFor(3);
  let resolved = false;
  const marked = (async () => {
    await three;
    resolved = true;
  })();
  await transport.send([usageEvent('a'), usageEvent('b')], signal);
  t.false(resolved);
  await transport.send([usageEvent('c')], signal);
  await marked;
  await transport.waitFor(3);

  const kept = transport.events;
  transport.clear();
  t.deepEqual(kept, []);
  const again = t.throwsAsync(transport.waitFor(1), { message: 'Closed after 0 of the 1 events waited for.' });
  t.false(transport.closed);
  await transport.close?.();
  t.true(transport.closed);
  await again;
});

test('an empty list of outcomes is a TypeError', (t) => {
  t.throws(() => recordingTransport({ outcomes: [] }), {
    instanceOf: TypeError,
    message: 'recordingTransport: outcomes must not be an empty list',
  });
});
