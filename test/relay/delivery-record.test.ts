// What the outcomes of attempts show, and the lines of the log about it.
import test from 'ava';
import { DeliveryRecord } from '../../src/relay/delivery-record.js';
import { RelayLog } from '../../src/relay/log.js';
import { VirtualClock } from '../helpers/virtual-clock.js';

const NOW = Date.UTC(2026, 10, 28, 14, 5, 30);

function makeRecord() {
  const clock = new VirtualClock({ wallStartMs: NOW });
  const lines: string[] = [];
  const queue = { pending: 0 };
  const log = new RelayLog({ debug: () => undefined, warn: (line) => lines.push(line) }, clock);
  const record = new DeliveryRecord({ clock, log, pending: () => queue.pending });
  return { clock, lines, queue, record };
}

const REFUSED = { kind: 'deferred', waitMs: 10, reason: 'connect', cause: 'refused' } as const;
const HELD_BACK = { kind: 'deferred', waitMs: 10, reason: 'circuit_open' } as const;
const BUSY = { kind: 'deferred', waitMs: 10, reason: 'http_429' } as const;

test('a record knows since when attempts fail, why the last one did, and since when they succeed', async (t) => {
  const { clock, queue, record } = makeRecord();
  queue.pending = 2;
  record.observe(REFUSED, 'refused');
  await clock.advance(3000);
  record.observe({ kind: 'rejected', reason: 'timeout' }, undefined);
  record.observe(HELD_BACK, undefined);
  t.like(record, { failingSinceMs: NOW, isFailing: true, failure: 'timeout', breaker: 'open', deliveringSinceMs: undefined });
  t.deepEqual(record.lastFailure, { atMs: NOW + 3000, cause: 'timeout' });
  await clock.advance(1000);
  record.observe({ kind: 'sent' }, undefined);
  await clock.advance(59_999);
  record.observe({ kind: 'sent' }, undefined);
  t.like(record, { failingSinceMs: undefined, isFailing: false, failure: undefined, deliveringSinceMs: NOW + 4000 });
  t.deepEqual(record.lastFailure, { atMs: NOW + 3000, cause: 'timeout' });
  // After a minute without any, it is another stretch.
  await clock.advance(60_000);
  record.observe({ kind: 'sent' }, undefined);
  t.is(record.deliveringSinceMs, NOW + 4000 + 59_999 + 60_000);
  // An event that fails for good, with no other waiting, leaves nothing that could be delivered.
  queue.pending = 0;
  record.observe({ kind: 'rejected', reason: 'http_404' }, undefined);
  t.like(record, { isFailing: false, failure: 'http_404' });
  // What was not tried, or ended by us, changes nothing.
  record.observe({ kind: 'refused', reason: 'too_large' }, undefined);
  record.observe({ kind: 'aborted' }, undefined);
  t.is(record.failure, 'http_404');
});

test('the log says once that no event could be sent for ten seconds, and once that events are sent again', async (t) => {
  const { clock, lines, queue, record } = makeRecord();
  queue.pending = 3;
  record.observe(BUSY, undefined);
  await clock.advance(9999);
  record.observe(BUSY, undefined);
  record.say(false);
  t.deepEqual(lines, []);
  await clock.advance(1);
  record.say(false);
  record.say(false);
  t.deepEqual(lines, ['[telemetry] delivery_stopped: no event could be sent for 10 seconds (http_429); waiting events: 3']);
  record.observe({ kind: 'sent' }, undefined);
  record.observe({ kind: 'sent' }, undefined);
  t.deepEqual(lines.slice(1), ['[telemetry] delivery_resumed: events are sent again']);
});

test('the ten seconds begin when an event waits, and not with one that failed for good', async (t) => {
  const { clock, lines, queue, record } = makeRecord();
  record.observe({ kind: 'rejected', reason: 'http_404' }, undefined);
  await clock.advance(11_000);
  queue.pending = 1;
  record.observe(BUSY, undefined);
  await clock.advance(1000);
  record.say(false);
  t.deepEqual(lines, []);
  await clock.advance(9000);
  record.say(false);
  t.is(lines.length, 1);
});

test('the log does not say what the circuit breaker or a pause has said, nor what concerns no event', async (t) => {
  const { clock, lines, queue, record } = makeRecord();
  queue.pending = 3;
  record.observe(REFUSED, 'refused');
  await clock.advance(20_000);
  record.say(true);
  // Its event and all others have expired.
  queue.pending = 0;
  record.say(false);
  record.observe({ kind: 'sent' }, undefined);
  t.deepEqual(lines, []);
});

test('a record knows since when it is not known whether anything may be sent', async (t) => {
  const { clock, record } = makeRecord();
  record.setUndecided(true);
  await clock.advance(1000);
  record.setUndecided(true);
  t.is(record.undecidedSinceMs, NOW);
  record.setUndecided(false);
  t.is(record.undecidedSinceMs, undefined);
});

test('a wall clock that is set does not change how long ago an event was sent', async (t) => {
  const { clock, record } = makeRecord();
  t.is(record.sinceSentMs, undefined);
  record.observe({ kind: 'sent' }, undefined);
  clock.jumpWall(-86_400_000);
  await clock.advance(59_000);
  t.is(record.sinceSentMs, 59_000);
  clock.jumpWall(3 * 86_400_000);
  record.observe({ kind: 'sent' }, undefined);
  // The same stretch, though the wall clock has a gap.
  t.is(record.deliveringSinceMs, NOW);
  clock.jumpWall(-3 * 86_400_000);
  await clock.advance(61_000);
  t.is(record.sinceSentMs, 61_000);
  record.observe({ kind: 'sent' }, undefined);
  t.is(record.deliveringSinceMs, NOW - 86_400_000 + 120_000);
});
