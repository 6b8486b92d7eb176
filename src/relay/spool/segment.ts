// A segment of the spool's journal: one file of events, appended to, and one file of marks, overwritten in place.

import { join } from 'node:path';
import { CREATE, errorCode, FILE_MODE, numberedFiles, READ, systemError } from './files.js';
import type { SpoolFile, SpoolFiles } from './files.js';
import { MARK, MARKS_FILES } from './marks.js';
import type { MarkWriter } from './marks.js';
import type { EventRecord } from './record.js';

/** `events-000001.jsonl`: one line of JSON for each event. */
export const EVENTS_FILES = numberedFiles('events', 'jsonl');

/** The numbers of the files in a directory, in order. */
export function numbersIn(names: readonly string[]): { events: number[]; orphans: number[]; next: number } {
  const events = names.flatMap((name) => EVENTS_FILES.numberOf(name) ?? []).sort((left, right) => left - right);
  // A process that is killed between two deletions leaves marks without events.
  const orphans = names.flatMap((name) => MARKS_FILES.numberOf(name) ?? []).filter((number) => !events.includes(number));
  return { events, orphans, next: [...events, ...orphans].reduce((max, number) => Math.max(max, number), 0) + 1 };
}

/** Deletes marks without events. Those that cannot be deleted now are deleted by the next recovery. Never rejects. */
export async function deleteOrphans(directory: string, orphans: readonly number[], files: SpoolFiles): Promise<void> {
  for (const number of orphans) await files.unlink(join(directory, MARKS_FILES.nameOf(number))).catch(() => undefined);
}

/**
 * How many marks a segment writes at once, before they are needed, so that a full disk has room for them: one for every 64 bytes that
 * the segment can hold, at most 1024.
 */
export function marksChunk(segmentBytes: number): number {
  return Math.min(1024, Math.ceil(segmentBytes / 64));
}

/** The two files of one number. They are deleted once all their events are settled. */
export class Segment {
  readonly number: number;
  readonly eventsPath: string;
  readonly marksPath: string;
  /** Events that are not settled. */
  live = 0;
  /** Columns of marks in use. */
  slots = 0;
  eventsBytes = 0;
  marksBytes = 0;
  /** Identity of the file of events: another process can create a file of the same name later. */
  inode: number | undefined;
  readonly #chunk: number;
  #file: SpoolFile | undefined;

  /** `chunk`: see `marksChunk`. 0 for a segment that takes no more lines. */
  constructor(directory: string, number: number, chunk = 0) {
    this.number = number;
    this.#chunk = chunk;
    this.eventsPath = join(directory, EVENTS_FILES.nameOf(number));
    this.marksPath = join(directory, MARKS_FILES.nameOf(number));
  }

  /** Its size on disk. */
  get bytes(): number {
    return this.eventsBytes + this.marksBytes;
  }

  /** Gives a record the next place in the segment. */
  place(record: EventRecord): void {
    record.segment = this.number;
    record.slot = this.slots;
    this.slots += 1;
    this.live += 1;
  }

  /** Creates the two files, the marks first: events without marks count as maybe sent. @throws (rejects) Errors of the file system. */
  async create(files: SpoolFiles): Promise<void> {
    const marks = await files.open(this.marksPath, CREATE, FILE_MODE);
    try {
      await marks.chmod(FILE_MODE);
      await writeAll(marks, Buffer.alloc(this.#chunk, MARK.waiting), 0);
    } finally {
      await marks.close();
    }
    this.marksBytes = this.#chunk;
    this.#file = await files.open(this.eventsPath, CREATE, FILE_MODE);
    // A umask can take permissions from the owner too.
    await this.#file.chmod(FILE_MODE);
  }

  /** Writes marks ahead for all columns in use. @throws Errors of the file system. */
  extendMarks(writer: MarkWriter): void {
    while (this.marksBytes < this.slots) {
      writer.write(this.number, this.marksBytes, MARK.waiting.repeat(this.#chunk));
      this.marksBytes += this.#chunk;
    }
  }

  /** Appends lines and syncs them. @throws (rejects) Errors of the file system; `ENOENT` if the file was deleted. */
  async append(lines: Buffer): Promise<void> {
    const file = this.#file;
    if (file === undefined) throw new Error('The segment is finished.');
    await writeAll(file, lines, this.eventsBytes);
    const [stats] = await Promise.all([file.stat(), file.datasync()]);
    // Writes to a deleted file succeed, and their data is lost.
    if (stats.nlink === 0) throw systemError('ENOENT', 'The segment was deleted.');
    this.eventsBytes += lines.length;
    this.inode = stats.ino;
  }

  /** Cuts off the lines of a failed `append`. Never rejects. */
  async cutBack(): Promise<void> {
    await this.#file?.truncate(this.eventsBytes).catch(() => undefined);
  }

  /** Closes the file of events: the segment takes no more lines. Never rejects. */
  async finish(): Promise<void> {
    const file = this.#file;
    this.#file = undefined;
    await file?.close().catch(() => undefined);
  }

  /**
   * Reads from its file of events. @returns Fewer bytes at the end of the file.
   *
   * @throws (rejects) Errors of the file system; `ENOENT` also if the file was replaced.
   */
  async read(files: SpoolFiles, position: number, bytes: number): Promise<Buffer> {
    const file = await files.open(this.eventsPath, READ);
    try {
      const { ino } = await file.stat();
      if (this.inode !== undefined && ino !== this.inode) throw systemError('ENOENT', 'The segment was replaced.');
      const block = await readAt(file, Buffer.allocUnsafe(bytes), position);
      // A disk that ends a read early has lost nothing: it is asked again.
      if (block.length < bytes && (await file.stat()).size >= position + bytes) throw systemError('EIO', 'The read ended early.');
      return block;
    } finally {
      await file.close().catch(() => undefined);
    }
  }

  /** Whether its file of events was deleted or replaced. @throws (rejects) Errors of the file system. */
  async isLost(files: SpoolFiles): Promise<boolean> {
    try {
      const { ino } = await files.lstat(this.eventsPath);
      return this.inode !== undefined && ino !== this.inode;
    } catch (error) {
      if (errorCode(error) === 'ENOENT') return true;
      throw error;
    }
  }
}

/** Fills a buffer from a file. @returns The part that was filled: less than all of it at the end of the file. */
export async function readAt(file: SpoolFile, buffer: Buffer, position: number): Promise<Buffer> {
  let done = 0;
  while (done < buffer.length) {
    const { bytesRead } = await file.read(buffer, done, buffer.length - done, position + done);
    if (bytesRead === 0) break;
    done += bytesRead;
  }
  return buffer.subarray(0, done);
}

async function writeAll(file: SpoolFile, bytes: Uint8Array, position: number): Promise<void> {
  for (let done = 0; done < bytes.length; ) {
    const { bytesWritten } = await file.write(bytes, done, bytes.length - done, position + done);
    if (bytesWritten === 0) throw systemError('ENOSPC', 'Nothing was written.');
    done += bytesWritten;
  }
}
