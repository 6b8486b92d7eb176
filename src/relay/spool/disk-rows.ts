// Events whose text is on disk alone, as rows of numbers: 64 bytes each. As objects, those of a full spool would take several times that,
// and each garbage collection would visit them.

import { EventRecord } from './record.js';

/** The columns of a row. They have the meaning of the fields of `EventRecord`. */
export const COLUMN = { seq: 0, segment: 1, slot: 2, offset: 3, lineBytes: 4, acceptedAtMs: 5, sinceMs: 6, flags: 7 } as const;

type Column = (typeof COLUMN)[keyof typeof COLUMN];

/** The bits of the column `flags`. */
export const FLAG = { isBegun: 1, mayBeSecond: 2, isRenewed: 4 } as const;

const WIDTH = 8;
const CHUNK_ROWS = 1024;

/** A queue of rows by number. Rows are mostly added in order. */
export class DiskRows {
  /** Chunks of rows: so no array is copied when it grows, and what was taken is freed. */
  #chunks: Float64Array[] = [];
  /** Rows at the start of the first chunk that are gone. */
  #gone = 0;
  #length = 0;

  get length(): number {
    return this.#length;
  }

  get(index: number, column: Column): number {
    const row = this.#gone + index;
    return this.#chunks[Math.floor(row / CHUNK_ROWS)]?.[(row % CHUNK_ROWS) * WIDTH + column] ?? 0;
  }

  set(index: number, column: Column, value: number): void {
    const row = this.#gone + index;
    const chunk = this.#chunks[Math.floor(row / CHUNK_ROWS)];
    if (chunk !== undefined) chunk[(row % CHUNK_ROWS) * WIDTH + column] = value;
  }

  /** The number of the first row. */
  get firstSeq(): number | undefined {
    return this.#length === 0 ? undefined : this.get(0, COLUMN.seq);
  }

  /** Adds a record at the end, whatever its number. */
  push(record: EventRecord): void {
    const { seq, segment = 0, slot, offset, lineBytes, acceptedAtMs, sinceMs, isBegun, mayBeSecond, isRenewed } = record;
    const flags = (isBegun ? FLAG.isBegun : 0) | (mayBeSecond ? FLAG.mayBeSecond : 0) | (isRenewed ? FLAG.isRenewed : 0);
    this.#pushRow([seq, segment, slot, offset, lineBytes, acceptedAtMs, sinceMs, flags]);
  }

  /** Adds a record in its place by number. */
  insert(record: EventRecord): void {
    this.push(record);
    for (let index = this.#length - 1; index > 0 && this.get(index - 1, COLUMN.seq) > record.seq; index -= 1) this.#swap(index - 1, index);
  }

  /** A new record, without its text. */
  recordAt(index: number): EventRecord {
    const flags = this.get(index, COLUMN.flags);
    const stamp = { upMs: this.get(index, COLUMN.sinceMs), atMs: this.get(index, COLUMN.acceptedAtMs) };
    const record = new EventRecord(this.get(index, COLUMN.seq), undefined, stamp, (flags & FLAG.mayBeSecond) !== 0);
    record.isBegun = (flags & FLAG.isBegun) !== 0;
    record.isRenewed = (flags & FLAG.isRenewed) !== 0;
    record.segment = this.get(index, COLUMN.segment);
    record.slot = this.get(index, COLUMN.slot);
    record.offset = this.get(index, COLUMN.offset);
    record.lineBytes = this.get(index, COLUMN.lineBytes);
    return record;
  }

  /** Removes the first row. */
  shift(): EventRecord | undefined {
    if (this.#length === 0) return undefined;
    const record = this.recordAt(0);
    this.#length -= 1;
    this.#gone += 1;
    if (this.#gone === CHUNK_ROWS || this.#length === 0) {
      this.#chunks.shift();
      this.#gone = 0;
    }
    return record;
  }

  /** Removes the first rows as long as they shall be removed, at most so many. @returns Those. */
  shiftWhile(isRemoved: (index: number) => boolean, most: number): EventRecord[] {
    const removed: EventRecord[] = [];
    while (removed.length < most && this.#length > 0 && isRemoved(0)) {
      const record = this.shift();
      if (record !== undefined) removed.push(record);
    }
    return removed;
  }

  /** Sorts the rows by number. */
  sort(): void {
    const order = Uint32Array.from({ length: this.#length }, (_, index) => index);
    this.#keep(order.sort((left, right) => this.get(left, COLUMN.seq) - this.get(right, COLUMN.seq)));
  }

  /** Removes rows. @returns Those. */
  removeIf(isRemoved: (index: number) => boolean): EventRecord[] {
    const removed: EventRecord[] = [];
    let kept: number[] | undefined;
    for (let index = 0; index < this.#length; index += 1) {
      if (!isRemoved(index)) kept?.push(index);
      else {
        kept ??= Array.from({ length: index }, (_, before) => before);
        removed.push(this.recordAt(index));
      }
    }
    if (kept !== undefined) this.#keep(kept);
    return removed;
  }

  /** Removes all rows. @returns How many there were. */
  clear(): number {
    const { length } = this;
    this.#keep([]);
    return length;
  }

  /** Keeps these rows alone, in this order. */
  #keep(order: ArrayLike<number> & Iterable<number>): void {
    const kept = new DiskRows();
    for (const index of order) kept.#pushRow(this.#rowAt(index));
    this.#chunks = kept.#chunks;
    this.#length = kept.#length;
    this.#gone = 0;
  }

  #rowAt(index: number): Float64Array {
    const row = this.#gone + index;
    const start = (row % CHUNK_ROWS) * WIDTH;
    return this.#chunks[Math.floor(row / CHUNK_ROWS)]?.subarray(start, start + WIDTH) ?? new Float64Array(WIDTH);
  }

  #pushRow(values: ArrayLike<number>): void {
    const row = this.#gone + this.#length;
    if (row === this.#chunks.length * CHUNK_ROWS) this.#chunks.push(new Float64Array(CHUNK_ROWS * WIDTH));
    this.#chunks.at(-1)?.set(values, (row % CHUNK_ROWS) * WIDTH);
    this.#length += 1;
  }

  #swap(left: number, right: number): void {
    const row = this.#rowAt(left).slice();
    this.#rowAt(left).set(this.#rowAt(right));
    this.#rowAt(right).set(row);
  }
}
