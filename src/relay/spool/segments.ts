// The segments of a spool: chooses the one to write to, finds the mark of a record, and deletes files.

import type { AgeClock } from './age.js';
import { regainFile, syncDirectory } from './directory.js';
import type { OnTakenBack } from './directory.js';
import { ClearedError, errorCode, systemError } from './files.js';
import type { SpoolFiles } from './files.js';
import { MARK } from './marks.js';
import type { Mark, MarkWriter } from './marks.js';
import { encodeLine } from './record.js';
import type { EventRecord, RecordLine } from './record.js';
import { marksChunk, Segment } from './segment.js';

/** All segments in a directory. */
export class Segments {
  readonly #directory: { readonly path: string };
  readonly #files: SpoolFiles;
  readonly #segmentBytes: number;
  readonly #marks: MarkWriter;
  readonly #ages: AgeClock;
  readonly #deletion: SegmentDeletion;
  readonly #byNumber = new Map<number, Segment>();
  /** The one that takes lines. */
  #active: Segment | undefined;
  #nextNumber = 1;
  #seqOffset = 0;
  /** How often `clear()` was called: a write compares it before and after it waited. */
  #clears = 0;
  /** Once true, nothing in the directory is changed: another process may own it. */
  #isClosed = false;

  constructor(directory: { readonly path: string }, files: SpoolFiles, segmentBytes: number, marks: MarkWriter, ages: AgeClock) {
    this.#ages = ages;
    this.#directory = directory;
    this.#files = files;
    this.#segmentBytes = segmentBytes;
    this.#marks = marks;
    this.#deletion = new SegmentDeletion(files);
  }

  /** Size of all files, in bytes. */
  get bytes(): number {
    let bytes = this.#deletion.bytes;
    for (const segment of this.#byNumber.values()) bytes += segment.bytes;
    return bytes;
  }

  /** The file with the marks of a segment. The directory in use may have changed since the segment was begun. */
  marksPathOf(number: number): string {
    return (this.#byNumber.get(number) ?? new Segment(this.#directory.path, number)).marksPath;
  }

  /** Adds the segments of an earlier process. `seqOffset`: difference between the numbers on disk and in memory. */
  adopt(segments: readonly Segment[], nextNumber: number, seqOffset: number): void {
    this.#nextNumber = nextNumber;
    this.#seqOffset = seqOffset;
    for (const segment of segments) this.#byNumber.set(segment.number, segment);
    for (const segment of segments) this.#deleteIfDone(segment);
  }

  /** Makes sure that a segment takes lines. @throws (rejects) Errors of the file system, or `ClearedError`. */
  async open(): Promise<Segment> {
    if (this.#active !== undefined && this.#active.eventsBytes < this.#segmentBytes) return this.#active;
    await this.finish();
    const clears = this.#clears;
    const segment = new Segment(this.#directory.path, this.#nextNumber, marksChunk(this.#segmentBytes));
    this.#nextNumber += 1;
    try {
      await segment.create(this.#files);
      await syncDirectory(this.#directory.path, this.#files);
      if (clears !== this.#clears) throw new ClearedError();
    } catch (error) {
      // An existing file is not deleted: it belongs to another process.
      if (errorCode(error) !== 'EEXIST') this.#delete(segment);
      throw error;
    }
    this.#byNumber.set(segment.number, segment);
    this.#active = segment;
    return segment;
  }

  /**
   * Writes lines with one sync. Each record has its place before the write begins, so it can be marked while the write is in flight.
   *
   * @throws (rejects) Errors of the file system; the records have no place then. `ClearedError` if the spool was cleared meanwhile.
   */
  async write(lines: readonly RecordLine[]): Promise<void> {
    const clears = this.#clears;
    let segment: Segment;
    // While `open()` is awaited, the last event of the segment can be settled and the segment deleted.
    do segment = await this.open();
    while (segment !== this.#active && clears === this.#clears);
    if (clears !== this.#clears) throw new ClearedError();
    const records: EventRecord[] = [];
    const sizes: number[] = [];
    let text = '';
    for (const line of lines) {
      // A record in memory can be delivered while a segment is created for it.
      if (line.record.isSettled) continue;
      records.push(line.record);
      segment.place(line.record);
      const encoded = encodeLine(line, this.#ages.boot, this.#seqOffset);
      sizes.push(Buffer.byteLength(encoded));
      text += encoded;
    }
    let offset = segment.eventsBytes;
    try {
      segment.extendMarks(this.#marks);
      this.mark(
        records.filter(({ isBegun }) => isBegun),
        MARK.begun,
      );
      await segment.append(Buffer.from(text));
    } catch (error) {
      if (clears === this.#clears) await this.#rollBack(segment, records, errorCode(error) === 'ENOENT');
      if (clears === this.#clears) throw error;
    }
    if (clears !== this.#clears) throw new ClearedError();
    for (const [index, record] of records.entries()) {
      const bytes = sizes[index] ?? 0;
      // One that was settled meanwhile has no place any more.
      if (record.segment === segment.number) Object.assign(record, { offset, lineBytes: bytes - 1 });
      offset += bytes;
    }
  }

  /** Reads from the file of events that has a record. @throws (rejects) Errors of the file system; `ENOENT` if the file is gone. */
  async read({ segment, offset }: EventRecord, bytes: number): Promise<Buffer> {
    const found = segment === undefined ? undefined : this.#byNumber.get(segment);
    if (found === undefined) throw systemError('ENOENT', 'The segment is gone.');
    return found.read(this.#files, offset, bytes);
  }

  /** Gives records the same mark. @throws Errors of the file system. */
  mark(records: readonly EventRecord[], mark: Mark): void {
    if (!this.#isClosed) this.#marks.mark(records, mark);
  }

  /** Marks records as done and releases their places. @throws Errors of the file system for a mark; the places are released anyway. */
  settle(records: readonly EventRecord[]): void {
    for (const record of records) record.isSettled = true;
    try {
      this.mark(records, MARK.done);
    } finally {
      for (const record of records) this.#release(record);
    }
  }

  /** Deletes all files at once; `sweep` retries those that cannot be deleted. @returns Whether all are deleted. */
  clear(): boolean {
    this.#clears += 1;
    void this.#active?.finish();
    this.#active = undefined;
    this.#marks.closeAll();
    const segments = [...this.#byNumber.values()];
    this.#byNumber.clear();
    return this.#isClosed || this.#deletion.deleteNow(segments, this.#marks.isBuffering);
  }

  /** Retries pending deletions. Never rejects. */
  sweep(): Promise<void> {
    return this.#deletion.sweep();
  }

  /** Takes back the rights that files have lost: marks are opened to be written, and events to be read. Never rejects. */
  async regain(onTakenBack: OnTakenBack): Promise<void> {
    for (const { marksPath, eventsPath } of this.#byNumber.values())
      for (const path of [marksPath, eventsPath]) await regainFile(path, this.#files, onTakenBack);
  }

  /** Forgets segments whose files were deleted or replaced. @returns Their numbers. @throws (rejects) Errors of the file system. */
  async forgetLost(): Promise<ReadonlySet<number>> {
    const lost = new Set<number>();
    for (const segment of this.#byNumber.values()) if (await segment.isLost(this.#files)) lost.add(segment.number);
    for (const number of lost) {
      // Its files are not deleted: files of these names now belong to another process.
      this.#byNumber.delete(number);
      this.#marks.close(number);
    }
    if (this.#active !== undefined && lost.has(this.#active.number)) await this.finish();
    return lost;
  }

  /** Closes the active segment. Never rejects. */
  async finish(): Promise<void> {
    const segment = this.#active;
    this.#active = undefined;
    await segment?.finish();
    if (segment !== undefined) this.#deleteIfDone(segment);
  }

  /** Closes all files and deletes segments that are done. Never rejects. */
  async close(): Promise<void> {
    await this.finish();
    await this.#deletion.finish();
    this.#isClosed = true;
    this.#marks.closeAll();
  }

  /** After a failed write: its lines may be on disk, and must not be recovered beside the lines of the next attempt. */
  async #rollBack(segment: Segment, records: readonly EventRecord[], isDeleted: boolean): Promise<void> {
    const own = records.filter((record) => record.segment === segment.number);
    try {
      // A deleted file is not recovered, and a file of its name belongs to another process.
      if (!isDeleted) this.mark(own, MARK.done);
    } catch {
      // Cutting the file back has the same effect.
    }
    for (const record of own) this.#release(record);
    await segment.cutBack();
    if (segment === this.#active) await this.finish();
  }

  #release(record: EventRecord): void {
    const segment = record.segment === undefined ? undefined : this.#byNumber.get(record.segment);
    record.displace();
    if (segment === undefined) return;
    segment.live -= 1;
    this.#deleteIfDone(segment);
  }

  /** Deletes a segment without live events. The active one stays until it has a quarter of its size: creating a file costs more. */
  #deleteIfDone(segment: Segment): void {
    if (segment.live > 0 || this.#isClosed || !this.#byNumber.has(segment.number)) return;
    if (segment === this.#active) {
      if (segment.eventsBytes * 4 < this.#segmentBytes) return;
      this.#active = undefined;
      void segment.finish();
    }
    this.#delete(segment);
  }

  #delete(segment: Segment): void {
    this.#byNumber.delete(segment.number);
    this.#marks.close(segment.number);
    this.#deletion.add(segment);
  }
}

/** Segments whose files are being deleted. They count as used room until the deletion has worked. */
class SegmentDeletion {
  readonly #files: SpoolFiles;
  readonly #pending = new Set<Segment>();
  #sweeping: Promise<void> | undefined;

  constructor(files: SpoolFiles) {
    this.#files = files;
  }

  get bytes(): number {
    let bytes = 0;
    for (const segment of this.#pending) bytes += segment.bytes;
    return bytes;
  }

  /** Deletes a segment in the background. */
  add(segment: Segment): void {
    this.#pending.add(segment);
    void this.sweep();
  }

  /** Deletes segments synchronously, in the background while the disk hangs. @returns Whether all are deleted. */
  deleteNow(segments: Iterable<Segment>, isDiskHanging: boolean): boolean {
    for (const segment of segments) this.#pending.add(segment);
    if (isDiskHanging) {
      void this.sweep();
      return this.#pending.size === 0;
    }
    for (const segment of this.#pending) {
      try {
        for (const path of pathsOf(segment)) this.#unlinkNow(path);
        this.#pending.delete(segment);
      } catch {
        // It stays pending for the next sweep.
      }
    }
    return this.#pending.size === 0;
  }

  /** Tries to delete what is pending. Never rejects. */
  sweep(): Promise<void> {
    this.#sweeping ??= this.#sweep().finally(() => (this.#sweeping = undefined));
    return this.#sweeping;
  }

  /** Like `sweep`, and includes segments that are added during a sweep in flight. Never rejects. */
  async finish(): Promise<void> {
    await this.sweep();
    await this.sweep();
  }

  async #sweep(): Promise<void> {
    for (const segment of this.#pending) {
      try {
        await segment.finish();
        for (const path of pathsOf(segment)) await this.#unlink(path);
        this.#pending.delete(segment);
      } catch {
        // The disk is read-only or broken: the deletion is retried with the disk, and at the end.
      }
    }
  }

  async #unlink(path: string): Promise<void> {
    try {
      await this.#files.unlink(path);
    } catch (error) {
      if (errorCode(error) !== 'ENOENT') throw error;
    }
  }

  #unlinkNow(path: string): void {
    try {
      this.#files.unlinkSync(path);
    } catch (error) {
      if (errorCode(error) !== 'ENOENT') throw error;
    }
  }
}

/** The events first: events without marks are recovered. */
function pathsOf({ eventsPath, marksPath }: Segment): readonly string[] {
  return [eventsPath, marksPath];
}
