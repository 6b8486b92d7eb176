import { settlesWithin } from '../../base/clock.js';
import type { Clock } from '../../base/clock.js';
import type { RelayStore, RelayStoreStats, Stored, StoredEvent } from '../store.js';
import { unusable } from './directory.js';
import { nodeFiles } from './files.js';
import { Tenure } from './lock.js';
import { MARK, MarkWriter } from './marks.js';
import type { Mark } from './marks.js';
import { checkSpoolOptions, DEFAULT_MAX_AGE_MS, DEFAULT_MAX_BYTES, DEFAULT_SEGMENT_BYTES, fittingSegmentBytes } from './options.js';
import type { SpoolOptions } from './options.js';
import { PendingEvents } from './pending-events.js';
import { Entry } from './record.js';
import { recover } from './recovery.js';
import type { Recovered } from './recovery.js';
import { marksChunk } from './segment.js';
import { Segments } from './segments.js';
import { sizedLine } from './waiting-lines.js';
import { GroupCommit } from './writer.js';

/** What there is to be ended. */
export interface EndingParts {
  readonly commit: GroupCommit;
  readonly segments: Segments;
  readonly tenure: Tenure;
  readonly pending: PendingEvents<Entry>;
  readonly clock: Clock;
}

/**
 * Writes down what is not written yet, and lets the directory go. A disk that does not answer is waited for no longer than `withinMs`;
 * the directory stays ours until it has. Never rejects.
 *
 * @returns How many events are not known to be on disk.
 */
export async function endSpool({ commit, segments, tenure, pending, clock }: EndingParts, withinMs: number | undefined): Promise<number> {
  let isOurs = false;
  let givenUp: readonly Entry[] = [];
  const finish = async (): Promise<void> => {
    await commit.close(pending.length > 0);
    try {
      // They were counted as lost: found by the next process, they would be counted twice.
      segments.settle(givenUp);
    } catch (error) {
      commit.fail(error);
    }
    await segments.close();
    isOurs = tenure.isHeld;
    await tenure.end();
  };
  const finishing = finish();
  let inDoubt: ReadonlySet<Entry> = new Set();
  if (withinMs === undefined) await finishing;
  else if (!(await settlesWithin(finishing, withinMs, clock))) {
    inDoubt = commit.abandon();
    isOurs = tenure.isHeld;
  }
  const lost = [...pending.all()].filter((entry) => entry.segment === undefined || inDoubt.has(entry) || !isOurs);
  givenUp = lost.filter((entry) => inDoubt.has(entry));
  // Those that have no place on disk yet are to get none.
  for (const entry of givenUp) entry.isSettled = true;
  return lost.length;
}

const NOTHING_FOUND = { recovered: 0, maybeSentTwice: 0, tornLines: 0 };

/** A store in a directory that is ours. Every pending event is in memory too, so that taking one reads nothing. */
export class Spool implements RelayStore {
  readonly #options: SpoolOptions;
  readonly #maxBytes: number;
  readonly #segmentBytes: number;
  readonly #tenure: Tenure;
  readonly #pending = new PendingEvents<Entry>();
  readonly #segments: Segments;
  readonly #commit: GroupCommit;
  #found: Pick<RelayStoreStats, 'recovered' | 'maybeSentTwice' | 'tornLines'> | undefined;
  #nextSeq = 0;
  #isOpen = false;
  #closed: Promise<number> | undefined;

  constructor(options: SpoolOptions) {
    const { maxBytes = DEFAULT_MAX_BYTES, segmentBytes = DEFAULT_SEGMENT_BYTES, clock, log, onStored, directory, fs = nodeFiles } = options;
    const marks = new MarkWriter(fs);
    this.#options = options;
    this.#maxBytes = maxBytes;
    this.#tenure = new Tenure(directory, fs);
    this.#segmentBytes = fittingSegmentBytes(segmentBytes, maxBytes);
    this.#segments = new Segments(this.#tenure.path, fs, this.#segmentBytes, marks);
    this.#commit = new GroupCommit({
      segments: this.#segments,
      marks,
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
  }

  /** Takes the directory, or begins in memory where the disk may work later. @throws (rejects) SpoolError where waiting would not mend it. */
  async open(): Promise<void> {
    try {
      await this.#commit.open();
      this.#isOpen = true;
    } catch (error) {
      await this.#tenure.end();
      throw error;
    }
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
    const line = sizedLine(new Entry(this.#nextSeq, target, this.#options.clock));
    const taken = this.#segments.bytes + this.#commit.writes.reservedBytes;
    // The next write may begin a segment, with a first stretch of marks.
    if (taken + line.bytes + marksChunk(this.#segmentBytes) > this.#maxBytes) return Promise.resolve('full');
    this.#nextSeq += 1;
    return this.#commit.add(line);
  }

  take(limit: number): StoredEvent[] {
    if (this.#closed !== undefined) return [];
    const entries = this.#pending.take(limit);
    for (const entry of entries) if (entry.segment === undefined) this.#commit.writes.unshelter(entry);
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
    const expired = this.#pending.expire(clock.now(), maxAgeMs);
    for (const entry of expired) this.#commit.writes.unshelter(entry);
    this.#onDisk(() => this.#segments.settle(expired));
    return expired.length;
  }

  clear(): number {
    const waited = this.#pending.clear();
    this.#commit.writes.clear();
    if (!this.#segments.clear()) {
      this.#options.log.warn('spool_not_cleared', 'events of the spool could not be deleted from its directory; it is tried again');
    }
    return waited;
  }

  close(withinMs?: number): Promise<number> {
    const parts = {
      commit: this.#commit,
      segments: this.#segments,
      tenure: this.#tenure,
      pending: this.#pending,
      clock: this.#options.clock,
    };
    this.#closed ??= endSpool(parts, withinMs);
    return this.#closed;
  }

  stats(): RelayStoreStats {
    return {
      waiting: this.length,
      bytes: this.#segments.bytes,
      isDurable: this.#commit.writes.isDurable,
      ...(this.#found ?? NOTHING_FOUND),
    };
  }

  #mark(entries: readonly Entry[], mark: Mark): void {
    this.#onDisk(() => this.#segments.mark(entries, mark));
  }

  /** Runs something synchronous that the disk may refuse. */
  #onDisk(work: () => void): void {
    try {
      work();
    } catch (error) {
      this.#commit.fail(error);
    }
  }

  /** Before the disk is tried, at first or again: the directory is ours, and what was lost with it is to be written anew. */
  async #revive(): Promise<void> {
    const { path, files } = this.#tenure;
    const { clock, admit = (target) => target } = this.#options;
    // First of all: where somebody else has the directory by now, files of these names are theirs, and so are their marks.
    if (this.#found !== undefined) await this.#rescueLost();
    await this.#tenure.take();
    if (this.#found === undefined) {
      const recovered = await recover(path, { files, clock, admit }).catch((error: unknown) => {
        throw unusable(path, 'read', error);
      });
      if (!this.#commit.isAbandoned) this.#adopt(recovered);
      return;
    }
    await this.#segments.sweep();
  }

  /** What was lost with its file is in memory alone, and is written anew. */
  async #rescueLost(): Promise<void> {
    const lost = await this.#segments.forgetLost();
    for (const entry of this.#pending.all()) {
      if (entry.segment === undefined || !lost.has(entry.segment)) continue;
      entry.segment = undefined;
      if (entry.isWaiting) this.#commit.shelter(entry);
    }
  }

  /** Events that came in before keep their numbers, so those of an earlier process, which are older, get lower ones. */
  #adopt({ entries, segments, nextSeq, nextNumber, tornLines, twins }: Recovered): void {
    const { log, onRecovered } = this.#options;
    const isFirst = this.#nextSeq === 0;
    const seqOffset = isFirst ? 0 : nextSeq;
    if (isFirst) this.#nextSeq = nextSeq;
    this.#segments.adopt(segments, nextNumber, seqOffset);
    for (const entry of entries) {
      entry.seq -= seqOffset;
      this.#pending.add(entry);
    }
    this.#found = { recovered: entries.length, maybeSentTwice: entries.filter(({ mayBeSecond }) => mayBeSecond).length, tornLines };
    this.#onDisk(() => this.#segments.settle(twins));
    if (tornLines > 0) log.warn('spool_torn', `${tornLines} lines of the spool could not be read, and are passed over`);
    if (this.#isOpen) onRecovered?.();
  }
}

/**
 * Opens a directory as a durable store, for this process alone, with what an earlier process left there. An event that was
 * acknowledged with `'disk'` survives a crash; one whose sending had begun by then comes back with `mayBeSecond`. Where the disk fails or
 * does not answer in these moments, events are kept in memory, and it is tried again as after a failure later on.
 *
 * @throws (rejects) TypeError for options that are wrong, SpoolError for a directory that must not be used, or cannot be for good.
 */
export async function openSpool(options: SpoolOptions): Promise<RelayStore> {
  checkSpoolOptions(options);
  const spool = new Spool(options);
  await spool.open();
  return spool;
}
