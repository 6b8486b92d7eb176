import { join } from 'node:path';
import { CREATE, errorCode, FILE_MODE, systemError } from './files.js';
import type { SpoolFile, SpoolFiles } from './files.js';
import { MARK } from './marks.js';
import type { MarkWriter } from './marks.js';
import type { Entry } from './record.js';

/**
 * How many marks are laid out at once, so that room for them is taken before it is needed: one for every 64 bytes that a segment
 * may hold, at most 1024.
 */
export function marksChunk(segmentBytes: number): number {
  return Math.min(1024, Math.ceil(segmentBytes / 64));
}

const EVENTS_NAME = /^events-(\d{6,15})\.jsonl$/;
const MARKS_NAME = /^marks-(\d{6,15})\.txt$/;

/** The number in the name of a file with events, nothing for any other name. */
export function numberOfEvents(name: string): number | undefined {
  return numberIn(EVENTS_NAME, name);
}

/** The number in the name of a file with marks, nothing for any other name. */
export function numberOfMarks(name: string): number | undefined {
  return numberIn(MARKS_NAME, name);
}

function numberIn(pattern: RegExp, name: string): number | undefined {
  const digits = pattern.exec(name)?.[1];
  return digits === undefined ? undefined : Number(digits);
}

/**
 * A pair of files: `events-000001.jsonl` with one line an event, only ever appended to, and `marks-000001.txt` with one character
 * for each of those lines. Both go once all their events are settled.
 */
export class Segment {
  readonly eventsPath: string;
  readonly marksPath: string;
  /** Events in it that are not settled. */
  live = 0;
  /** Lines that were given a mark. */
  slots = 0;
  eventsBytes = 0;
  marksBytes = 0;
  /** Which file holds its events: one of that name may be another's later. */
  inode: number | undefined;
  readonly #chunk: number;
  #file: SpoolFile | undefined;

  /** `chunk`: how many marks are laid out at once; none for a segment that takes no more lines. */
  constructor(directory: string, number: number, chunk = 0) {
    this.#chunk = chunk;
    const digits = String(number).padStart(6, '0');
    this.eventsPath = join(directory, `events-${digits}.jsonl`);
    this.marksPath = join(directory, `marks-${digits}.txt`);
  }

  /** What it takes on disk. */
  get bytes(): number {
    return this.eventsBytes + this.marksBytes;
  }

  /** Gives an event the place of its line. */
  give(entry: Entry): void {
    entry.segment = this;
    entry.slot = this.slots;
    this.slots += 1;
    this.live += 1;
  }

  /** Makes the two files, empty. The marks come first: events without them may all have been sent. */
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
    // A umask may take rights from the owner too.
    await this.#file.chmod(FILE_MODE);
  }

  /** Lays out marks for all its lines. */
  layMarks(writer: MarkWriter): void {
    while (this.marksBytes < this.slots) {
      writer.write(this.marksPath, this.marksBytes, MARK.waiting.repeat(this.#chunk));
      this.marksBytes += this.#chunk;
    }
  }

  /** Adds lines; over once they are on disk. @throws (rejects) What the file system says, `ENOENT` where the file is gone. */
  async append(lines: Buffer): Promise<void> {
    const file = this.#file;
    if (file === undefined) throw new Error('The segment takes no more lines.');
    await writeAll(file, lines, this.eventsBytes);
    const [stats] = await Promise.all([file.stat(), file.datasync()]);
    // A file that was deleted takes everything, and keeps nothing.
    if (stats.nlink === 0) throw systemError('ENOENT', 'The segment was deleted.');
    this.eventsBytes += lines.length;
    this.inode = stats.ino;
  }

  /** Whether somebody deleted it, and perhaps put another in its place. @throws (rejects) What the file system says. */
  async isLost(files: SpoolFiles): Promise<boolean> {
    try {
      const { ino } = await files.lstat(this.eventsPath);
      return this.inode !== undefined && ino !== this.inode;
    } catch (error) {
      if (errorCode(error) === 'ENOENT') return true;
      throw error;
    }
  }

  /** Takes back what a failed `append` may have written, as far as the disk still answers. Never rejects. */
  async cutBack(): Promise<void> {
    await this.#file?.truncate(this.eventsBytes).catch(() => undefined);
  }

  /** Takes no more lines. Never rejects. */
  async finish(): Promise<void> {
    const file = this.#file;
    this.#file = undefined;
    await file?.close().catch(() => undefined);
  }
}

async function writeAll(file: SpoolFile, bytes: Uint8Array, position: number): Promise<void> {
  for (let done = 0; done < bytes.length; ) {
    const { bytesWritten } = await file.write(bytes, done, bytes.length - done, position + done);
    if (bytesWritten === 0) throw systemError('ENOSPC', 'Nothing was written.');
    done += bytesWritten;
  }
}
