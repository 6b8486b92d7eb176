// The last events, and what became of them.
import test from 'ava';
import { RecentEvents } from '../../../src/relay/page/recent-events.js';
import { VirtualClock } from '../../helpers/virtual-clock.js';

const EVENT = '/v3/dag_run?status=success&task_count=3';
const LINE =
  '{"id":"019a2b3c-4d5e-7f60-8a9b-0c1d2e3f4a5b","time":"2026-01-01T00:00:00.000Z","event":"task_instance","status":"failed","duration":7.0}';

function rig(maxAgeMs = 60_000) {
  const clock = new VirtualClock();
  return { clock, recent: new RecentEvents(clock, maxAgeMs) };
}

test('an event is kept with its fields and their meanings', (t) => {
  const { recent } = rig();
  recent.accepted(EVENT, [{ name: 'x'.repeat(100), why: 'undeclared' }]);
  recent.accepted(LINE, []);
  recent.accepted('/v1/1.8.0/2.10.1/3.11/Linux/x86_64/dag_run/success/0123456789ab/3/3', []);
  const [older, line, event] = recent.shown();
  t.deepEqual(event?.fields, [
    { name: 'status', value: 'success', meaning: 'How it ended.' },
    { name: 'task_count', value: '3', meaning: 'How many tasks the DAG has.' },
  ]);
  t.like(event, { type: 'dag_run', at: '2026-01-01T00:00:00.000Z', fate: { kind: 'waiting' } });
  t.is(event?.lost[0]?.name.length, 64);
  t.is(line?.type, 'task_instance');
  t.deepEqual(
    line?.fields.map(({ name, value }) => [name, value]),
    [
      ['status', 'failed'],
      ['duration', '7'],
    ],
  );
  t.is(older?.type, 'dag_run');
  t.true(older?.fields.some(({ name, value }) => name === 'status' && value === 'success'));
});

test('a value and a number of fields without end are cut', (t) => {
  const { recent } = rig();
  recent.accepted(`/v3/other?long=${'x'.repeat(7000)}${Array.from({ length: 500 }, (_, index) => `&f${index}=1`).join('')}`, []);
  const [event] = recent.shown();
  t.is(event?.fields.length, 64);
  t.is(event?.fields[0]?.value.length, 257);
  t.is(event?.fields[0]?.meaning, undefined);
});

test('fifty events are kept, the newest first', (t) => {
  const { recent } = rig();
  for (let event = 1; event <= 60; event += 1) recent.accepted(`/v3/dag_run?task_count=${event}`, []);
  const shown = recent.shown();
  t.is(shown.length, 50);
  t.deepEqual([shown[0]?.fields[0]?.value, shown[49]?.fields[0]?.value], ['60', '11']);
  t.deepEqual([shown[0]?.id, shown[49]?.id], [60, 11]);
});

test('the fate of an event is that of its last attempt', (t) => {
  const { recent } = rig();
  const fates = () => recent.shown().map(({ fate }) => fate);
  recent.accepted(EVENT, []);
  recent.settled(EVENT, 0, { kind: 'deferred', waitMs: 1, reason: 'connect', cause: 'refused' });
  t.deepEqual(fates(), [{ kind: 'waiting', reason: 'refused' }]);
  recent.settled(EVENT, 0, { kind: 'rejected', reason: 'http_404' });
  t.deepEqual(fates(), [{ kind: 'failed', reason: 'http_404' }]);
  recent.accepted(EVENT, []);
  recent.accepted(EVENT, []);
  // Of two that are alike, the older goes first.
  recent.settled(EVENT, 0, { kind: 'sent' });
  t.deepEqual(
    fates().map(({ kind }) => kind),
    ['waiting', 'sent', 'failed'],
  );
  recent.settled(EVENT, 0, { kind: 'refused', reason: 'too_large' });
  t.deepEqual(fates()[0], { kind: 'dropped', reason: 'too_large' });
  recent.accepted(EVENT, []);
  recent.settled(EVENT, 0, { kind: 'aborted' });
  t.deepEqual(fates()[0], { kind: 'failed', reason: 'aborted' });
});

test('an event of an earlier process is kept once its fate is known', (t) => {
  const { recent } = rig();
  recent.settled(EVENT, 1000, { kind: 'deferred', waitMs: 1, reason: 'connect' });
  t.deepEqual(recent.shown(), []);
  recent.settled(EVENT, 1000, { kind: 'sent' });
  t.like(recent.shown()[0], { at: '1970-01-01T00:00:01.000Z', fate: { kind: 'sent' } });
});

test('a time that is none, as a store of a program may give it, is that of the outcome', (t) => {
  const { clock, recent } = rig();
  for (const timeMs of [undefined, NaN, 9e15]) recent.settled(EVENT, timeMs as number, { kind: 'sent' });
  t.deepEqual(
    recent.shown().map(({ at }) => at),
    Array.from({ length: 3 }, () => new Date(clock.wallNow()).toISOString()),
  );
});

test('an event that waited for too long is dropped, unless it was in flight', (t) => {
  const { clock, recent } = rig(60_000);
  recent.accepted(EVENT, []);
  clock.jumpWall(3_600_000);
  recent.expire();
  t.is(recent.shown()[0]?.fate.kind, 'waiting');
  clock.nowMs = 60_001;
  recent.expire();
  t.deepEqual(recent.shown()[0]?.fate, { kind: 'dropped', reason: 'expired' });
  recent.settled(EVENT, 0, { kind: 'sent' });
  t.deepEqual(
    recent.shown().map(({ fate }) => fate),
    [{ kind: 'sent', reason: undefined }],
  );
});

test('after an opt-out nothing is kept', (t) => {
  const { recent } = rig();
  recent.accepted(EVENT, []);
  recent.forget();
  t.deepEqual(recent.shown(), []);
  recent.accepted(EVENT, []);
  recent.settled(EVENT, 0, { kind: 'aborted' });
  t.deepEqual(recent.shown(), []);
});

test('an event that the store could not read is told as lost once the store has none that is so old', async (t) => {
  const { clock, recent } = rig();
  const fates = () => recent.shown().map(({ fate }) => fate.reason ?? fate.kind);
  recent.accepted(EVENT, []);
  await clock.advance(5000);
  recent.accepted(LINE, []);
  await clock.advance(1000);
  recent.findLost(1000);
  recent.findLost(undefined);
  t.deepEqual(fates(), ['waiting', 'waiting'], 'nothing was lost');
  recent.unreadable(2);
  recent.findLost(undefined);
  t.deepEqual(fates(), ['unreadable', 'unreadable']);
  // What was lost is not looked for again.
  recent.accepted(EVENT, []);
  await clock.advance(2000);
  recent.accepted(LINE, []);
  recent.findLost(undefined);
  t.deepEqual(fates().slice(0, 2), ['waiting', 'waiting']);
  // The oldest that the store has is as old as the first here, by a clock that is less exact.
  recent.unreadable(1);
  recent.findLost(1999);
  t.deepEqual(fates().slice(0, 2), ['waiting', 'waiting']);
  recent.findLost(0);
  t.deepEqual(fates().slice(0, 2), ['waiting', 'unreadable']);
  recent.findLost(0);
  t.deepEqual(fates().slice(0, 2), ['waiting', 'unreadable']);
});

test('a lost event of an earlier process, which is not shown, makes no other one lost', (t) => {
  const { recent } = rig();
  recent.unreadable(3);
  recent.findLost(undefined);
  recent.accepted(EVENT, []);
  recent.findLost(undefined);
  t.is(recent.shown()[0]?.fate.kind, 'waiting');
});
