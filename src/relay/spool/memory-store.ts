import type { RelayStore, RelayStoreStats, Stored, StoredEvent } from '../store.js';
import { checkMemoryStoreOptions, DEFAULT_MAX_AGE_MS, DEFAULT_MAX_BYTES } from './options.js';
import type { MemoryStoreOptions } from './options.js';
import { PendingEvents } from './pending-events.js';
import { Entry, LINE_OVERHEAD_BYTES } from './record.js';

/**
 * A store without a directory: the same promises but one, since what waits ends with the process.
 *
 * @throws TypeError naming the option and the value.
 */
export function memoryStore(options: MemoryStoreOptions): RelayStore {
  checkMemoryStoreOptions(options);
  return new MemoryStore(options);
}

class MemoryStore implements RelayStore {
  readonly #options: MemoryStoreOptions;
  readonly #maxBytes: number;
  readonly #pending = new PendingEvents<Entry>();
  #bytes = 0;
  #nextSeq = 0;
  #isClosed = false;

  constructor(options: MemoryStoreOptions) {
    this.#options = options;
    this.#maxBytes = options.maxBytes ?? DEFAULT_MAX_BYTES;
  }

  get length(): number {
    return this.#pending.length;
  }

  get nextSeq(): number {
    return this.#nextSeq;
  }

  get oldestSeq(): number {
    return this.#pending.oldestSeq ?? this.#nextSeq;
  }

  append(target: string): Promise<Stored> {
    const bytes = roomOf(target);
    if (this.#isClosed || this.#bytes + bytes > this.#maxBytes) return Promise.resolve('full');
    this.#bytes += bytes;
    this.#pending.add(new Entry(this.#nextSeq, target, this.#options.clock));
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
    const { clock, maxAgeMs = DEFAULT_MAX_AGE_MS } = this.#options;
    const expired = this.#pending.expire(clock.now(), maxAgeMs);
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
    return { waiting: this.length, bytes: 0, isDurable: false, recovered: 0, maybeSentTwice: 0, tornLines: 0 };
  }

  #free(entries: readonly Entry[]): void {
    for (const { target } of entries) this.#bytes -= roomOf(target);
  }
}

function roomOf(target: string): number {
  return Buffer.byteLength(target) + LINE_OVERHEAD_BYTES;
}
