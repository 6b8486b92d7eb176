// Events that are forwarded in batches: what a refused batch means, and what goes together.
import test from 'ava';
import type { SendOutcome } from '../../src/delivery/transport.js';
import { loadPQueue } from '../../src/delivery/dispatcher.js';
import { startPumpRig } from './helpers/pump-rig.js';

const events = (count: number) => Array.from({ length: count }, (_, number) => `/v3/e${number}`);
const sizes = (attempts: readonly { target: string }[]) => attempts.map(({ target }) => target.split(' ').length);
const REFUSED: SendOutcome = { kind: 'rejected', reason: 'http_400' };
const SENT: SendOutcome = { kind: 'sent' };

// The clock of the rig does not wait for it.
test.before(() => loadPQueue());

test('a refused batch is halved until one event is alone, which fails once another was accepted; then batches grow again', async (t) => {
  const rig = startPumpRig(t, {
    events: events(100),
    endpoint: () => SENT,
    batches: { size: 64, endpoint: (targets) => (targets.includes('/v3/e21') ? REFUSED : SENT) },
  });
  await rig.clock.advance(300_000);
  t.deepEqual(rig.accounts(), { sent: 99, failed: 1, dropped: 0, pending: 0 });
  t.deepEqual(rig.failedBy(), { http_400: 1 });
  t.deepEqual(sizes(rig.attempts).slice(0, 3), [64, 32, 16]);
  t.true(rig.attempts.length < 30, String(sizes(rig.attempts)));
  t.true(Math.max(...sizes(rig.attempts.slice(-5))) >= 16, String(sizes(rig.attempts)));
});

test('an endpoint that refuses all keeps all, at the intervals of the backoff, and the first acceptance ends that', async (t) => {
  let isAway = true;
  const rig = startPumpRig(t, {
    events: events(500),
    endpoint: () => SENT,
    batches: { size: 128, endpoint: () => (isAway ? { kind: 'retryable', reason: 'http_503' } : SENT) },
  });
  await rig.clock.advance(3_600_000);
  t.deepEqual(rig.accounts(), { sent: 0, failed: 0, dropped: 0, pending: 500 });
  t.true(rig.attempts.length < 150, `${rig.attempts.length} attempts in an hour`);
  isAway = false;
  const before = rig.attempts.length;
  await rig.clock.advance(200_000);
  t.deepEqual(rig.accounts(), { sent: 500, failed: 0, dropped: 0, pending: 0 });
  t.true(rig.attempts.length - before < 40, `${rig.attempts.length - before} attempts`);
});

test('a pause that the endpoint asks for keeps the batch whole', async (t) => {
  let asks = 2;
  const rig = startPumpRig(t, {
    events: events(20),
    endpoint: () => SENT,
    batches: { size: 20, endpoint: () => (asks-- > 0 ? { kind: 'deferred', waitMs: 30_000, reason: 'http_429' } : SENT) },
  });
  await rig.clock.advance(59_000);
  t.is(rig.accounts().pending, 20);
  await rig.clock.advance(2000);
  t.deepEqual(sizes(rig.attempts), [20, 20, 20]);
  t.is(rig.accounts().sent, 20);
});

test('of a batch that was answered, each event has its own outcome', async (t) => {
  let isFirst = true;
  const outcomes = ['sent', 'rejected', 'retryable', 'sent'] as const;
  const rig = startPumpRig(t, {
    events: events(4),
    endpoint: () => SENT,
    batches: {
      size: 4,
      endpoint: (targets) => {
        if (!isFirst) return targets.length === 1 ? { kind: 'partial', outcomes: [SENT] } : SENT;
        isFirst = false;
        return {
          kind: 'partial',
          outcomes: outcomes.map((kind) => (kind === 'sent' ? { kind } : { kind, reason: kind === 'rejected' ? 'http_404' : 'http_503' })),
        };
      },
    },
  });
  await rig.clock.advance(60_000);
  t.deepEqual(rig.accounts(), { sent: 3, failed: 1, dropped: 0, pending: 0 });
  t.deepEqual(rig.failedBy(), { http_404: 1 });
  t.deepEqual(
    rig.attempts.map(({ target }) => target),
    ['/v3/e0 /v3/e1 /v3/e2 /v3/e3', '/v3/e2'],
  );
});

const dag = (number: number) => `/dag-factory/v2/${number}`;

test('a batch has one destination, and DAG Factory takes one event at a time', async (t) => {
  const rig = startPumpRig(t, {
    events: ['/v3/a', '/v3/b', dag(1), dag(2), '/v3/c', '/v3/d'],
    endpoint: () => SENT,
    batches: { size: 4, endpoint: () => SENT },
  });
  await rig.clock.advance(1000);
  t.deepEqual(
    rig.attempts.map(({ target }) => target),
    ['/v3/a /v3/b', '/v2/1', '/v2/2', '/v3/c /v3/d'],
  );
  t.is(rig.accounts().sent, 6);
});
