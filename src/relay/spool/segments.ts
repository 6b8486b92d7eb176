import { syncDirectory } from './directory.js';
import { Cleared, errorCode } from './files.js';
import type { SpoolFiles } from './files.js';
import { MARK } from './marks.js';
import type { Mark, MarkWriter } from './marks.js';
import { encodeLine } from './record.js';
import type { Entry, PendingLine } from './record.js';
import { marksChunk, Segment } from './segment.js';

/** Segments whose files are to be deleted. They take room on disk until that has worked. */
export class Removals {
  readonly #files: SpoolFiles;
  readonly #waiting = new Set<Segment>();
  #sweeping: Promise<void> | undefined;

  constructor(files: SpoolFiles) {
    this.#files = files;
  }

  get bytes(): number {
    let bytes = 0;
    for (const segment of this.#waiting) bytes += segment.bytes;
    return bytes;
  }

  /** Deletes a segment soon. */
  add(segment: Segment): void {
    this.#waiting.add(segment);
    void this.sweep();
  }

  /**
   * Deletes segments, and whatever else waits, before it returns; what cannot be deleted waits on, and so does all of it where the
   * disk does not answer. @returns Whether all of it is gone.
   */
  remove(segments: Iterable<Segment>, isDiskSilent: boolean): boolean {
    for (const segment of segments) this.#waiting.add(segment);
    if (isDiskSilent) {
      void this.sweep();
      return this.#waiting.size === 0;
    }
    for (const segment of this.#waiting) {
      try {
        for (const path of pathsOf(segment)) ignoreMissing(() => this.#files.unlinkSync(path));
        this.#waiting.delete(segment);
      } catch {
        // It waits for the next sweep.
      }
    }
    return this.#waiting.size === 0;
  }

  /** Deletes what waits, as far as that works now. Never rejects. */
  sweep(): Promise<void> {
    this.#sweeping ??= this.#sweep().finally(() => (this.#sweeping = undefined));
    return this.#sweeping;
  }

  /** The same, and what was added while a sweep was under way. Never rejects. */
  async finish(): Promise<void> {
    await this.sweep();
    await this.sweep();
  }

  async #sweep(): Promise<void> {
    for (const segment of this.#waiting) {
      try {
        await segment.finish();
        for (const path of pathsOf(segment)) await this.#unlink(path);
        this.#waiting.delete(segment);
      } catch {
        // Read-only or broken: it is tried again with the disk, and at the end.
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
}

/** The events first: without their marks they would all come back. */
function pathsOf({ eventsPath, marksPath }: Segment): readonly string[] {
  return [eventsPath, marksPath];
}

function ignoreMissing(unlink: () => void): void {
  try {
    unlink();
  } catch (error) {
    if (errorCode(error) !== 'ENOENT') throw error;
  }
}

/** The events on disk: which segment takes lines, what is marked where, what may be deleted. */
export class Segments {
  readonly #directory: string;
  readonly #files: SpoolFiles;
  readonly #segmentBytes: number;
  readonly #all = new Set<Segment>();
  readonly #marks: MarkWriter;
  readonly #removals: Removals;
  #active: Segment | undefined;
  #nextNumber = 1;
  #seqOffset = 0;
  #clears = 0;
  /** The directory is others' from then on. */
  #isClosed = false;

  constructor(directory: string, files: SpoolFiles, segmentBytes: number, marks: MarkWriter) {
    this.#directory = directory;
    this.#files = files;
    this.#segmentBytes = segmentBytes;
    this.#marks = marks;
    this.#removals = new Removals(files);
  }

  /** Takes over what an earlier process left. `seqOffset`: by how much numbers are higher on disk than here. */
  adopt(found: readonly Segment[], nextNumber: number, seqOffset: number): void {
    this.#nextNumber = nextNumber;
    this.#seqOffset = seqOffset;
    for (const segment of found) this.#all.add(segment);
    for (const segment of found) this.#removeIfDone(segment);
  }

  /** What all of it takes on disk. */
  get bytes(): number {
    let bytes = this.#removals.bytes;
    for (const segment of this.#all) bytes += segment.bytes;
    return bytes;
  }

  /**
   * Writes events as lines. From the first moment on each has its place, so that it can be marked while the write is under way.
   *
   * @throws (rejects) What the file system says; the events have no place then. `Cleared` when it was emptied meanwhile.
   */
  async write(lines: readonly PendingLine[]): Promise<void> {
    const clears = this.#clears;
    let segment: Segment;
    // The last event of a segment may be settled, and it be deleted, before we go on.
    do segment = await this.open();
    while (segment !== this.#active && clears === this.#clears);
    if (clears !== this.#clears) throw new Cleared();
    const entries: Entry[] = [];
    let text = '';
    for (const { entry, json } of lines) {
      // While the segment was made somebody may have taken it from memory, and delivered it.
      if (entry.isSettled) continue;
      entries.push(entry);
      segment.give(entry);
      text += encodeLine(entry, json, this.#seqOffset);
    }
    try {
      segment.layMarks(this.#marks);
      this.mark(
        entries.filter((entry) => entry.isBegun),
        MARK.begun,
      );
      await segment.append(Buffer.from(text));
    } catch (error) {
      if (clears === this.#clears) await this.#abandon(segment, entries, errorCode(error) === 'ENOENT');
      if (clears === this.#clears) throw error;
    }
    if (clears !== this.#clears) throw new Cleared();
  }

  /** Sees to it that there is a segment which takes lines. @throws (rejects) What the file system says, or `Cleared`. */
  async open(): Promise<Segment> {
    if (this.#active !== undefined && this.#active.eventsBytes < this.#segmentBytes) return this.#active;
    await this.finish();
    const clears = this.#clears;
    const segment = new Segment(this.#directory, this.#nextNumber, marksChunk(this.#segmentBytes));
    this.#nextNumber += 1;
    try {
      await segment.create(this.#files);
      await syncDirectory(this.#directory, this.#files);
      if (clears !== this.#clears) throw new Cleared();
    } catch (error) {
      // A file that is there already is not ours to delete.
      if (errorCode(error) !== 'EEXIST') this.#remove(segment);
      throw error;
    }
    this.#all.add(segment);
    this.#active = segment;
    return segment;
  }

  /** Writes the same mark for each of some events. @throws What the file system says. */
  mark(entries: readonly Entry[], mark: Mark): void {
    if (!this.#isClosed) this.#marks.mark(entries, mark);
  }

  /** Marks events as done, and lets them go. @throws What the file system says of a mark; they are let go all the same. */
  settle(entries: readonly Entry[]): void {
    for (const entry of entries) entry.isSettled = true;
    try {
      this.mark(entries, MARK.done);
    } finally {
      for (const entry of entries) this.#letGo(entry);
    }
  }

  /** Deletes everything at once. What cannot be deleted is tried again by `sweep`. @returns Whether all of it is gone. */
  clear(): boolean {
    this.#clears += 1;
    void this.#active?.finish();
    this.#active = undefined;
    this.#marks.forgetAll();
    const all = [...this.#all];
    this.#all.clear();
    return this.#isClosed || this.#removals.remove(all, this.#marks.isHeld);
  }

  /** Deletes what is to be deleted and could not be yet. Never rejects. */
  sweep(): Promise<void> {
    return this.#removals.sweep();
  }

  /** Forgets the segments whose files somebody deleted. @returns Those: their events are in memory alone from now on. */
  async forgetLost(): Promise<ReadonlySet<Segment>> {
    const lost = new Set<Segment>();
    for (const segment of this.#all) if (await segment.isLost(this.#files)) lost.add(segment);
    for (const segment of lost) {
      // Its files are not deleted: what has such a name later may be somebody else's.
      this.#all.delete(segment);
      this.#marks.forget(segment.marksPath);
    }
    if (this.#active !== undefined && lost.has(this.#active)) await this.finish();
    return lost;
  }

  /** Takes no more lines into the present segment. Never rejects. */
  async finish(): Promise<void> {
    const segment = this.#active;
    this.#active = undefined;
    await segment?.finish();
    if (segment !== undefined) this.#removeIfDone(segment);
  }

  /** Lets go of all files, and deletes what is done. Never rejects. */
  async close(): Promise<void> {
    await this.finish().then(() => this.#removals.finish());
    this.#isClosed = true;
    this.#marks.forgetAll();
  }

  async #abandon(segment: Segment, entries: readonly Entry[], isDeleted: boolean): Promise<void> {
    // Their lines may have reached the disk, and must not come back beside those that are written later. But of what is deleted nothing
    // can, and a file of its name is somebody else's.
    const own = entries.filter((entry) => entry.segment === segment);
    try {
      if (!isDeleted) this.mark(own, MARK.done);
    } catch {
      // A disk that takes neither: cutting back is the other way.
    }
    for (const entry of own) this.#letGo(entry);
    await segment.cutBack();
    if (segment === this.#active) await this.finish();
  }

  #letGo(entry: Entry): void {
    const { segment } = entry;
    entry.segment = undefined;
    if (segment === undefined) return;
    segment.live -= 1;
    this.#removeIfDone(segment);
  }

  /** A segment that is being filled goes too, once it is large enough to be worth it. */
  #removeIfDone(segment: Segment): void {
    if (segment.live > 0 || this.#isClosed || !this.#all.has(segment)) return;
    if (segment === this.#active) {
      if (segment.eventsBytes * 4 < this.#segmentBytes) return;
      this.#active = undefined;
      void segment.finish();
    }
    this.#remove(segment);
  }

  #remove(segment: Segment): void {
    this.#all.delete(segment);
    this.#marks.forget(segment.marksPath);
    this.#removals.add(segment);
  }
}
