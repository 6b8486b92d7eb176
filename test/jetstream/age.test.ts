import test from 'ava';
import { ageOf } from '../../src/jetstream/age.js';
import { proves } from '../helpers/promises.js';

const DAY = 86_400_000;
const NOW = Date.UTC(2026, 10, 28);
const MAX_AGE = 7 * DAY;
const STREAM_MAX_AGE = MAX_AGE + 3_600_000;

/** The age of an event, by how long before now it was accepted and stored. */
const age = (acceptedMs: number | undefined, storedMs: number, wallMs = NOW) =>
  ageOf(
    { acceptedAtMs: acceptedMs === undefined ? undefined : NOW - acceptedMs, storedAtMs: NOW - storedMs },
    wallMs,
    MAX_AGE,
    STREAM_MAX_AGE,
  );

test('an event is as old as its producer says, while clocks agree', (t) => {
  t.is(age(5000, 4000), 5000);
  t.is(age(undefined, 4000), 4000);
  t.is(age(-500, 0), 0);
  // It waited in the memory of its producer, and then in the stream.
  t.is(age(6 * DAY, 2 * DAY), 6 * DAY);
  t.is(age(7 * DAY + 1000, 7 * DAY), 7 * DAY + 1000);
  t.is(age(8 * DAY, 2 * DAY), 8 * DAY);
});

test(proves('queue-clock', 'a clock that is far off does not make an event expire'), (t) => {
  // This machine jumped ahead by a year.
  t.is(age(5000, 5000, NOW + 365 * DAY), 0);
  t.is(age(DAY, 5000, NOW + 365 * DAY), DAY - 5000);
  // A producer that is a year behind, and one that is ahead.
  t.is(age(365 * DAY, 5000), 5000);
  t.is(age(-365 * DAY, 5000), 0);
  // This machine is behind.
  t.is(age(5000, 5000, NOW - 365 * DAY), 0);
});

test('a server that is far off is not asked', (t) => {
  t.is(age(8 * DAY, 365 * DAY), 8 * DAY);
  t.is(age(8 * DAY, -365 * DAY), 8 * DAY);
});
