// An event is kept on the host's path, and checked once the host's code has returned.
import test from 'ava';
import type { DrainReport } from '../../src/index.js';
import { EventBuffer } from '../../src/delivery/event-buffer.js';
import { defineEvent } from '../../src/events/definition.js';
import { proves } from '../helpers/promises.js';
import { runChild } from '../helpers/run-child.js';
import { telemetryRig } from '../helpers/telemetry-rig.js';

const A = defineEvent('a', {});

/** A buffer whose check notes the number of each event. `isClean` says of a number whether there is nothing to remove. */
function checkedBuffer(capacity: number, isClean: (number: number) => boolean = () => true) {
  const checked: unknown[] = [];
  const check = ({ number }: Record<string, unknown>): boolean => {
    if (!checked.includes(number)) checked.push(number);
    return isClean(Number(number));
  };
  const buffer: EventBuffer = new EventBuffer(capacity, { check });
  let next = 0;
  const push = (events: number, isChecked = false): boolean[] =>
    Array.from({ length: events }, () => buffer.push(A, { number: next++ }, undefined, isChecked));
  return { buffer, checked, push };
}

const upTo = (events: number): number[] => Array.from({ length: events }, (_, number) => number);

test('the first event that needs a check says so, and each is checked once', (t) => {
  const { buffer, checked, push } = checkedBuffer(10);
  t.deepEqual(push(3), [true, false, false]);
  t.deepEqual(checked, []);
  buffer.checkAll();
  buffer.checkAll();
  t.deepEqual(checked, upTo(3));
  t.deepEqual(push(2, true), [false, false]);
  buffer.checkAll();
  t.deepEqual(checked, upTo(3));
  t.deepEqual(push(1), [true]);
});

test('an event that a full buffer drops is checked before, also in a ring that has wrapped around', (t) => {
  const { buffer, checked, push } = checkedBuffer(4);
  push(3, true);
  buffer.take(3);
  push(7);
  t.deepEqual(checked, [3, 4, 5]);
  buffer.checkAll();
  t.deepEqual(checked, [3, 4, 5, 6, 7, 8, 9]);
});

for (const leave of ['take', 'clear'] as const) {
  test(`${leave}() checks what is not checked`, (t) => {
    const { buffer, checked, push } = checkedBuffer(10);
    push(2);
    if (leave === 'take') buffer.take(1);
    else buffer.clear();
    t.deepEqual(checked, upTo(2));
  });
}

test('of one turn at most 1,024 events wait for their check, and one in 13 does not', (t) => {
  const { checked, push } = checkedBuffer(10_000);
  push(1024);
  t.deepEqual(
    checked,
    upTo(1024).filter((number) => number % 13 === 12),
  );
  push(1);
  t.is(checked.length, 1025);
});

test('once something was removed, each later event of the turn is checked at once, so that huge texts are not held', (t) => {
  const { buffer, checked, push } = checkedBuffer(10_000, (number) => number % 2 === 1);
  push(12);
  t.deepEqual(checked, []);
  push(1);
  t.is(checked.length, 13);
  push(1);
  t.is(checked.length, 14);
  buffer.checkAll();
  push(5);
  t.is(checked.length, 14, 'the next turn begins anew');
});

test('a check that publishes, as a logger may, leaves no event unchecked', (t) => {
  const checked: unknown[] = [];
  const buffer: EventBuffer = new EventBuffer(3, {
    check: ({ number }) => {
      checked.push(number);
      if (Number(number) < 5) for (const more of [10, 20]) buffer.push(A, { number: Number(number) + more }, undefined, false);
      return true;
    },
  });
  for (const number of upTo(3)) buffer.push(A, { number }, undefined, false);
  buffer.checkAll();
  t.deepEqual(
    checked.toSorted((one, other) => Number(one) - Number(other)),
    [0, 1, 2, 10, 11, 12, 20, 21, 22],
  );
});

test('what no field could hold is gone once the host has returned, and in the counts at once', async (t) => {
  const { telemetry, transport, publish } = telemetryRig();
  telemetry.publish('tick', { n: 1, text: 'x'.repeat(1000), list: [1] } as { n: number });
  t.is(telemetry.stats().fieldsDropped, 2);
  telemetry.publish('tick', { n: 2, list: [1] } as { n: number });
  await publish(0);
  t.is(telemetry.stats().fieldsDropped, 3);
  t.deepEqual(transport.started('n'), [1, 2]);
});

test(proves('hook-rejection', 'a rejected promise as a value ends no host, wherever in a turn it is published'), async (t) => {
  const { code, stdout, stderr } = await runChild('rejected-child', []);
  t.deepEqual([code, stderr], [0, '']);
  const report = JSON.parse(stdout) as DrainReport;
  t.is(report.published, report.sent + report.failed + report.dropped);
  t.like(report.reasons, { invalid: 2, closed: 6 });
  t.true(report.fieldsDropped >= 80);
});

test(proves('hook-rejection', 'a rejected promise as a property of a payload ends no host, wherever in a turn it is read'), async (t) => {
  const { code, stdout, stderr } = await runChild('rejected-payloads-child', []);
  t.deepEqual([code, stderr], [0, '']);
  const { promises, report } = JSON.parse(stdout) as { promises: number; report: DrainReport };
  t.true(promises > 3 * 8192);
  t.is(report.published, report.sent + report.failed + report.dropped);
});
