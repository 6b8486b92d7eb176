import type { RelayStore, RelayStoreStats, Stored, StoredEvent } from '../store.js';
import { Entry } from './entry.js';
import { GroupCommit } from './group-commit.js';
import { MARK } from './marks.js';
import type { Mark } from './marks.js';
import { DEFAULT_MAX_AGE_MS, DEFAULT_MAX_BYTES, DEFAULT_SEGMENT_BYTES, fittingSegmentBytes } from './options.js';
import type { SpoolOptions } from './options.js';
import { PendingEvents } from './pending-events.js';
import type { Recovered } from './recovery.js';
import { marksChunk } from './segment.js';
import { Segments } from './segments.js';
import { sizedLine } from './shelter.js';
import type { Tenure } from './tenure.js';

/** A store in a directory that is ours. Every pending event is in memory too, so that taking one reads nothing. */
export class Spool implements RelayStore {
  readonly #options: SpoolOptions;
  readonly #maxBytes: number;
  readonly #segmentBytes: number;
  readonly #tenure: Tenure;
  readonly #pending = new PendingEvents<Entry>();
  readonly #segments: Segments;
  readonly #commit: GroupCommit;
  readonly #found: Pick<RelayStoreStats, 'recovered' | 'maybeSentTwice' | 'tornLines'>;
  #nextSeq: number;
  #closed: Promise<number> | undefined;

  constructor(options: SpoolOptions, tenure: Tenure, recovered: Recovered) {
    const { maxBytes = DEFAULT_MAX_BYTES, segmentBytes = DEFAULT_SEGMENT_BYTES, clock, log, onStored } = options;
    const { entries, segments, nextSeq, nextNumber, tornLines, twins } = recovered;
    this.#options = options;
    this.#maxBytes = maxBytes;
    this.#tenure = tenure;
    this.#nextSeq = nextSeq;
    this.#segmentBytes = fittingSegmentBytes(segmentBytes, maxBytes);
    this.#segments = new Segments(tenure.path, tenure.files, this.#segmentBytes, segments, nextNumber);
    this.#commit = new GroupCommit({
      segments: this.#segments,
      clock,
      log,
      batchBytes: this.#segmentBytes,
      onStored: (stored) => {
        if (stored.length === 0) return;
        for (const entry of stored) this.#pending.add(entry);
        onStored(stored.length);
      },
      revive: () => this.#revive(),
    });
    for (const entry of entries) this.#pending.add(entry);
    const maybeSentTwice = entries.filter(({ mayBeSecond }) => mayBeSecond).length;
    this.#found = { recovered: entries.length, maybeSentTwice, tornLines };
    this.#onDisk(() => this.#segments.settle(twins));
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
    if (this.#closed !== undefined) return Promise.resolve('full');
    const line = sizedLine(new Entry(this.#nextSeq, target, Math.trunc(this.#options.clock.wallNow())));
    const taken = this.#segments.bytes + this.#commit.reservedBytes;
    // The next write may begin a segment, with a first stretch of marks.
    if (taken + line.bytes + marksChunk(this.#segmentBytes) > this.#maxBytes) return Promise.resolve('full');
    this.#nextSeq += 1;
    return this.#commit.add(line);
  }

  take(limit: number): StoredEvent[] {
    if (this.#closed !== undefined) return [];
    const entries = this.#pending.take(limit);
    for (const entry of entries) if (entry.segment === undefined) this.#commit.unshelter(entry);
    const unmarked = entries.filter((entry) => !entry.isBegun);
    for (const entry of unmarked) entry.isBegun = true;
    // A disk that takes no marks keeps no event from being delivered: after a crash it may be delivered again, uncounted.
    this.#mark(unmarked, MARK.begun);
    return entries;
  }

  putBack(events: readonly StoredEvent[]): void {
    const entries = this.#pending.putBack(events);
    // What an earlier process may have sent stays in doubt, whatever we know of our own attempt.
    const unsent = entries.filter((entry) => !entry.mayBeSecond);
    for (const entry of unsent) entry.isBegun = false;
    this.#mark(unsent, MARK.waiting);
    for (const entry of entries) if (entry.segment === undefined) this.#commit.shelter(entry);
  }

  settle(events: readonly StoredEvent[]): void {
    const entries = this.#pending.settle(events);
    this.#onDisk(() => this.#segments.settle(entries));
  }

  expire(): number {
    const { clock, maxAgeMs = DEFAULT_MAX_AGE_MS } = this.#options;
    const expired = this.#pending.expire(clock.wallNow(), maxAgeMs);
    for (const entry of expired) this.#commit.unshelter(entry);
    this.#onDisk(() => this.#segments.settle(expired));
    return expired.length;
  }

  clear(): number {
    const waited = this.#pending.clear();
    this.#commit.clear();
    if (!this.#segments.clear()) {
      this.#options.log.warn('spool_not_cleared', 'events of the spool could not be deleted from its directory; it is tried again');
    }
    return waited;
  }

  close(): Promise<number> {
    this.#closed ??= this.#close();
    return this.#closed;
  }

  stats(): RelayStoreStats {
    return { waiting: this.length, bytes: this.#segments.bytes, isDurable: this.#commit.isDurable, ...this.#found };
  }

  async #close(): Promise<number> {
    await this.#commit.close(this.length > 0);
    await this.#segments.close();
    const isOurs = this.#tenure.isHeld;
    await this.#tenure.end();
    let lost = 0;
    for (const { segment } of this.#pending.all()) if (segment === undefined || !isOurs) lost += 1;
    return lost;
  }

  #mark(entries: readonly Entry[], mark: Mark): void {
    this.#onDisk(() => {
      this.#segments.mark(entries, mark);
    });
  }

  /** Runs something synchronous that the disk may refuse. */
  #onDisk(work: () => void): void {
    try {
      work();
    } catch (error) {
      this.#commit.fail(error);
    }
  }

  /** Before the disk is tried again: the directory is ours again, and what was lost with it is to be written anew. */
  async #revive(): Promise<void> {
    await this.#tenure.renew();
    const lost = await this.#segments.forgetLost();
    for (const entry of this.#pending.all()) {
      if (entry.segment === undefined || !lost.has(entry.segment)) continue;
      entry.segment = undefined;
      if (entry.isWaiting) this.#commit.shelter(entry);
    }
    await this.#segments.sweep();
  }
}
