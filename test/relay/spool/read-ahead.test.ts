// What waits on disk and not in memory: it is read before its turn, within a bound, and no read that fails loses or changes an event.
import { closeSync, openSync, readFileSync, rmSync, truncateSync, writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import type { ExecutionContext } from 'ava';
import type { RelayStore } from '../../../src/delivery/relay-store.js';
import { DiskRows } from '../../../src/relay/spool/disk-rows.js';
import { ReadAhead } from '../../../src/relay/spool/read-ahead.js';
import { EventRecord } from '../../../src/relay/spool/record.js';
import { VirtualClock } from '../../helpers/virtual-clock.js';
import { proves } from '../../helpers/promises.js';
import { FaultyFiles } from './faulty-files.js';
import { appendAll, freshDirectory, openRig, spoolFiles, turn, untilDurable } from './rig.js';
import type { Rig } from './rig.js';

const EVENTS = 60;
/** The text of about ten of these events. */
const READ_AHEAD_BYTES = 1024;
const targetOf = (index: number): string => `/${index}?é="${'x'.repeat(90)}"`;
const TARGETS = Array.from({ length: EVENTS }, (_, index) => targetOf(index));

/** A spool with a small window, and how often it said that more can be taken, and how many events it lost. */
async function openFull(t: ExecutionContext, directory = freshDirectory(t)) {
  const faulty = new FaultyFiles();
  const seen = { ready: 0, unreadable: 0 };
  const rig = await openRig(t, {
    directory,
    segmentBytes: 4096,
    maxBytes: 64 * 1024,
    readAheadBytes: READ_AHEAD_BYTES,
    fs: faulty.files,
    onReady: () => void (seen.ready += 1),
    onUnreadable: (events) => void (seen.unreadable += events),
  });
  return { ...rig, directory, faulty, seen };
}

async function openFilled(t: ExecutionContext): Promise<Rig & Awaited<ReturnType<typeof openFull>>> {
  const full = await openFull(t);
  await appendAll(t, full.store, TARGETS);
  t.true(full.store.ready >= 5 && full.store.ready < 15, `${full.store.ready} in memory`);
  t.is(full.store.length, EVENTS);
  return full;
}

/** Takes and settles what comes until `count` events have, in the time of the event loop. */
async function takeAll(t: ExecutionContext, store: RelayStore, count: number): Promise<string[]> {
  const targets: string[] = [];
  while (targets.length < count) {
    const taken = store.take(1);
    for (const { target } of taken) targets.push(target);
    store.settle(taken);
    t.true(store.ready < 30, `${store.ready} in memory`);
    if (taken.length === 0) await turn();
  }
  return targets;
}

for (const isRestarted of [false, true]) {
  test(`text is read back before its turn, byte for byte and in order${isRestarted ? ', after a restart too' : ''}`, async (t) => {
    const { store: first, directory, seen } = await openFilled(t);
    if (isRestarted) await first.close();
    const store = isRestarted ? (await openFull(t, directory)).store : first;
    t.deepEqual(await takeAll(t, store, EVENTS), TARGETS);
    t.deepEqual([store.length, store.ready, store.take(1), seen.unreadable], [0, 0, [], 0]);
    if (!isRestarted) t.true(seen.ready > 0);
    // The queue is short again: new events are taken at once, without a read.
    await appendAll(t, store, ['/new']);
    t.is(store.take(1)[0]?.target, '/new');
  });
}

test(proves('relay-memory', 'the text in memory stays within its bound, whatever waits on disk'), async (t) => {
  const maxBytes = 8192;
  const lines = new Map<number, string>();
  const queue = new ReadAhead({
    maxBytes,
    clock: new VirtualClock(),
    read: async ({ offset }, bytes) => {
      let block = '';
      for (let at = offset; block.length < bytes && lines.has(at); at += 200) block += lines.get(at) ?? '';
      return Promise.resolve(Buffer.from(block.slice(0, bytes)));
    },
    admit: (target) => target,
    isDurable: () => true,
    onReady: () => undefined,
    onTorn: () => t.fail(),
    onReadFailed: () => t.fail(),
  });
  const record = (seq: number, isOnDisk: boolean): EventRecord => {
    const target = `/${seq}`.padEnd(100, 'x');
    const made = new EventRecord(seq, target, { upMs: 0, atMs: 0 });
    made.segment = 1;
    made.slot = seq;
    made.offset = seq * 200;
    made.lineBytes = isOnDisk ? 199 : 0;
    lines.set(made.offset, `${JSON.stringify({ seq, mark: seq, at: 0, target }).padEnd(199)}\n`);
    return made;
  };
  for (let seq = 0; seq < 5000; seq += 1) {
    queue.add(record(seq, true));
    t.true(queue.heldBytes <= maxBytes);
  }
  // While a disk fails, all text is in memory; once it is on disk, it is given up.
  const late = Array.from({ length: 500 }, (_, index) => record(5000 + index, false));
  for (const each of late) queue.add(each);
  t.true(queue.heldBytes > 50_000);
  for (const each of late) each.lineBytes = 199;
  queue.release(late);
  t.true(queue.heldBytes <= maxBytes);
  const order: number[] = [];
  while (queue.length > 0) {
    const taken = queue.take(3);
    queue.putBack(taken.slice(2));
    order.push(...queue.settle(taken.slice(0, 2)).map(({ seq }) => seq));
    t.true(queue.heldBytes <= maxBytes, `${queue.heldBytes} bytes`);
    if (taken.length === 0) await turn();
  }
  t.deepEqual(
    order,
    Array.from({ length: 5500 }, (_, seq) => seq),
  );
  t.is(queue.heldBytes, 0);
});

test('a read that fails costs no event: it waits, later ones go first, and it is read again after 5 seconds', async (t) => {
  const { store, clock, faulty, lines, seen } = await openFilled(t);
  const failed = store.ready;
  faulty.before.set('file.read', () => {
    faulty.before.delete('file.read');
    return Promise.reject(Object.assign(new Error('a secret'), { code: 'EIO' }));
  });
  const others = TARGETS.filter((_, index) => index !== failed);
  t.deepEqual(await takeAll(t, store, EVENTS - 1), others);
  t.deepEqual([store.length, store.ready, store.oldestSeq, store.take(9)], [1, 0, failed, []]);
  t.deepEqual(
    lines.map((line) => line.replace('[telemetry] ', '')),
    ['spool_read_failed: events of the spool cannot be read (EIO); they wait, and later ones go first'],
  );
  await clock.advance(5000);
  t.deepEqual(await takeAll(t, store, 1), [targetOf(failed)]);
  t.deepEqual([store.length, seen.unreadable, store.stats().isDurable], [0, 0, true]);
});

test('a line that was changed on disk is dropped and counted, never sent, and not recovered', async (t) => {
  const { store, directory, seen, lines } = await openFilled(t);
  const path = join(directory, 'events-000002.jsonl');
  const text = readFileSync(path, 'latin1');
  const at = text.indexOf('"target":"') + 10;
  const second = text.indexOf('\n') + 1;
  const descriptor = openSync(path, 'r+');
  writeSync(descriptor, '\u0000\u00ff', at, 'latin1');
  // Another event's line at this place.
  const other = text.slice(second, text.indexOf('\n', second)).replace(/"mark":(\d)/, (_, digit: string) => `"mark":${9 - Number(digit)}`);
  writeSync(descriptor, other, second, 'latin1');
  closeSync(descriptor);
  const [first = -1] = [text.slice(0, second), other].map((line) => Number(/"seq":(\d+)/.exec(line)?.[1]));
  const kept = TARGETS.filter((_, index) => index !== first && index !== first + 1);
  t.deepEqual(await takeAll(t, store, EVENTS - 2), kept);
  t.deepEqual([store.length, seen.unreadable], [0, 2]);
  t.true(lines.some((line) => line.includes('spool_unreadable: 1 events of the spool are lost')));
  await store.close();
  t.false(spoolFiles(directory).includes('events-000002.jsonl'), 'no event of the file is left');
  t.is((await openFull(t, directory)).store.length, 0);
});

test('a file that was cut off loses what is beyond its end, counted', async (t) => {
  const { store, directory, seen } = await openFilled(t);
  truncateSync(join(directory, 'events-000003.jsonl'), 0);
  const sent: string[] = [];
  while (store.length > 0) {
    sent.push(...(await takeAll(t, store, store.ready)));
    await turn();
  }
  t.true(seen.unreadable > 5, String(seen.unreadable));
  t.is(sent.length + seen.unreadable, EVENTS);
  t.deepEqual(
    sent,
    TARGETS.filter((target) => sent.includes(target)),
  );
});

test('of a file that was deleted, the text in memory is written again, and the rest is counted as lost', async (t) => {
  const { store, directory, seen, lines, clock } = await openFilled(t);
  const inMemory = store.ready;
  const sent = await takeAll(t, store, 1);
  while (store.ready < inMemory) await turn();
  const deleted = spoolFiles(directory);
  for (const name of deleted) rmSync(join(directory, name));
  sent.push(...(await takeAll(t, store, inMemory - 2)));
  t.deepEqual(sent, TARGETS.slice(0, inMemory - 1));
  // The first read shows it, and the retry finds which files are gone.
  while (store.stats().isDurable) await turn();
  t.true(lines.some((line) => line.includes('spool_gone')));
  t.is(store.length, EVENTS - sent.length);
  await clock.advance(5000);
  await untilDurable(store);
  t.is(sent.length + store.length + seen.unreadable, EVENTS);
  t.is(store.length, 2);
  t.deepEqual(
    spoolFiles(directory).filter((name) => deleted.includes(name)),
    [],
    'files of these names may be another process’s by now',
  );
  await store.close();
  const again = await openFull(t, directory);
  t.deepEqual(await takeAll(t, again.store, 2), TARGETS.slice(inMemory - 1, inMemory + 1));
});

test(proves('relay-disk', 'a read that hangs holds neither new events nor the close, and loses none'), async (t) => {
  const { store, directory, faulty } = await openFilled(t);
  const held = faulty.hold('file.read');
  const inMemory = store.ready;
  const sent = await takeAll(t, store, inMemory);
  await held.arrived();
  t.deepEqual([sent.length, store.ready, store.take(5), store.length], [inMemory, 0, [], EVENTS - inMemory]);
  t.is(await store.append('/new'), 'disk');
  t.is(await store.close(), 0);
  held.end();
  const again = await openFull(t, directory);
  t.deepEqual(await takeAll(t, again.store, EVENTS + 1 - inMemory), [...TARGETS.slice(inMemory), '/new']);
});

test('what is cleared or expires during a read does not come back', async (t) => {
  for (const isCleared of [true, false]) {
    const { store, clock, faulty, seen } = await openFilled(t);
    const held = faulty.hold('file.read');
    await takeAll(t, store, store.ready);
    await held.arrived();
    const { length } = store;
    if (!isCleared) await clock.advance(24 * 3_600_000 + 1);
    t.is(isCleared ? store.clear() : store.expire(), length);
    held.end();
    for (let round = 0; round < 20; round += 1) await turn();
    t.deepEqual([store.length, store.ready, store.take(9), seen.unreadable], [0, 0, [], 0]);
    await appendAll(t, store, ['/new']);
    t.is(store.take(1)[0]?.target, '/new');
  }
});

test('more events can expire at once than a call has arguments', async (t) => {
  const rows = new DiskRows();
  const record = new EventRecord(0, '/', { upMs: 0, atMs: 0 });
  for (record.seq = 0; record.seq < 200_000; record.seq += 1) rows.push(record);
  const queue = new ReadAhead({
    maxBytes: 1024,
    clock: new VirtualClock(),
    read: () => Promise.reject(new Error('A disk that fails.')),
    admit: (target) => target,
    isDurable: () => true,
    onReady: () => undefined,
    onTorn: () => t.fail(),
    onReadFailed: () => undefined,
  });
  await queue.adopt(rows);
  t.is(queue.length, 200_000);
  const parts = Array.from(queue.expire(2, 1), (expired) => expired.length);
  t.is(
    parts.reduce((sum, part) => sum + part, 0),
    200_000,
  );
  t.true(Math.max(...parts) <= 8192, 'a part at a time');
  t.is(queue.length, 0);
});

test('the longest wait is that of an event in memory, on disk, or set aside', async (t) => {
  const rows = new DiskRows();
  rows.push(new EventRecord(5, undefined, { upMs: 50, atMs: 0 }));
  rows.push(new EventRecord(6, undefined, { upMs: 60, atMs: 0 }));
  const clock = new VirtualClock();
  const queue = new ReadAhead({
    maxBytes: 1024,
    clock,
    read: () => Promise.reject(new Error('A disk that fails.')),
    admit: (target) => target,
    isDurable: () => true,
    onReady: () => undefined,
    onTorn: () => t.fail(),
    onReadFailed: () => undefined,
  });
  t.is(queue.oldestSinceMs, Infinity);
  queue.add(new EventRecord(7, '/7', { upMs: 70, atMs: 0 }));
  t.is(queue.oldestSinceMs, 70);
  const adopted = queue.adopt(rows);
  t.is(queue.oldestSinceMs, 50, 'on disk');
  await adopted;
  t.is(queue.oldestSinceMs, 50, 'set aside, since the disk fails');
  const [taken] = queue.take(1);
  t.is(taken?.seq, 7);
  queue.clear();
  t.is(queue.oldestSinceMs, Infinity);
});

test('a line longer than a block is recovered and read', async (t) => {
  const directory = freshDirectory(t);
  // Longer than the blocks of the recovery, and than those of a spool with the smallest room.
  const long = `/${'y'.repeat(600_000)}`;
  const { store } = await openRig(t, { directory });
  await appendAll(t, store, ['/a', long, '/b']);
  await store.close();
  writeFileSync(join(directory, 'events-000002.jsonl'), 'z'.repeat(300_000), { mode: 0o600 });
  const { store: again } = await openRig(t, { directory, readAheadBytes: READ_AHEAD_BYTES });
  t.is(again.stats().tornLines, 1);
  t.deepEqual(await takeAll(t, again, 3), ['/a', long, '/b']);
});

/** A record of a line of 100 bytes. */
function lineOf(seq: number): EventRecord {
  const record = new EventRecord(seq, undefined, { upMs: 0, atMs: 0 });
  return Object.assign(record, { segment: 1, offset: seq * 100, lineBytes: 100 });
}

test(proves('relay-memory', 'a line that is appended while the end of its file is read is not taken for a torn one'), async (t) => {
  const rows = new DiskRows();
  for (const seq of [0, 1]) rows.push(lineOf(seq));
  const reads: { bytes: number; answer: (block: Buffer) => void }[] = [];
  const torn: number[] = [];
  const queue = new ReadAhead({
    maxBytes: 8000,
    clock: new VirtualClock(),
    read: (_, bytes) => new Promise((answer) => reads.push({ bytes, answer })),
    admit: (target) => target,
    isDurable: () => true,
    onReady: () => undefined,
    onTorn: (records) => torn.push(...records.map(({ seq }) => seq)),
    onReadFailed: () => t.fail(),
  });
  void queue.adopt(rows);
  t.deepEqual(
    reads.map(({ bytes }) => bytes),
    [200],
  );
  // Within the block that a read may have, and after the read began.
  queue.add(lineOf(2));
  reads[0]?.answer(Buffer.alloc(200));
  await turn();
  // The two lines of zeros are torn. The third was not read.
  t.deepEqual(torn, [0, 1]);
  t.deepEqual([queue.onDisk, reads.length], [1, 2]);
});

test('a read that ends early although the file goes on is tried again', async (t) => {
  const { store, faulty, seen, clock } = await openFilled(t);
  faulty.readsEndEarly = 1;
  const taken: string[] = [];
  while (taken.length < EVENTS) {
    const events = store.take(1);
    taken.push(...events.map(({ target }) => target));
    store.settle(events);
    if (events.length > 0) continue;
    await turn();
    await clock.advance(10);
  }
  t.is(faulty.readsEndEarly, 0);
  t.is(seen.unreadable, 0);
  t.deepEqual(taken.toSorted(), TARGETS.toSorted());
  t.notDeepEqual(taken, TARGETS, 'those of that block come last');
});
