// A store without a directory: it keeps the same promises as the spool, but its events are lost with the process.

import type { RelayStore, RelayStoreStats, Stored, StoredEvent } from '../../delivery/relay-store.js';
import { AgeClock, ageOf } from './age.js';
import { checkMemoryStoreOptions, DEFAULT_MAX_AGE_MS, DEFAULT_MAX_BYTES } from './options.js';
import type { MemoryStoreOptions } from './options.js';
import { PendingEvents } from './pending-events.js';
import { EventRecord, LINE_OVERHEAD_BYTES } from './record.js';

/** @throws TypeError with the option and the value. */
export function memoryStore(options: MemoryStoreOptions): RelayStore {
  checkMemoryStoreOptions(options);
  return new MemoryStore(options);
}

class MemoryStore implements RelayStore {
  readonly #options: MemoryStoreOptions;
  readonly #maxBytes: number;
  readonly #ages: AgeClock;
  readonly #pending = new PendingEvents<EventRecord>();
  #bytes = 0;
  #nextSeq = 0;
  #isClosed = false;

  constructor(options: MemoryStoreOptions) {
    this.#options = options;
    this.#ages = new AgeClock(options.clock, options.boot);
    this.#maxBytes = options.maxBytes ?? DEFAULT_MAX_BYTES;
  }

  get length(): number {
    return this.#pending.length;
  }

  get ready(): number {
    return this.#pending.length;
  }

  get nextSeq(): number {
    return this.#nextSeq;
  }

  get oldestSeq(): number {
    return this.#pending.oldestSeq ?? this.#nextSeq;
  }

  append(target: string): Promise<Stored> {
    const bytes = bytesOf(target);
    if (this.#isClosed || this.#bytes + bytes > this.#maxBytes) return Promise.resolve('full');
    this.#bytes += bytes;
    this.#pending.add(new EventRecord(this.#nextSeq, target, this.#ages.stamp()));
    this.#nextSeq += 1;
    this.#options.onStored(1);
    return Promise.resolve('memory');
  }

  take(limit: number): StoredEvent[] {
    return this.#isClosed ? [] : this.#pending.take(limit);
  }

  putBack(events: readonly StoredEvent[]): void {
    this.#pending.putBack(events);
  }

  settle(events: readonly StoredEvent[]): void {
    this.#free(this.#pending.settle(events));
  }

  expire(): number {
    const { maxAgeMs = DEFAULT_MAX_AGE_MS } = this.#options;
    const expired = this.#pending.expire(this.#ages.now(), maxAgeMs);
    this.#free(expired);
    return expired.length;
  }

  clear(): number {
    this.#bytes = 0;
    return this.#pending.clear();
  }

  close(): Promise<number> {
    this.#isClosed = true;
    return Promise.resolve(this.length);
  }

  stats(): RelayStoreStats {
    return {
      waiting: this.length,
      bytes: 0,
      isDurable: false,
      recovered: 0,
      maybeSentTwice: 0,
      tornLines: 0,
      oldestAgeMs: ageOf(this.#pending, this.#ages),
    };
  }

  #free(records: readonly EventRecord[]): void {
    for (const { target } of records) this.#bytes -= bytesOf(target);
  }
}

/** An event counts as the spool counts it. */
function bytesOf(target: string): number {
  return Buffer.byteLength(target) + LINE_OVERHEAD_BYTES;
}
