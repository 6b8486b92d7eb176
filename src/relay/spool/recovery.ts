// Recovery: reads the events that an earlier process left in the directory.

import { isUtf8 } from 'node:buffer';
import { join } from 'node:path';
import type { Clock } from '../../base/clock.js';
import { regainFile, secureFile, unsafe, unusable } from './directory.js';
import type { OnTakenBack } from './directory.js';
import { errorCode, READ } from './files.js';
import type { SpoolFile, SpoolFiles } from './files.js';
import { MARK, MARKS_FILES } from './marks.js';
import { EventRecord, MIN_LINE_BYTES, parseLine } from './record.js';
import { EVENTS_FILES, Segment } from './segment.js';

/** What an earlier process left. */
export interface Recovered {
  /** Events that are not settled, each once. */
  readonly records: readonly EventRecord[];
  /** Further lines of the same events, to be marked as done. */
  readonly duplicates: readonly EventRecord[];
  readonly segments: readonly Segment[];
  readonly nextSeq: number;
  /** Number of the next segment. */
  readonly nextNumber: number;
  /** Lines that could not be read, or whose target was not admitted. */
  readonly tornLines: number;
}

/** Dependencies of the recovery. */
interface RecoveryOptions {
  readonly files: SpoolFiles;
  readonly clock: Pick<Clock, 'now' | 'wallNow'>;
  /** @returns The part of a target that may be sent; undefined for none. Another version, or an attacker, may have written the file. */
  readonly admit: (target: string) => string | undefined;
  readonly onTakenBack: OnTakenBack;
}

/**
 * Reads the directory. Files with other names are ignored.
 *
 * @throws (rejects) SpoolError for a file of the spool that belongs to another user, or that cannot be read.
 */
export async function recover(directory: string, options: RecoveryOptions): Promise<Recovered> {
  const { files } = options;
  const names = await files.readdir(directory);
  const numbers = names.flatMap((name) => EVENTS_FILES.numberOf(name) ?? []).sort((left, right) => left - right);
  const reader = new SegmentReader(options);
  for (const number of numbers) await reader.read(new Segment(directory, number));
  // A process that is killed between two deletions leaves marks without events. If they cannot be deleted now, the next recovery retries.
  const orphans = names.flatMap((name) => MARKS_FILES.numberOf(name) ?? []).filter((number) => !numbers.includes(number));
  for (const number of orphans) await files.unlink(join(directory, MARKS_FILES.nameOf(number))).catch(() => undefined);
  return { ...reader.result(), nextNumber: [...numbers, ...orphans].reduce((max, number) => Math.max(max, number), 0) + 1 };
}

const NEWLINE = 0x0a;

class SegmentReader {
  readonly #files: SpoolFiles;
  readonly #clock: RecoveryOptions['clock'];
  readonly #admit: RecoveryOptions['admit'];
  readonly #onTakenBack: OnTakenBack;
  readonly #segments: Segment[] = [];
  readonly #bySeq = new Map<number, EventRecord>();
  readonly #duplicates: EventRecord[] = [];
  /** Records whose number another event has too: they get a new number. */
  readonly #toRenumber: EventRecord[] = [];
  #nextSeq = 0;
  #tornLines = 0;

  constructor({ files, clock, admit, onTakenBack }: RecoveryOptions) {
    this.#onTakenBack = onTakenBack;
    this.#files = files;
    this.#clock = clock;
    this.#admit = admit;
  }

  async read(segment: Segment): Promise<void> {
    const { bytes: events, inode } = await this.#readFile(segment.eventsPath);
    const marks = await this.#readMarks(segment.marksPath);
    segment.eventsBytes = events.length;
    segment.inode = inode;
    segment.marksBytes = marks.length;
    this.#segments.push(segment);
    let start = 0;
    for (let end = events.indexOf(NEWLINE); end !== -1; end = events.indexOf(NEWLINE, start)) {
      this.#readLine(events.subarray(start, end), segment, marks);
      start = end + 1;
    }
    // A line without a newline was never acknowledged.
    if (start < events.length) this.#tornLines += 1;
  }

  result(): Omit<Recovered, 'nextNumber'> {
    for (const record of this.#toRenumber) {
      record.seq = this.#nextSeq;
      this.#nextSeq += 1;
    }
    return {
      records: [...this.#bySeq.values(), ...this.#toRenumber],
      duplicates: this.#duplicates,
      segments: this.#segments,
      nextSeq: this.#nextSeq,
      tornLines: this.#tornLines,
    };
  }

  #readLine(bytes: Buffer, segment: Segment, marks: string): void {
    const line = isUtf8(bytes) ? parseLine(bytes.toString('utf8')) : undefined;
    // The spool never gives a column beyond the number of lines that fit: a mark there would grow the file.
    if (line === undefined || line.mark * MIN_LINE_BYTES > segment.eventsBytes) {
      this.#tornLines += 1;
      return;
    }
    segment.slots = Math.max(segment.slots, line.mark + 1);
    this.#nextSeq = Math.max(this.#nextSeq, line.seq + 1);
    const mark = marks[line.mark];
    if (mark === MARK.done) return;
    const target = this.#admit(line.target);
    if (target === undefined) {
      this.#tornLines += 1;
      return;
    }
    const earlier = this.#earlierLineOf(line.seq, target);
    if (earlier?.segment === segment.number && earlier.slot === line.mark) {
      this.#tornLines += 1;
      return;
    }
    const mayBeSecond = mark !== MARK.waiting || earlier?.mayBeSecond === true;
    // The wall clock may have been ahead when the event was accepted: its age is then counted from now.
    const ageMs = Math.max(0, Math.trunc(this.#clock.wallNow()) - line.at);
    const record = new EventRecord(line.seq, target, this.#clock, { ageMs, mayBeSecond });
    record.segment = segment.number;
    record.slot = line.mark;
    segment.live += 1;
    // An event is written again after a failure of the disk: the marks of the later line are the current ones.
    if (earlier !== undefined) this.#duplicates.push(earlier);
    this.#bySeq.set(line.seq, record);
  }

  /** The same event from an earlier line. Another event of the same number, from files of two spools, gets a new number. */
  #earlierLineOf(seq: number, target: string): EventRecord | undefined {
    const earlier = this.#bySeq.get(seq);
    if (earlier === undefined || earlier.target === target) return earlier;
    this.#bySeq.delete(seq);
    this.#toRenumber.push(earlier);
    return undefined;
  }

  async #readMarks(path: string): Promise<string> {
    try {
      return (await this.#readFile(path)).bytes.toString('latin1');
    } catch (error) {
      if (errorCode((error as Error).cause) === 'ENOENT') return '';
      throw error;
    }
  }

  async #open(path: string): Promise<SpoolFile> {
    try {
      return await this.#files.open(path, READ);
    } catch (error) {
      if (errorCode(error) !== 'EACCES') throw error;
    }
    await regainFile(path, this.#files, this.#onTakenBack);
    return this.#files.open(path, READ);
  }

  async #readFile(path: string): Promise<{ bytes: Buffer; inode: number }> {
    try {
      const file = await this.#open(path);
      try {
        const stats = await file.stat();
        if (!stats.isFile()) throw unsafe(path, 'is not a file');
        await secureFile(path, file, stats, this.#onTakenBack);
        return { bytes: await file.readFile(), inode: stats.ino };
      } finally {
        await file.close();
      }
    } catch (error) {
      throw errorCode(error) === 'ELOOP' ? unsafe(path, 'is a symbolic link') : unusable(path, 'read', error);
    }
  }
}
