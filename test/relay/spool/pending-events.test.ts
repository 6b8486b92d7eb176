import test from 'ava';
import { PendingEvents } from '../../../src/relay/spool/pending-events.js';
import type { PendingEvent } from '../../../src/relay/spool/pending-events.js';
import { seededChance } from './chance.js';

const made = (seq: number): PendingEvent => ({
  seq,
  target: `/${seq}`,
  acceptedAtMs: 0,
  sinceMs: seq,
  mayBeSecond: false,
  isWaiting: false,
});

test('the oldest events leave first, whatever comes back and when', (t) => {
  const random = seededChance(t);
  const pending = new PendingEvents<PendingEvent>();
  let waiting: number[] = [];
  const taken: PendingEvent[] = [];
  let next = 0;
  for (let step = 0; step < 20_000; step += 1) {
    const what = random.below(4);
    if (what < 2) {
      pending.add(made(next));
      waiting.push(next);
      next += 1;
    } else if (what === 2) {
      const events = pending.take(random.below(5));
      waiting.sort((left, right) => left - right);
      t.deepEqual(
        events.map(({ seq }) => seq),
        waiting.splice(0, events.length),
      );
      taken.push(...events);
    } else {
      const back = taken.splice(random.below(taken.length + 1), random.below(4));
      t.is(pending.putBack(back).length, back.length);
      waiting.push(...back.map(({ seq }) => seq));
    }
    t.is(pending.length, waiting.length);
    if (step % 1000 === 999) {
      const limit = next - 300;
      const expected = waiting.filter((seq) => seq < limit).toSorted((left, right) => left - right);
      t.deepEqual(
        pending.expire(next, 300).map(({ seq }) => seq),
        expected,
      );
      waiting = waiting.filter((seq) => seq >= limit);
    }
  }
  t.is(pending.oldestSeq, Math.min(...waiting));
});
