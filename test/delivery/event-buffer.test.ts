import test from 'ava';
import * as fc from 'fast-check';
import { EventBuffer } from '../../src/delivery/event-buffer.js';
import type { TakenEvent } from '../../src/delivery/event-buffer.js';
import { defineEvent } from '../../src/events/definition.js';
import { collectGarbage } from '../helpers/collect-garbage.js';

const A = defineEvent('a', {});
const B = defineEvent('b', {});

function fill(buffer: EventBuffer, events: number): void {
  for (let number = 0; number < events; number += 1) buffer.push(A, { number }, undefined);
}

function numbers(events: readonly TakenEvent[]): unknown[] {
  return events.map(({ metrics }) => metrics['number']);
}

test('returns events in order, numbered from 0', (t) => {
  const buffer = new EventBuffer(10);
  const metrics = { number: 1 };
  buffer.push(A, metrics, 'packed');
  buffer.push(B, { number: 2 }, undefined);
  t.is(buffer.takeOverflow(), 0);
  t.is(buffer.length, 2);
  const [first, second] = buffer.take(5);
  t.deepEqual(first, { seq: 0, definition: A, metrics, packed: 'packed', timeMs: 0, built: undefined });
  t.is(first?.metrics, metrics);
  t.deepEqual(second, { seq: 1, definition: B, metrics: { number: 2 }, packed: undefined, timeMs: 0, built: undefined });
  t.is(buffer.length, 0);
  t.deepEqual(buffer.take(5), []);
});

test('an event has the time that was set last before it was pushed, also after others were taken, dropped or put back', (t) => {
  const buffer = new EventBuffer(300);
  const push = (count: number): void => {
    for (let n = 0; n < count; n += 1) buffer.push(A, {}, undefined);
  };
  const times = (limit: number): number[] => buffer.take(limit).map(({ timeMs }) => timeMs);
  buffer.setTime(10);
  push(2);
  buffer.setTime(20);
  buffer.setTime(21);
  push(1);
  const back = buffer.take(1);
  t.deepEqual(times(1), [10]);
  buffer.putBack(back);
  buffer.setTime(30);
  push(1);
  t.deepEqual(times(9), [10, 21, 30]);
  // More times than the buffer holds events: those of events that were dropped are forgotten.
  for (let time = 1000; time < 3000; time += 1) {
    buffer.setTime(time);
    push(1);
  }
  t.is(buffer.length, 300);
  t.deepEqual(
    times(300),
    Array.from({ length: 300 }, (_, index) => 2700 + index),
  );
});

test('take() returns at most as many events as asked for', (t) => {
  const buffer = new EventBuffer(10);
  fill(buffer, 5);
  t.deepEqual(numbers(buffer.take(2)), [0, 1]);
  t.deepEqual(numbers(buffer.take(0)), []);
  t.deepEqual(numbers(buffer.take(2)), [2, 3]);
  t.deepEqual(numbers(buffer.take(2)), [4]);
});

test('a full buffer drops the oldest event and counts it', (t) => {
  const buffer = new EventBuffer(3);
  fill(buffer, 3);
  t.is(buffer.oldestSeq, 0);
  buffer.push(A, { number: 3 }, undefined);
  buffer.push(A, { number: 4 }, undefined);
  t.deepEqual([buffer.takeOverflow(), buffer.takeOverflow()], [2, 0]);
  t.is(buffer.length, 3);
  t.is(buffer.oldestSeq, 2);
  t.deepEqual(numbers(buffer.take(9)), [2, 3, 4]);
});

test('a capacity of one keeps the newest', (t) => {
  const buffer = new EventBuffer(1);
  fill(buffer, 5);
  const [only, ...none] = buffer.take(9);
  t.deepEqual([only?.seq, none], [4, []]);
});

test('events put back come before waiting ones, in their old order, as the same objects', (t) => {
  const buffer = new EventBuffer(10);
  fill(buffer, 6);
  const [first, second, third] = buffer.take(3) as [TakenEvent, TakenEvent, TakenEvent];
  t.is(buffer.putBack([third]), 0);
  t.is(buffer.putBack([first, second]), 0);
  t.is(buffer.oldestSeq, 0);
  t.is(buffer.length, 6);
  const again = buffer.take(4);
  t.deepEqual(numbers(again), [0, 1, 2, 3]);
  t.is(again[0], first);
});

test('putting back to a full buffer drops the oldest events', (t) => {
  const buffer = new EventBuffer(4);
  fill(buffer, 4);
  const taken = buffer.take(3);
  fill(buffer, 2);
  t.is(buffer.length, 3);
  t.is(buffer.putBack(taken), 2);
  t.is(buffer.length, 4);
  t.is(buffer.oldestSeq, 2);
  t.is(buffer.putBack([]), 0);
  // Events that were put back are the oldest, so these are dropped first.
  buffer.push(A, { number: 99 }, undefined);
  t.is(buffer.takeOverflow(), 1);
  t.deepEqual(numbers(buffer.take(9)), [3, 0, 1, 99]);
});

test('a batch of any size can be put back', (t) => {
  const buffer = new EventBuffer(300_000);
  fill(buffer, 300_000);
  const all = buffer.take(300_000);
  t.is(all.length, 300_000);
  t.is(buffer.putBack(all), 0);
  t.is(buffer.length, 300_000);
  t.is(buffer.take(1)[0]?.seq, 0);
});

test('clear() empties the buffer, returns the number of events, and keeps the sequence', (t) => {
  const buffer = new EventBuffer(10);
  fill(buffer, 7);
  const taken = buffer.take(2);
  buffer.putBack(taken.slice(1));
  t.is(buffer.clear(), 6);
  t.is(buffer.length, 0);
  t.is(buffer.oldestSeq, 7);
  t.is(buffer.clear(), 0);
  buffer.push(A, { number: 70 }, undefined);
  t.is(buffer.take(9)[0]?.seq, 7);
});

test('grows and keeps all events in order, for any position of its head', (t) => {
  const buffer = new EventBuffer(100_000);
  for (let round = 0; round < 10; round += 1) {
    fill(buffer, 50);
    buffer.take(25);
  }
  fill(buffer, 1000);
  const seqs = buffer.take(9999).map(({ seq }) => seq);
  t.is(seqs.length, 1250);
  t.deepEqual(
    seqs,
    Array.from({ length: 1250 }, (_, index) => 250 + index),
  );
});

test('holds no event that was taken, dropped or cleared', async (t) => {
  const freed: string[] = [];
  const registry = new FinalizationRegistry<string>((name) => freed.push(name));
  const buffer = new EventBuffer(3);
  const push = (name: string) => {
    const metrics = { name };
    registry.register(metrics, name);
    buffer.push(A, metrics, undefined);
  };
  const isFreed = async (name: string) => {
    for (let round = 0; round < 20 && !freed.includes(name); round += 1) await collectGarbage();
    return freed.includes(name);
  };
  for (const name of ['dropped', 'taken', 'put back', 'cleared']) push(name);
  buffer.take(1);
  t.true(await isFreed('dropped'));
  t.true(await isFreed('taken'));
  buffer.putBack(buffer.take(1));
  t.deepEqual(freed.toSorted(), ['dropped', 'taken']);
  buffer.clear();
  t.true(await isFreed('put back'));
  t.true(await isFreed('cleared'));
  t.is(buffer.length, 0);
});

/** A model of the buffer: the sequence numbers of the waiting events, oldest first. */
interface Model {
  waiting: number[];
  next: number;
  /** Taken and not yet put back. */
  out: TakenEvent[];
}

type Step = { kind: 'push'; times: number } | { kind: 'take'; limit: number } | { kind: 'putBack'; pick: number } | { kind: 'clear' };

const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 6, arbitrary: fc.record({ kind: fc.constant('push' as const), times: fc.integer({ min: 1, max: 90 }) }) },
  { weight: 4, arbitrary: fc.record({ kind: fc.constant('take' as const), limit: fc.integer({ min: 0, max: 60 }) }) },
  { weight: 4, arbitrary: fc.record({ kind: fc.constant('putBack' as const), pick: fc.nat() }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('clear' as const) }) },
);

function run(buffer: EventBuffer, model: Model, capacity: number, { ...now }: Step): void {
  if (now.kind === 'push') {
    for (let time = 0; time < now.times; time += 1) {
      const isFull = model.waiting.length >= capacity;
      buffer.push(model.next % 2 === 0 ? A : B, { number: model.next }, `p${model.next}`);
      if (buffer.takeOverflow() !== Number(isFull)) throw new Error('push counted a wrong number of dropped events');
      if (isFull) model.waiting.shift();
      model.waiting.push(model.next);
      model.next += 1;
    }
  } else if (now.kind === 'take') {
    const taken = buffer.take(now.limit);
    const expected = model.waiting.splice(0, now.limit);
    if (String(taken.map(({ seq }) => seq)) !== String(expected)) throw new Error('take returned other events or another order');
    for (const { seq, metrics, packed, definition } of taken) {
      if (metrics['number'] !== seq || packed !== `p${seq}` || definition !== (seq % 2 === 0 ? A : B))
        throw new Error('the parts of events were mixed up');
    }
    model.out.push(...taken);
  } else if (now.kind === 'putBack') {
    // Any part of the taken events is put back, in any order: batches settle in any order.
    const back = model.out.splice(model.out.length === 0 ? 0 : now.pick % model.out.length, 1 + (now.pick % 7));
    const dropped = buffer.putBack(back.toReversed());
    model.waiting = [...back.map(({ seq }) => seq), ...model.waiting].toSorted((left, right) => left - right);
    const expected = Math.max(0, model.waiting.length - capacity);
    model.waiting.splice(0, expected);
    if (dropped !== expected) throw new Error('putBack returned a wrong number');
  } else {
    if (buffer.clear() !== model.waiting.length) throw new Error('clear returned a wrong number');
    model.waiting = [];
  }
}

test('behaves like a plain array under any operations', (t) => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 300 }), fc.array(step, { maxLength: 60 }), (capacity, steps) => {
      const buffer = new EventBuffer(capacity);
      const model: Model = { waiting: [], next: 0, out: [] };
      for (const now of steps) {
        run(buffer, model, capacity, now);
        const { length, nextSeq, oldestSeq } = buffer;
        if (length !== model.waiting.length || nextSeq !== model.next) return false;
        if (oldestSeq !== (model.waiting[0] ?? model.next)) return false;
      }
      return String(buffer.take(1e6).map(({ seq }) => seq)) === String(model.waiting);
    }),
    { numRuns: 1000 },
  );
  t.pass();
});
