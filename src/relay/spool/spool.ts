// The durable store of a relay: events are written ahead to a directory, and stay there until their fate is known.

import { settlesWithin } from '../../base/clock.js';
import type { RelayStore, RelayStoreStats, Stored, StoredEvent } from '../../delivery/relay-store.js';
import { AgeClock, ageOf, isSaveDue } from './age.js';
import type { Shift } from './age.js';
import { AgesFile } from './ages-file.js';
import { unusable } from './directory.js';
import type { OnTakenBack } from './directory.js';
import { errorCode, nodeFiles, SpoolError } from './files.js';
import { takeLeftBehind, tellLeftBehind } from './left-behind.js';
import type { PlacesOptions } from './left-behind.js';
import { DirectoryLease } from './lock.js';
import { MARK, MarkWriter } from './marks.js';
import type { Mark } from './marks.js';
import { checkSpoolOptions, fittingSegmentBytes } from './options.js';
import { DEFAULT_MAX_AGE_MS, DEFAULT_MAX_BYTES, DEFAULT_READ_AHEAD_BYTES, DEFAULT_SEGMENT_BYTES } from './options.js';
import type { SpoolOptions } from './options.js';
import { COLUMN, FLAG } from './disk-rows.js';
import { ReadAhead } from './read-ahead.js';
import { EventRecord, recordLine } from './record.js';
import { recover } from './recovery.js';
import type { Recovered } from './recovery.js';
import { marksChunk } from './segment.js';
import { Segments } from './segments.js';
import { GroupCommit } from './writer.js';

/**
 * Opens a directory as a durable store, for this process alone, with the events that an earlier process left.
 *
 * An event that was answered with `'disk'` survives a crash; if it was taken by then, it is recovered with `mayBeSecond`. If the directory
 * cannot be used, or the disk fails or hangs, events are kept in memory, and the directory is tried again as after a later failure.
 *
 * @throws (rejects) TypeError for wrong options. SpoolError if another process uses the directory, and with `required` also for any other
 *   cause.
 */
export async function openSpool(options: SpoolOptions): Promise<RelayStore> {
  checkSpoolOptions(options);
  const spool = new Spool(options);
  await spool.open();
  return spool;
}

const NOTHING_RECOVERED = { recovered: 0, maybeSentTwice: 0, tornLines: 0 };

/** `take` reads nothing from disk: the text of the oldest events is in memory before their turn. */
class Spool implements RelayStore {
  readonly #options: SpoolOptions;
  readonly #maxBytes: number;
  readonly #segmentBytes: number;
  readonly #lease: DirectoryLease;
  readonly #pending: ReadAhead;
  readonly #segments: Segments;
  readonly #marks: MarkWriter;
  readonly #ages: AgeClock;
  readonly #agesFile: AgesFile;
  readonly #commit: GroupCommit;
  /** Set once the directory was recovered. */
  #recovered: Pick<RelayStoreStats, 'recovered' | 'maybeSentTwice' | 'tornLines'> | undefined;
  /** How the times of earlier boots are told in this one. */
  #shifts: ReadonlyMap<string, Shift> = new Map();
  readonly #openedAtMs: number;
  #agesSavedAtMs: number;
  #nextSeq = 0;
  #isOpen = false;
  #closed: Promise<number> | undefined;

  constructor(options: SpoolOptions) {
    const { maxBytes = DEFAULT_MAX_BYTES, segmentBytes = DEFAULT_SEGMENT_BYTES, clock, log, onStored, directory, fs = nodeFiles } = options;
    this.#options = options;
    this.#maxBytes = maxBytes;
    this.#segmentBytes = fittingSegmentBytes(segmentBytes, maxBytes);
    this.#lease = new DirectoryLease(directory, fs, this.#onTakenBack, log);
    const marks = new MarkWriter((segment) => this.#segments.marksPathOf(segment), fs);
    this.#marks = marks;
    this.#ages = new AgeClock(clock, options.boot);
    this.#openedAtMs = this.#ages.now();
    this.#agesSavedAtMs = this.#openedAtMs;
    this.#agesFile = new AgesFile(this.#lease, fs);
    this.#segments = new Segments(this.#lease, fs, this.#segmentBytes, marks, this.#ages);
    this.#commit = new GroupCommit({
      segments: this.#segments,
      marks,
      clock,
      log,
      batchBytes: this.#segmentBytes,
      onWritten: (records) => this.#pending.release(records),
      onStored: (records) => {
        if (records.length === 0) return;
        for (const record of records) this.#pending.add(record);
        onStored(records.length);
      },
      prepare: () => this.#prepare(),
      isRequired: options.required === true,
    });
    this.#pending = new ReadAhead({
      maxBytes: options.readAheadBytes ?? DEFAULT_READ_AHEAD_BYTES,
      clock,
      read: (record, bytes) => this.#segments.read(record, bytes),
      admit: (target) => this.#admit(target),
      isDurable: () => this.#commit.isDurable,
      onReady: () => options.onReady?.(),
      onTorn: this.#dropUnreadable,
      onReadFailed: this.#onReadFailed,
    });
  }

  readonly #onTakenBack: OnTakenBack = (path, mode, why) => {
    this.#options.log.warn('spool_permissions', `${why} ${JSON.stringify(path)} (mode ${mode}); its permissions were taken back`);
  };

  /** Acquires the directory, or starts in memory if the disk may work later. @throws (rejects) SpoolError if a retry cannot succeed. */
  async open(): Promise<void> {
    try {
      await this.#commit.open();
      this.#isOpen = true;
    } catch (error) {
      await this.#lease.release();
      throw error;
    }
  }

  get length(): number {
    return this.#pending.length;
  }

  get ready(): number {
    return this.#pending.ready;
  }

  get nextSeq(): number {
    return this.#nextSeq;
  }

  get oldestSeq(): number {
    return this.#pending.oldestSeq ?? this.#nextSeq;
  }

  append(target: string): Promise<Stored> {
    if (this.#closed !== undefined) return Promise.resolve('full');
    const line = recordLine(new EventRecord(this.#nextSeq, target, this.#ages.stamp()));
    const used = this.#segments.bytes + this.#commit.reservedBytes;
    // The next write may begin a segment, with a chunk of marks.
    if (used + line.bytes + marksChunk(this.#segmentBytes) > this.#maxBytes) return Promise.resolve('full');
    this.#nextSeq += 1;
    return this.#commit.append(line);
  }

  take(limit: number): StoredEvent[] {
    if (this.#closed !== undefined) return [];
    const records = this.#pending.take(limit);
    for (const record of records) if (record.segment === undefined) this.#commit.withdraw(record);
    const unmarked = records.filter(({ isBegun }) => !isBegun);
    for (const record of unmarked) record.isBegun = true;
    // If the mark fails, the event is delivered anyway: after a crash it may be sent twice without being counted.
    this.#mark(unmarked, MARK.begun);
    return records;
  }

  putBack(events: readonly StoredEvent[]): void {
    const records = this.#pending.putBack(events);
    // An earlier process may have sent the others: that stays in doubt.
    const unsent = records.filter(({ mayBeSecond }) => !mayBeSecond);
    for (const record of unsent) record.isBegun = false;
    this.#mark(unsent, MARK.waiting);
    for (const record of records) if (record.segment === undefined) this.#commit.rewrite(record);
  }

  settle(events: readonly StoredEvent[]): void {
    const records = this.#pending.settle(events);
    this.#onDisk(() => this.#segments.settle(records));
  }

  expire(): number {
    const { maxAgeMs = DEFAULT_MAX_AGE_MS } = this.#options;
    const nowMs = this.#ages.now();
    let events = 0;
    for (const expired of this.#pending.expire(nowMs, maxAgeMs)) {
      events += expired.length;
      for (const record of expired) this.#commit.withdraw(record);
      this.#onDisk(() => this.#segments.settle(expired));
    }
    // A wall clock that was set must not count as a long time without power after the next start.
    const isDue = this.#ages.takeJump() || isSaveDue({ nowMs, openedAtMs: this.#openedAtMs, savedAtMs: this.#agesSavedAtMs });
    if (isDue && this.length > 0 && this.#canWriteNow) this.#saveAges(true);
    return events;
  }

  clear(): number {
    const waited = this.#pending.clear();
    this.#commit.clear();
    if (this.#canWriteNow) this.#agesFile.remove();
    if (!this.#segments.clear()) {
      this.#options.log.warn('spool_not_cleared', 'events of the spool could not be deleted from its directory; the deletion is retried');
    }
    return waited;
  }

  close(withinMs?: number): Promise<number> {
    this.#closed ??= this.#close(withinMs);
    return this.#closed;
  }

  stats(): RelayStoreStats {
    return {
      waiting: this.length,
      bytes: this.#segments.bytes,
      isDurable: this.#commit.isDurable,
      oldestAgeMs: ageOf(this.#pending, this.#ages),
      maxBytes: this.#maxBytes,
      ...(this.#recovered ?? NOTHING_RECOVERED),
    };
  }

  #admit(target: string): string | undefined {
    const { admit } = this.#options;
    return admit === undefined ? target : admit(target);
  }

  /** Their lines are gone, not as they were written, or not what this relay may send. */
  readonly #dropUnreadable = (records: readonly EventRecord[]): void => {
    const { log, onUnreadable } = this.#options;
    this.#onDisk(() => this.#segments.settle(records));
    const why = 'their lines on disk were deleted or changed, or hold what this relay may not send';
    log.warn('spool_unreadable', `${records.length} events of the spool are lost: ${why}`);
    onUnreadable?.(records.length);
  };

  readonly #onReadFailed = (error: unknown): void => {
    const code = errorCode(error);
    // The retry takes back lost rights, and finds which files are gone.
    if (code === 'ENOENT' || code === 'EACCES') this.#commit.fail(error);
    else this.#options.log.warn('spool_read_failed', `events of the spool cannot be read (${code}); they wait, and later ones go first`);
  };

  /** Whether a synchronous write may be tried: the directory is ours, and the disk responds. */
  get #canWriteNow(): boolean {
    return this.#commit.isDurable && !this.#commit.isAbandoned && this.#lease.isHeld && !this.#marks.isBuffering;
  }

  get #places(): PlacesOptions {
    const { given, files } = this.#lease;
    return { given, files, onTakenBack: this.#onTakenBack, log: this.#options.log };
  }

  #saveAges(hasEvents: boolean): void {
    this.#agesSavedAtMs = this.#ages.now();
    if (hasEvents) this.#agesFile.save(this.#ages.stamp(), this.#shifts);
    else this.#agesFile.remove();
  }

  #mark(records: readonly EventRecord[], mark: Mark): void {
    this.#onDisk(() => this.#segments.mark(records, mark));
  }

  /** Runs a synchronous operation that the disk may refuse. */
  #onDisk(operation: () => void): void {
    try {
      operation();
    } catch (error) {
      this.#commit.fail(error);
    }
  }

  /** Prepares the directory for writing, at the start and before each retry. @throws (rejects) As `open()` does. */
  async #prepare(): Promise<void> {
    const { files } = this.#lease;
    const { maxAgeMs = DEFAULT_MAX_AGE_MS, log, onRead } = this.#options;
    await this.#lease.regain();
    await this.#segments.regain(this.#onTakenBack);
    // Before the lease is acquired: if another process owned the directory meanwhile, files of our names are that process's files.
    if (this.#recovered !== undefined) await this.#rewriteLost();
    await this.#acquire();
    if (this.#recovered !== undefined) {
      await this.#segments.sweep();
      return;
    }
    const { path } = this.#lease;
    await takeLeftBehind(path, this.#places);
    const recovered = await recover(path, { files, clock: this.#ages, maxAgeMs, onRead, onTakenBack: this.#onTakenBack, log }).catch(
      (error: unknown) => {
        throw unusable(path, 'read', error);
      },
    );
    if (!this.#commit.isAbandoned) await this.#adopt(recovered);
  }

  /** @throws (rejects) As `open()` does. The log then also says where events of an earlier process lie. */
  async #acquire(): Promise<void> {
    try {
      await this.#lease.acquire();
    } catch (error) {
      const isOthers = error instanceof SpoolError && error.code === 'in_use';
      if (this.#recovered === undefined && !isOthers) await tellLeftBehind(this.#places);
      throw error;
    }
  }

  /**
   * Events whose file was deleted are written again if their text is in memory. The others are lost.
   *
   * @throws (rejects) Errors of the file system.
   */
  async #rewriteLost(): Promise<void> {
    const lost = await this.#segments.forgetLost();
    const unreadable = this.#pending.forgetLost(lost);
    // Files of their names may belong to another process by now: nothing is marked there.
    for (const record of unreadable) record.displace();
    if (unreadable.length > 0) this.#dropUnreadable(unreadable);
    for (const record of this.#pending.inMemory()) {
      if (record.segment === undefined || !lost.has(record.segment)) continue;
      record.displace();
      if (record.isWaiting) this.#commit.rewrite(record);
    }
  }

  /** Adds recovered events. They are older than events that were accepted meanwhile, so they get lower numbers. */
  async #adopt({ rows, duplicates, segments, nextSeq, nextNumber, tornLines, hasAges, shifts, renewed }: Recovered): Promise<void> {
    const { log, onRecovered } = this.#options;
    this.#shifts = shifts;
    if (hasAges) this.#agesFile.found();
    const isFirst = this.#nextSeq === 0;
    const seqOffset = isFirst ? 0 : nextSeq;
    if (isFirst) this.#nextSeq = nextSeq;
    this.#segments.adopt(segments, nextNumber, seqOffset);
    let maybeSentTwice = 0;
    for (let index = 0; index < rows.length; index += 1) {
      rows.set(index, COLUMN.seq, rows.get(index, COLUMN.seq) - seqOffset);
      if ((rows.get(index, COLUMN.flags) & FLAG.mayBeSecond) !== 0) maybeSentTwice += 1;
    }
    this.#recovered = { recovered: rows.length, maybeSentTwice, tornLines };
    this.#onDisk(() => this.#segments.settle(duplicates));
    if (renewed > 0) {
      log.warn(
        'spool_clock',
        `the clock of the machine does not tell how long the relay was off: the age of ${renewed} events in the spool starts anew, once`,
      );
    }
    // A clock that is wrong at each start must not renew the same events again.
    if (!this.#marks.isBuffering) this.#saveAges(rows.length > 0);
    if (tornLines > 0) log.warn('spool_torn', `${tornLines} lines of the spool could not be read, and are skipped`);
    const isReady = this.#pending.adopt(rows);
    if (this.#isOpen) onRecovered?.();
    await isReady;
  }

  /** @returns How many events are not known to be on disk. The lease is held until a disk that hangs responds. */
  async #close(withinMs: number | undefined): Promise<number> {
    this.#pending.close();
    let isOurs = false;
    let givenUp: readonly EventRecord[] = [];
    const finish = async (): Promise<void> => {
      await this.#commit.close(this.length > 0);
      if (this.#canWriteNow) this.#saveAges(this.length > 0);
      // They were counted as lost: if the next process recovered them, they would be counted twice.
      this.#onDisk(() => this.#segments.settle(givenUp));
      await this.#segments.close();
      isOurs = this.#lease.isHeld;
      await this.#lease.release();
    };
    const finished = finish();
    let inDoubt: ReadonlySet<EventRecord> = new Set();
    if (withinMs === undefined) await finished;
    else if (!(await settlesWithin(finished, withinMs, this.#options.clock))) {
      inDoubt = this.#commit.abandon();
      isOurs = this.#lease.isHeld;
    }
    const lost = [...this.#pending.inMemory()].filter((record) => record.segment === undefined || inDoubt.has(record) || !isOurs);
    givenUp = lost.filter((record) => inDoubt.has(record));
    // Those without a place on disk must not get one.
    for (const record of givenUp) record.isSettled = true;
    return lost.length + (isOurs ? 0 : this.#pending.onDisk);
  }
}
