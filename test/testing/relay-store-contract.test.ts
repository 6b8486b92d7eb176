import { AssertionError } from 'node:assert';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { Log } from '../../src/base/log.js';
import type { RelayStore, StoredEvent } from '../../src/delivery/relay-store.js';
import { memoryStore, openSpool } from '../../src/relay/spool/index.js';
import { relayStoreContract } from '../../src/testing/index.js';

type MakeStore = Parameters<typeof relayStoreContract>[0];
type Options = Parameters<MakeStore>[0];

const folder = mkdtempSync(join(tmpdir(), 'cosmos-telemetry-contract-'));
test.after.always(() => rmSync(folder, { recursive: true, force: true }));

const inMemory = ({ maxBytes, maxAgeMs, clock, onStored }: Options): RelayStore => memoryStore({ maxBytes, maxAgeMs, clock, onStored });
const onDisk = ({ id, ...options }: Options): Promise<RelayStore> =>
  openSpool({ ...options, directory: join(folder, id), log: new Log(undefined, options.clock) });

for (const [kind, makeStore] of Object.entries<MakeStore>({ 'a spool': onDisk, 'a memory store': inMemory })) {
  for (const { name, run } of relayStoreContract(makeStore)) test(`${kind} ${name}`, (t) => t.notThrowsAsync(run));
}

/** The same store with other members. */
function changed(store: RelayStore, change: Partial<RelayStore>): RelayStore {
  return new Proxy(store, {
    get: (inner, key) => {
      if (Object.hasOwn(change, key)) return change[key as keyof RelayStore];
      const value: unknown = Reflect.get(inner, key, inner);
      return typeof value === 'function' ? (value.bind(inner) as unknown) : value;
    },
  });
}

const broken =
  (change: (store: RelayStore) => Partial<RelayStore>): MakeStore =>
  (options) => {
    const store = inMemory(options);
    return changed(store, change(store));
  };

const brokenOnDisk =
  (change: (store: RelayStore) => Partial<RelayStore>): MakeStore =>
  async (options) => {
    const store = await onDisk(options);
    return changed(store, change(store));
  };

const turn = (): Promise<void> => new Promise((resolve) => void setImmediate(resolve));

/** Stores that break one rule each, by the rule. */
const BROKEN: Readonly<Record<string, readonly MakeStore[]>> = {
  'gives events out in the order in which they came, with numbers and times': [
    broken((store) => ({ take: (limit) => store.take(limit).toReversed() })),
    broken((store) => ({ take: (limit) => store.take(limit).map((event) => ({ ...event, acceptedAtMs: 0 })) })),
    broken((store) => ({ take: (limit) => store.take(limit).map((event) => ({ ...event, seq: event.seq + 1 })) })),
    broken((store) => ({ append: (target) => store.append(encodeURI(target)) })),
  ],
  'answers whether an event is on disk or in memory': [
    broken((store) => ({ append: (target) => store.append(target).then(() => 'disk') })),
  ],
  'numbers events in the order of the calls': [
    broken((store) => ({ append: (target) => (target === '/0' ? turn().then(() => store.append(target)) : store.append(target)) })),
  ],
  'reports new events in the step in which its length grows': [
    ({ onStored, ...options }) => inMemory({ ...options, onStored: (events) => queueMicrotask(() => onStored(events)) }),
    (options) => inMemory({ ...options, onStored: () => undefined }),
  ],
  'says how many events it can give now': [broken(() => ({ ready: 0 })), broken((store) => ({ ready: store.length + 1 }))],
  'takes events back to its head, once, and only those that were taken': [
    broken((store) => ({
      putBack: (events) => {
        store.settle(events);
        for (const { target } of events) void store.append(target);
      },
    })),
    broken(() => ({ putBack: () => undefined })),
  ],
  'forgets settled events, also if they are settled again or put back': [broken(() => ({ settle: () => undefined }))],
  'knows copies of its events': [
    broken((store) => {
      const taken = new Set<StoredEvent>();
      return {
        take: (limit) => store.take(limit).map((event) => (taken.add(event), event)),
        putBack: (events) => store.putBack(events.filter((event) => taken.has(event))),
      };
    }),
  ],
  'says full, keeps what it has, and has room again once events are settled': [
    // It evicts.
    broken((store) => ({
      append: async (target) => {
        const stored = await store.append(target);
        if (stored !== 'full') return stored;
        store.settle(store.take(1));
        return store.append(target);
      },
    })),
    // It never has room again.
    broken((store) => {
      let isFull = false;
      return {
        append: async (target) => {
          const stored = isFull ? 'full' : await store.append(target);
          isFull ||= stored === 'full';
          return stored;
        },
      };
    }),
  ],
  'never holds more bytes than it may': [
    (options) => inMemory({ ...options, maxBytes: 2 * options.maxBytes }),
    (options) => onDisk({ ...options, maxBytes: 2 * options.maxBytes }),
    (options) => inMemory({ ...options, maxBytes: 100 * options.maxBytes }),
  ],
  'forgets what has waited for too long, and nothing else': [
    (options) => inMemory({ ...options, maxAgeMs: options.maxAgeMs - 1 }),
    (options) => inMemory({ ...options, maxAgeMs: options.maxAgeMs + 1 }),
    broken(() => ({ expire: () => 0 })),
  ],
  'tells how long its oldest event has waited, taken or not, if it tells that at all': [
    broken((store) => ({ stats: () => ({ ...store.stats(), oldestAgeMs: store.stats().oldestAgeMs ?? 0 }) })),
    // It forgets the events that are taken.
    broken((store) => ({ stats: () => ({ ...store.stats(), ...(store.length === 0 && { oldestAgeMs: undefined }) }) })),
    // Seconds.
    broken((store) => ({ stats: () => ({ ...store.stats(), oldestAgeMs: Number(store.stats().oldestAgeMs) / 1000 || undefined }) })),
    // The youngest event's.
    broken((store) => ({ stats: () => ({ ...store.stats(), ...(store.length > 1 && { oldestAgeMs: 0 }) }) })),
  ],
  'lets no wall clock that was ahead keep an event for ever': [
    ({ clock, ...options }) => inMemory({ ...options, clock: { ...clock, now: () => clock.wallNow() } }),
  ],
  'is empty after clear, and what was taken does not come back': [
    broken((store) => ({
      clear: () => {
        const waiting = store.take(store.length);
        store.settle(waiting);
        return waiting.length;
      },
    })),
    broken((store) => ({ clear: () => store.length })),
  ],
  'that is closed takes and gives nothing': [broken(() => ({ close: () => Promise.resolve(0) }))],
  'says at close how many events are lost with the process': [
    broken((store) => ({ close: () => store.close().then(() => 0) })),
    brokenOnDisk((store) => ({ close: () => store.close().then(() => 2) })),
  ],
  'recovers from disk what is not settled, with its order and time, as nothing new': [
    // It loses all.
    (options) => onDisk({ ...options, id: `${options.id}-${String(Math.random())}` }),
    // It reports recovered events as new.
    async (options) => {
      const store = await onDisk(options);
      if (store.length > 0) options.onStored(store.length);
      return store;
    },
    brokenOnDisk(() => ({ settle: () => undefined })),
  ],
  'tells which of the recovered events may be sent twice': [
    brokenOnDisk((store) => ({ take: (limit) => store.take(limit).map((event) => ({ ...event, mayBeSecond: false })) })),
    brokenOnDisk((store) => ({ take: (limit) => store.take(limit).map((event) => ({ ...event, mayBeSecond: true })) })),
    brokenOnDisk((store) => ({ stats: () => ({ ...store.stats(), maybeSentTwice: 0 }) })),
    brokenOnDisk(() => ({ putBack: () => undefined })),
  ],
  'gives new events higher numbers than recovered ones': [
    brokenOnDisk((store) => ({ take: (limit) => store.take(limit).toSorted((left, right) => right.seq - left.seq) })),
    brokenOnDisk((store) => ({ take: (limit) => store.take(limit).map((event) => ({ ...event, seq: event.seq % 2 })) })),
  ],
  'counts the age of recovered events from their acceptance': [
    ({ clock, ...options }) => {
      const openedAtMs = clock.wallNow();
      return onDisk({ ...options, clock: { ...clock, wallNow: () => openedAtMs - clock.now() } });
    },
  ],
  'deletes on disk what is expired': [brokenOnDisk((store) => ({ expire: () => store.take(1).length }))],
  'deletes on disk what is cleared, taken or not': [
    brokenOnDisk((store) => ({ clear: () => store.take(store.length).length })),
    brokenOnDisk((store) => ({
      clear: () => {
        const waiting = store.take(store.length);
        store.settle(waiting);
        return waiting.length;
      },
    })),
  ],
};

test('the contract has a broken store for each of its rules', (t) => {
  t.deepEqual(
    relayStoreContract(inMemory).map(({ name }) => name),
    Object.keys(BROKEN),
  );
});

for (const [name, stores] of Object.entries(BROKEN)) {
  for (const [index, makeStore] of stores.entries()) {
    test(`the contract refuses a store that breaks a rule: ${name} (${index + 1} of ${stores.length})`, async (t) => {
      const rule = relayStoreContract(makeStore).find((found) => found.name === name);
      await t.throwsAsync(async () => rule?.run(), { instanceOf: AssertionError });
    });
  }
}
