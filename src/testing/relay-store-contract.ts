// The contract suite for stores of a relay: the rules of `RelayStore`, each as a test for any runner.

import { deepEqual, equal, ok } from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { systemClock } from '../base/clock.js';
import type { Clock } from '../base/clock.js';
import type { RelayStore, RelayStoreOptions, Stored, StoredEvent } from '../delivery/relay-store.js';

/**
 * What the suite asks of the store under test.
 *
 * @example
 * const roomFor = ({ maxBytes }: RelayStoreContractOptions) => Math.floor(maxBytes / 1024);
 */
export interface RelayStoreContractOptions extends RelayStoreOptions {
  /**
   * Identifies the data: a store on disk, or a queue, that is opened again with the same id recovers what it left.
   *
   * @example '1b9d6bcd-bbfd-4b2d-9b5d-ab8dfbbd4bed'
   */
  readonly id: string;
  /** The time by which events age. It changes only when a rule says so; timers run in real time. */
  readonly clock: Clock;
}

/** One rule of the contract. */
interface ContractTest {
  /** What the store does, as in `gives events out in the order in which they came`. Unique. */
  readonly name: string;
  /** Rejects with an AssertionError of `node:assert` if a store breaks the rule. It opens its own stores and closes them. */
  readonly run: () => Promise<void>;
}

/**
 * The contract of a relay's store, as tests for any runner. The rules about a disk pass at once for a store that answers `'memory'`. A
 * queue that relays share (`RelayStoreStats.queue`) has the same rules: an event that it stored must come out of it within five seconds.
 * It may say `mayBeSecond` of more events than began to be sent.
 *
 * It never throws: what `makeStore` throws or rejects with fails the test.
 *
 * @param makeStore opens an empty store, or the one that an earlier call left under the same `id`.
 * @example
 * const tests = relayStoreContract(({ id }) => {
 *   throw new Error(`There is no store ${id} yet.`);
 * });
 * console.log(tests.length > 10); // true
 */
export function relayStoreContract(
  makeStore: (options: RelayStoreContractOptions) => RelayStore | Promise<RelayStore>,
): readonly ContractTest[] {
  return Object.entries(rules).map(([name, rule]) => ({
    name,
    run: async () => {
      const subject = new Subject(makeStore);
      try {
        await rule(await subject.open(), subject);
      } finally {
        await subject.end();
      }
    },
  }));
}

const MAX_BYTES = 16 * 1024;
const MAX_AGE_MS = 60_000;
const YEAR_MS = 365 * 24 * 3_600_000;

/** How long an event may take through a queue. */
const QUEUE_LIMIT_MS = 5000;

/** How long a store may delete files in the background before it has room again. */
const ROOM_LIMIT_MS = 2000;

/** The stores of one rule, and their time. */
class Subject {
  /** Events that `onStored` reported. */
  reported = 0;
  /** Lengths at each report that differ from the events reported so far. */
  readonly wrongLengths: number[] = [];
  readonly #makeStore: Parameters<typeof relayStoreContract>[0];
  readonly #id = randomUUID();
  readonly #stores: RelayStore[] = [];
  #nowMs = 0;
  #wallMs = Date.UTC(2026, 0, 1);

  constructor(makeStore: Parameters<typeof relayStoreContract>[0]) {
    this.#makeStore = makeStore;
  }

  async open(): Promise<RelayStore> {
    let store: RelayStore | undefined;
    store = await this.#makeStore({
      id: this.#id,
      maxBytes: MAX_BYTES,
      maxAgeMs: MAX_AGE_MS,
      clock: { ...systemClock, now: () => this.#nowMs, wallNow: () => this.#wallMs },
      log: { debug: () => undefined, warn: () => undefined },
      admit: (target) => target,
      onStored: (events) => {
        this.reported += events;
        if (store !== undefined && store.length !== this.reported) this.wrongLengths.push(store.length);
      },
      onReady: () => undefined,
      onUnreadable: () => undefined,
    });
    this.#stores.push(store);
    return store;
  }

  /** Opens the store again. @param events That it has left. */
  async reopen(events: number): Promise<RelayStore> {
    const store = await this.open();
    if (store.stats().queue !== undefined) await within(() => store.length >= events, `${events} events come back`);
    return store;
  }

  advance(ms: number): void {
    this.#nowMs += ms;
    this.#wallMs += ms;
  }

  setWallBy(ms: number): void {
    this.#wallMs += ms;
  }

  get wallMs(): number {
    return this.#wallMs;
  }

  async end(): Promise<void> {
    for (const store of this.#stores) await store.close().catch(() => undefined);
  }
}

type Rule = (store: RelayStore, subject: Subject) => Promise<void>;

/** A rule for stores that outlive their process: on disk, or in a queue. */
function onDisk(rule: Rule): Rule {
  return async (store, subject) => {
    if (outlives(store)) await rule(store, subject);
  };
}

function outlives(store: RelayStore): boolean {
  const { isDurable, queue } = store.stats();
  return isDurable || queue !== undefined;
}

async function append(store: RelayStore, ...targets: readonly string[]): Promise<void> {
  for (const target of targets) ok((await appendOne(store, target)) !== 'full', `there is no room for ${target}`);
}

/** For each store, how many events came into it by `appendOne`. */
const appended = new WeakMap<RelayStore, number>();

/** Stores an event, and waits until it has come out of the queue, if the store is one. */
async function appendOne(store: RelayStore, target: string): Promise<Stored | 'duplicate'> {
  if (store.stats().queue === undefined) return store.append(target);
  if (!appended.has(store)) appended.set(store, store.nextSeq);
  const stored = await store.append(target);
  if (stored === 'full') return stored;
  const count = (appended.get(store) ?? 0) + 1;
  appended.set(store, count);
  await within(() => store.nextSeq >= count, `event ${count} comes out of the queue`);
  return stored;
}

/** Waits for what a queue does in its own time. */
async function within(isSo: () => boolean, what: string): Promise<void> {
  const untilMs = performance.now() + QUEUE_LIMIT_MS;
  while (!isSo()) {
    ok(performance.now() < untilMs, `${what} within ${QUEUE_LIMIT_MS} ms`);
    await sleep(1);
  }
}

function targetsOf(events: readonly StoredEvent[]): string[] {
  return events.map(({ target }) => target);
}

const rules: Readonly<Record<string, Rule>> = {
  'gives events out in the order in which they came, with numbers and times': async (store, subject) => {
    const startMs = subject.wallMs;
    deepEqual([store.length, store.nextSeq, store.oldestSeq], [0, 0, 0]);
    await append(store, '/v3/dag_run?a=1');
    subject.advance(7);
    await append(store, '/v3/dag_run?a="2"&\u00e9');
    deepEqual([store.length, store.nextSeq, store.oldestSeq, store.stats().waiting], [2, 2, 0, 2]);
    deepEqual(
      store.take(5).map(({ seq, target, acceptedAtMs, mayBeSecond }) => ({ seq, target, acceptedAtMs, mayBeSecond })),
      [
        { seq: 0, target: '/v3/dag_run?a=1', acceptedAtMs: startMs, mayBeSecond: false },
        { seq: 1, target: '/v3/dag_run?a="2"&\u00e9', acceptedAtMs: startMs + 7, mayBeSecond: false },
      ],
    );
    deepEqual([store.length, store.nextSeq, store.oldestSeq, store.stats().waiting], [0, 2, 2, 0]);
    deepEqual(store.take(1), []);
  },

  'answers whether an event is on disk or in memory': async (store) => {
    const { isDurable, queue } = store.stats();
    equal(await store.append('/a'), isDurable ? 'disk' : queue === undefined ? 'memory' : 'queue');
  },

  'numbers events in the order of the calls': async (store) => {
    await Promise.all(Array.from({ length: 20 }, (_, number) => append(store, `/${number}`)));
    deepEqual(
      store.take(20).map(({ seq, target }) => [seq, target]),
      Array.from({ length: 20 }, (_, number) => [number, `/${number}`]),
    );
  },

  'reports new events in the step in which its length grows': async (store, subject) => {
    await Promise.all(Array.from({ length: 20 }, (_, number) => append(store, `/${number}`)));
    deepEqual([subject.reported, subject.wrongLengths], [20, []]);
  },

  'says how many events it can give now': async (store) => {
    equal(store.ready, 0);
    await append(store, '/a', '/b', '/c');
    const { length, ready } = store;
    ok(ready <= length, `${ready} of ${length} events`);
    equal(store.take(9).length, ready);
  },

  'takes events back to its head, once, and only those that were taken': async (store, subject) => {
    await append(store, '/a', '/b', '/c', '/d');
    const [a, b] = [store.take(1), store.take(2)];
    store.putBack(b);
    store.putBack(a);
    store.putBack(a);
    deepEqual([store.length, store.oldestSeq], [4, 0]);
    deepEqual(targetsOf(store.take(9)), ['/a', '/b', '/c', '/d']);
    equal(subject.reported, 4, 'an event that comes back is not new');
  },

  'forgets settled events, also if they are settled again or put back': async (store) => {
    await append(store, '/a', '/b');
    const taken = store.take(1);
    store.settle(taken);
    store.settle(taken);
    store.putBack(taken);
    deepEqual(targetsOf(store.take(9)), ['/b']);
  },

  'knows copies of its events': async (store) => {
    await append(store, '/a');
    store.putBack(store.take(1).map((event) => ({ ...event })));
    deepEqual(targetsOf(store.take(1)), ['/a']);
  },

  'says full, keeps what it has, and has room again once events are settled': async (store, subject) => {
    const target = `/${'x'.repeat(1000)}`;
    const most = Math.floor(MAX_BYTES / target.length);
    let kept = 0;
    while (kept <= most && (await appendOne(store, target)) !== 'full') kept += 1;
    ok(kept >= most / 2 && kept <= most, `${kept} events of 1 kB in 16 KiB`);
    deepEqual([await store.append(target), store.length, subject.reported, store.nextSeq], ['full', kept, kept, kept]);
    store.settle(store.take(kept - 1));
    const untilMs = performance.now() + ROOM_LIMIT_MS;
    for (let more = 0; more < 5; ) {
      if ((await store.append(target)) !== 'full') more += 1;
      else {
        ok(performance.now() < untilMs, `room for ${more} events after ${kept - 1} were settled`);
        await sleep(1);
      }
    }
  },

  'never holds more bytes than it may': async (store) => {
    const target = `/${'x'.repeat(200)}`;
    const answers = await Promise.all(Array.from({ length: 200 }, () => store.append(target)));
    ok(answers.includes('full'));
    const { bytes } = store.stats();
    ok(bytes <= MAX_BYTES, `${bytes} bytes on disk`);
    ok(store.length * target.length <= MAX_BYTES, `${store.length} events of ${target.length} bytes`);
  },

  'forgets what has waited for too long, and nothing else': async (store, subject) => {
    await append(store, '/old', '/taken', '/old too');
    subject.advance(MAX_AGE_MS / 2);
    await append(store, '/young');
    const [old, taken] = [store.take(1), store.take(1)];
    store.putBack(old);
    subject.advance(MAX_AGE_MS / 2);
    equal(store.expire(), 0, 'exactly the allowed age is allowed');
    subject.advance(1);
    equal(store.expire(), 2);
    equal(store.expire(), 0);
    store.putBack(taken);
    deepEqual(targetsOf(store.take(9)), ['/taken', '/young']);
  },

  'tells how long its oldest event has waited, taken or not, if it tells that at all': async (store, subject) => {
    const ageMs = () => store.stats().oldestAgeMs;
    equal(ageMs(), undefined, 'the age of no event');
    await append(store, '/old');
    subject.advance(MAX_AGE_MS / 2);
    await append(store, '/young');
    if (ageMs() === undefined) return;
    const isAge = (expectedMs: number) => {
      ok(Math.abs((ageMs() ?? NaN) - expectedMs) <= 1, `the oldest event has waited for ${expectedMs} ms, and not for ${ageMs()} ms`);
    };
    isAge(MAX_AGE_MS / 2);
    const taken = store.take(2);
    isAge(MAX_AGE_MS / 2);
    store.putBack(taken);
    isAge(MAX_AGE_MS / 2);
    store.settle(store.take(1));
    isAge(0);
    store.settle(store.take(1));
    equal(ageMs(), undefined, 'the age of an event that is settled');
  },

  'lets no wall clock that was ahead keep an event for ever': async (store, subject) => {
    subject.setWallBy(YEAR_MS);
    await append(store, '/from the future');
    subject.setWallBy(-YEAR_MS);
    equal(store.expire(), 0);
    subject.advance(MAX_AGE_MS + 1);
    equal(store.expire(), 1);
  },

  'is empty after clear, and what was taken does not come back': async (store) => {
    await append(store, '/a', '/b', '/c');
    const taken = store.take(1);
    equal(store.clear(), 2);
    store.putBack(taken);
    deepEqual([store.length, store.oldestSeq, store.take(9)], [0, 3, []]);
    await append(store, '/d');
    deepEqual(targetsOf(store.take(9)), ['/d']);
  },

  'that is closed takes and gives nothing': async (store) => {
    await append(store, '/a');
    await Promise.all([store.close(), store.close()]);
    equal(await store.append('/b'), 'full');
    deepEqual(store.take(1), []);
    equal(store.length, 1);
  },

  'says at close how many events are lost with the process': async (store) => {
    await append(store, '/a', '/b', '/c');
    store.settle(store.take(1));
    const lost = outlives(store) ? 0 : 2;
    deepEqual([await store.close(), await store.close()], [lost, lost]);
  },

  'recovers from disk what is not settled, with its order and time, as nothing new': onDisk(async (store, subject) => {
    const startMs = subject.wallMs;
    await append(store, '/a', '/settled', '/b"\u00e9');
    store.settle(store.take(2).slice(1));
    await store.close();
    subject.advance(5000);
    const again = await subject.reopen(2);
    const { recovered, queue } = again.stats();
    // Out of a queue they come as new ones do: another relay may have accepted them.
    deepEqual([again.length, recovered, subject.reported], queue === undefined ? [2, 2, 3] : [2, 0, 5]);
    deepEqual(
      again.take(9).map(({ target, acceptedAtMs }) => [target, acceptedAtMs]),
      [
        ['/a', startMs],
        ['/b"\u00e9', startMs],
      ],
    );
  }),

  'tells which of the recovered events may be sent twice': onDisk(async (store, subject) => {
    await append(store, '/begun', '/put back', '/waiting');
    const taken = store.take(2);
    store.putBack(taken.slice(1));
    await store.close();
    const again = await subject.reopen(3);
    const { maybeSentTwice, queue } = again.stats();
    const recovered = again.take(9);
    const marked = new Map(recovered.map(({ target, mayBeSecond }) => [target, mayBeSecond]));
    deepEqual([...marked.keys()], ['/begun', '/put back', '/waiting']);
    equal(marked.get('/begun'), true);
    equal([...marked.values()].filter(Boolean).length, maybeSentTwice);
    // A queue knows which events another process had, and not which of them it began to send.
    if (queue === undefined) equal(maybeSentTwice, 1);
    // This process did not send it; the one before may have.
    again.putBack(recovered);
    equal(again.take(1)[0]?.mayBeSecond, true);
  }),

  'gives new events higher numbers than recovered ones': onDisk(async (store, subject) => {
    await append(store, '/a', '/b');
    await store.close();
    const again = await subject.reopen(2);
    await append(again, '/c');
    const taken = again.take(9);
    deepEqual(targetsOf(taken), ['/a', '/b', '/c']);
    equal(new Set(taken.map(({ seq }) => seq)).size, 3);
  }),

  'counts the age of recovered events from their acceptance': onDisk(async (store, subject) => {
    await append(store, '/a');
    await store.close();
    subject.advance(MAX_AGE_MS);
    const again = await subject.reopen(1);
    equal(again.expire(), 0);
    subject.advance(1);
    equal(again.expire(), 1);
  }),

  'deletes on disk what is expired': onDisk(async (store, subject) => {
    await append(store, '/expired');
    subject.advance(MAX_AGE_MS + 1);
    await append(store, '/kept');
    equal(store.expire(), 1);
    await store.close();
    deepEqual(targetsOf((await subject.reopen(1)).take(9)), ['/kept']);
  }),

  'deletes on disk what is cleared, taken or not': onDisk(async (store, subject) => {
    await append(store, '/taken', '/waiting');
    store.take(1);
    equal(store.clear(), 1);
    await append(store, '/kept');
    await store.close();
    deepEqual(targetsOf((await subject.reopen(1)).take(9)), ['/kept']);
  }),
};
