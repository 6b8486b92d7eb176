import test from 'ava';
import { COLUMN, DiskRows } from '../../../src/relay/spool/disk-rows.js';
import { EventRecord } from '../../../src/relay/spool/record.js';
import { seededChance } from './chance.js';

function recordOf(seq: number): EventRecord {
  const record = new EventRecord(seq, `/${seq}`, { upMs: seq + 0.5, atMs: 1.7e12 + seq }, seq % 3 === 0);
  record.isRenewed = seq % 2 === 0;
  record.segment = 1 + Math.floor(seq / 100);
  record.slot = seq % 100;
  record.offset = 3e9 + seq;
  record.lineBytes = 200 + seq;
  return record;
}

const isRemoved = (seq: number): boolean => Math.ceil(seq) % 7 === 0;

test('a row has all of a record but its text', (t) => {
  const rows = new DiskRows();
  for (let seq = 0; seq < 6; seq += 1) rows.push(recordOf(seq));
  for (let seq = 0; seq < 6; seq += 1) {
    const record = rows.recordAt(seq);
    t.throws(() => record.target, { message: 'The text of the event is on disk.' });
    record.text = `/${seq}`;
    t.deepEqual(record, recordOf(seq));
  }
});

test('rows leave in order, whatever is inserted, removed and sorted', (t) => {
  const random = seededChance(t);
  const rows = new DiskRows();
  let expected: number[] = [];
  let next = 10_000;
  for (let step = 0; step < 12_000; step += 1) {
    const what = random.below(10);
    if (what < 6) {
      rows.insert(recordOf(next));
      expected.push(next);
      next += 1;
    } else if (what === 6 && expected.length > 0) {
      // One that is older than some that wait, or than all. There may be more of these than whole numbers, so they might pass the newest.
      const seq = Math.min((expected[0] ?? 0) + random.below(expected.length), next - 1) - 0.5 - step / 1e6;
      rows.insert(recordOf(seq));
      expected = [...expected, seq].sort((left, right) => left - right);
    } else if (what > 6) t.is(rows.shift()?.seq, expected.shift());
    if (step % 1000 === 999) {
      t.deepEqual(
        rows.removeIf((index) => isRemoved(rows.get(index, COLUMN.seq))).map(({ seq }) => seq),
        expected.filter(isRemoved),
      );
      expected = expected.filter((seq) => !isRemoved(seq));
    }
    t.is(rows.firstSeq, expected[0]);
    t.is(rows.length, expected.length);
  }
  // More than one chunk, so that chunks are freed and crossed.
  t.true(expected.length > 2048, String(expected.length));
  const shuffled = new DiskRows();
  for (const seq of expected.toSorted(() => random.below(3) - 1)) shuffled.push(recordOf(seq));
  shuffled.sort();
  t.deepEqual(
    Array.from({ length: shuffled.length }, (_, index) => shuffled.get(index, COLUMN.seq)),
    expected,
  );
  t.is(shuffled.clear(), expected.length);
  t.deepEqual([shuffled.length, shuffled.shift(), shuffled.firstSeq], [0, undefined, undefined]);
});
