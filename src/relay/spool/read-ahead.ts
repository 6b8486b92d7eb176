// The pending events of the spool: the oldest have their text in memory, and the others are known by their place on disk.

import type { Clock } from '../../base/clock.js';
import type { StoredEvent } from '../../delivery/relay-store.js';
import { COLUMN, DiskRows } from './disk-rows.js';
import { PendingEvents } from './pending-events.js';
import { parseLineBytes } from './record.js';
import type { EventRecord } from './record.js';

/** A read asks for this part of the room. */
const BLOCK_SHARE = 1 / 8;

/** So many expired events are forgotten at a time. */
const EXPIRED_AT_ONCE = 8192;

/** Wait before events that could not be read are tried again. */
const RETRY_MS = 5000;

/** What it needs. */
interface ReadAheadOptions {
  /** How much text of events that wait on disk is in memory too. */
  maxBytes: number;
  clock: Pick<Clock, 'now'>;
  /** Reads from the file that has the line of a record, from that line on. @returns Fewer bytes at the end of the file. */
  read: (record: EventRecord, bytes: number) => Promise<Buffer>;
  /** @returns The part of a target that may be sent; undefined for none. */
  admit: (target: string) => string | undefined;
  /** Whether the disk works. If not, events in memory do not wait for older ones on disk. */
  isDurable: () => boolean;
  /** Called when more events can be taken. */
  onReady: () => void;
  /** Called with events whose lines are not as they were written. They wait no more. */
  onTorn: (records: readonly EventRecord[]) => void;
  /** Called when a read fails. Its events wait. */
  onReadFailed: (error: unknown) => void;
}

/**
 * Events are read in blocks before their turn, one read at a time and never synchronously: a disk that hangs must not hold the process.
 * Events that cannot be read are set aside and tried again; meanwhile later ones have their turn.
 */
export class ReadAhead {
  readonly #options: ReadAheadOptions;
  readonly #blockBytes: number;
  /** Those whose text is in memory, and those that are taken. */
  readonly #ready = new PendingEvents<EventRecord>();
  #onDisk = new DiskRows();
  /** Those on disk that could not be read, in any order. */
  readonly #aside = new DiskRows();
  #asideUntilMs = 0;
  #heldLength = 0;
  /** Settles with the read in flight. Never rejects. */
  #reading: Promise<void> | undefined;
  #isClosed = false;

  constructor(options: ReadAheadOptions) {
    this.#options = options;
    this.#blockBytes = Math.ceil(options.maxBytes * BLOCK_SHARE);
  }

  /** How many wait. */
  get length(): number {
    return this.#ready.length + this.#onDisk.length + this.#aside.length;
  }

  /** How many can be taken now. */
  get ready(): number {
    return (this.#ready.oldestSeq ?? Infinity) < this.#takenBeforeSeq ? this.#ready.length : 0;
  }

  /** Length of the text of events that wait. A character takes one byte: a target is ASCII, and a line of NDJSON mostly. */
  get heldBytes(): number {
    return this.#heldLength;
  }

  /** The number of the oldest event that waits. */
  get oldestSeq(): number | undefined {
    let oldest = Math.min(this.#ready.oldestSeq ?? Infinity, this.#onDisk.firstSeq ?? Infinity);
    for (let index = 0; index < this.#aside.length; index += 1) oldest = Math.min(oldest, this.#aside.get(index, COLUMN.seq));
    return oldest === Infinity ? undefined : oldest;
  }

  /** See `PendingEvents`. */
  get oldestSinceMs(): number {
    let oldest = this.#ready.oldestSinceMs;
    if (this.#onDisk.length > 0) oldest = Math.min(oldest, this.#onDisk.get(0, COLUMN.sinceMs));
    for (let index = 0; index < this.#aside.length; index += 1) oldest = Math.min(oldest, this.#aside.get(index, COLUMN.sinceMs));
    return oldest;
  }

  /** How many wait whose text is on disk alone. */
  get onDisk(): number {
    return this.#onDisk.length + this.#aside.length;
  }

  /** The others, in no order: those that wait with their text in memory, and those that are taken. */
  inMemory(): Iterable<EventRecord> {
    return this.#ready.all();
  }

  /** Takes over what an earlier process left. Resolves once the text of the oldest events is in memory. Never rejects. */
  async adopt(rows: DiskRows): Promise<void> {
    this.#onDisk = rows;
    this.#readMore(true);
    while (this.#reading !== undefined) await this.#reading;
  }

  /** Adds a new event. Its text stays in memory if it is not on disk, or if it has its turn soon. */
  add(record: EventRecord): void {
    const { text, lineBytes } = record;
    const isLate = lineBytes > 0 && (this.#onDisk.length > 0 || this.#heldLength + (text?.length ?? 0) > this.#options.maxBytes);
    if (text === undefined || isLate) this.#leaveOnDisk(record);
    else this.#hold(record, text);
  }

  /** Events from memory alone are on disk now: gives up their text if there is too much of it. */
  release(records: readonly EventRecord[]): void {
    const { maxBytes } = this.#options;
    if (this.#heldLength <= maxBytes) return;
    const released = new Set<EventRecord>();
    for (const record of records) {
      const { isWaiting, lineBytes, text } = record;
      if (!isWaiting || lineBytes === 0 || text === undefined || this.#heldLength <= maxBytes) continue;
      this.#heldLength -= text.length;
      released.add(record);
    }
    for (const record of this.#ready.removeIf((each) => released.has(each))) this.#leaveOnDisk(record);
  }

  /** Takes the oldest events whose text is in memory, at most `limit`, in order. */
  take(limit: number): EventRecord[] {
    const taken = this.#ready.take(limit, this.#takenBeforeSeq);
    this.#letGo(taken);
    this.#readMore(taken.length < limit);
    return taken;
  }

  /** See `PendingEvents`. */
  putBack(events: readonly StoredEvent[]): EventRecord[] {
    const returned = this.#ready.putBack(events);
    for (const { target } of returned) this.#heldLength += target.length;
    return returned;
  }

  /** See `PendingEvents`. */
  settle(events: readonly StoredEvent[]): EventRecord[] {
    return this.#ready.settle(events);
  }

  /** Forgets events that have waited for longer than `maxAgeMs`. @returns Those, a part at a time: a full spool may expire at once. */
  *expire(nowMs: number, maxAgeMs: number): Iterable<EventRecord[]> {
    const expired = this.#ready.expire(nowMs, maxAgeMs);
    this.#letGo(expired);
    yield expired;
    const isExpired = (rows: DiskRows, index: number) => nowMs - rows.get(index, COLUMN.sinceMs) > maxAgeMs;
    // The oldest ones come first, in nearly all cases.
    for (const rows of [this.#onDisk, this.#aside])
      while (rows.length > 0 && isExpired(rows, 0)) yield rows.shiftWhile((index) => isExpired(rows, index), EXPIRED_AT_ONCE);
    yield this.#forgetOnDisk(isExpired);
    this.#readMore(false);
  }

  /** Forgets events on disk whose files are gone. @returns Those. */
  forgetLost(segments: ReadonlySet<number>): EventRecord[] {
    return this.#forgetOnDisk((rows, index) => segments.has(rows.get(index, COLUMN.segment)));
  }

  /** Forgets all events. @returns How many waited. */
  clear(): number {
    this.#heldLength = 0;
    return this.#ready.clear() + this.#onDisk.clear() + this.#aside.clear();
  }

  /** Reads no more. */
  close(): void {
    this.#isClosed = true;
  }

  /** Only older events than this may be taken: it is the oldest one that is still to be read. */
  get #takenBeforeSeq(): number {
    return this.#options.isDurable() ? (this.#onDisk.firstSeq ?? Infinity) : Infinity;
  }

  #hold(record: EventRecord, text: string): void {
    record.text = text;
    this.#heldLength += text.length;
    this.#ready.add(record);
  }

  #letGo(records: readonly EventRecord[]): void {
    for (const { target } of records) this.#heldLength -= target.length;
  }

  #leaveOnDisk(record: EventRecord): void {
    record.text = undefined;
    this.#onDisk.insert(record);
  }

  #forgetOnDisk(isForgotten: (rows: DiskRows, index: number) => boolean): EventRecord[] {
    return [this.#onDisk, this.#aside].flatMap((rows) => rows.removeIf((index) => isForgotten(rows, index)));
  }

  /** Reads the next block if there is room for it, or if it is needed now. */
  #readMore(isNeeded: boolean): void {
    const next = this.#nextToRead(isNeeded);
    if (next !== undefined) this.#reading = this.#readBlock(next);
  }

  /** The rows whose first one is to be read now: those that failed go first, once they are due. */
  #nextToRead(isNeeded: boolean): DiskRows | undefined {
    const { clock, maxBytes } = this.#options;
    if (this.#reading !== undefined || this.#isClosed) return undefined;
    const rows = this.#aside.length > 0 && clock.now() >= this.#asideUntilMs ? this.#aside : this.#onDisk;
    if (rows.firstSeq === undefined) return undefined;
    const isNext = rows.firstSeq < (this.#ready.oldestSeq ?? Infinity);
    return isNeeded || isNext || this.#heldLength + this.#blockBytes <= maxBytes ? rows : undefined;
  }

  /** Reads the line of the first row, and those that follow it in its file. Never rejects. */
  async #readBlock(rows: DiskRows): Promise<void> {
    const { clock, read, onReady, onReadFailed } = this.#options;
    const first = rows.recordAt(0);
    // Known before the read: a line that is appended during it is not in what was read.
    const endsAt = coveredEnd(rows, first, Math.max(this.#blockBytes, first.lineBytes));
    try {
      const block = await read(first, endsAt - first.offset);
      this.#addText(shiftWithin(rows, first, endsAt), block, first.offset);
    } catch (error) {
      // If its event was forgotten meanwhile, the file may be gone with it.
      if (rows.firstSeq === first.seq && !this.#isClosed) {
        for (const record of shiftWithin(rows, first, endsAt)) this.#aside.push(record);
        this.#asideUntilMs = clock.now() + RETRY_MS;
        onReadFailed(error);
      }
    }
    this.#reading = undefined;
    this.#readMore(false);
    onReady();
  }

  /** Gives events their text from a block that begins at `offset` of their file. */
  #addText(records: readonly EventRecord[], block: Buffer, offset: number): void {
    const torn: EventRecord[] = [];
    for (const record of records) {
      const start = record.offset - offset;
      const target = this.#targetIn(block.subarray(start, start + record.lineBytes), record);
      if (target === undefined) torn.push(record);
      else this.#hold(record, target);
    }
    if (torn.length > 0) this.#options.onTorn(torn);
  }

  /** @returns The target in a line; undefined if it is not the line of this record. */
  #targetIn(bytes: Buffer, { acceptedAtMs, slot }: EventRecord): string | undefined {
    const line = parseLineBytes(bytes);
    return line?.mark === slot && line.stamp.atMs === acceptedAtMs ? this.#options.admit(line.target) : undefined;
  }
}

/** Whether the line of a row is in the part of a file from the line of `first` on. */
function isWithin(rows: DiskRows, index: number, { segment, offset }: EventRecord, endsAt: number): boolean {
  const start = rows.get(index, COLUMN.offset);
  return rows.get(index, COLUMN.segment) === segment && start >= offset && start + rows.get(index, COLUMN.lineBytes) <= endsAt;
}

/** Where the line of the last row ends that follows `first` within so many bytes of its file. */
function coveredEnd(rows: DiskRows, first: EventRecord, bytes: number): number {
  let endsAt = first.offset + first.lineBytes;
  for (let index = 1; index < rows.length && isWithin(rows, index, first, first.offset + bytes); index += 1)
    endsAt = Math.max(endsAt, rows.get(index, COLUMN.offset) + rows.get(index, COLUMN.lineBytes));
  return endsAt;
}

/** Takes the first rows as long as their lines are in the part of a file from the line of `first` on. */
function shiftWithin(rows: DiskRows, first: EventRecord, endsAt: number): EventRecord[] {
  const records: EventRecord[] = [];
  while (rows.length > 0 && isWithin(rows, 0, first, endsAt)) {
    const record = rows.shift();
    if (record !== undefined) records.push(record);
  }
  return records;
}
