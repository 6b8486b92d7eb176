// Recovery: reads the events that an earlier process left in the directory.

import { isUtf8 } from 'node:buffer';
import { join } from 'node:path';
import { continueAges, NO_BOOT, shifted } from './age.js';
import type { AgeClock, Shift, Stamp } from './age.js';
import { AGES_FILE, parseAges } from './ages-file.js';
import { regainFile, secureFile, unsafe, unusable } from './directory.js';
import type { OnTakenBack } from './directory.js';
import { errorCode, READ, SpoolError } from './files.js';
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
  /** Whether the directory has a file with the last stamp. */
  readonly hasAges: boolean;
  /** How the times of earlier boots are told in this one. */
  readonly shifts: ReadonlyMap<string, Shift>;
  /** Records whose age starts anew, because the wall clock cannot be trusted. */
  readonly renewed: number;
}

/** Dependencies of the recovery. */
interface RecoveryOptions {
  readonly files: SpoolFiles;
  readonly clock: AgeClock;
  readonly maxAgeMs: number;
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
  const hasAges = names.includes(AGES_FILE);
  return {
    ...(await reader.result(hasAges ? join(directory, AGES_FILE) : undefined)),
    hasAges,
    nextNumber: [...numbers, ...orphans].reduce((max, number) => Math.max(max, number), 0) + 1,
  };
}

const NEWLINE = 0x0a;

class SegmentReader {
  readonly #files: SpoolFiles;
  readonly #clock: AgeClock;
  readonly #maxAgeMs: number;
  readonly #admit: RecoveryOptions['admit'];
  readonly #onTakenBack: OnTakenBack;
  readonly #segments: Segment[] = [];
  readonly #bySeq = new Map<number, EventRecord>();
  readonly #duplicates: EventRecord[] = [];
  /** Records whose number another event has too: they get a new number. */
  readonly #toRenumber: EventRecord[] = [];
  /** The newest stamp of each boot. */
  readonly #newest = new Map<string, Stamp>();
  /** The boots of the records. */
  readonly #bootOf = new Map<EventRecord, string>();
  #oldestAtMs = Infinity;
  #nextSeq = 0;
  #tornLines = 0;

  constructor({ files, clock, maxAgeMs, admit, onTakenBack }: RecoveryOptions) {
    this.#maxAgeMs = maxAgeMs;
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

  async result(agesPath: string | undefined): Promise<Omit<Recovered, 'hasAges' | 'nextNumber'>> {
    for (const record of this.#toRenumber) {
      record.seq = this.#nextSeq;
      this.#nextSeq += 1;
    }
    const records = [...this.#bySeq.values(), ...this.#toRenumber];
    return {
      ...this.#tellAges(records, agesPath === undefined ? '' : await this.#readAges(agesPath)),
      records,
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
    this.#noteStamp(line.stamp);
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
    const record = new EventRecord(line.seq, target, line.stamp, mayBeSecond);
    record.isRenewed = line.isRenewed;
    this.#bootOf.set(record, line.stamp.boot);
    if (line.stamp.boot === NO_BOOT) this.#oldestAtMs = Math.min(this.#oldestAtMs, line.stamp.atMs);
    record.segment = segment.number;
    record.slot = line.mark;
    segment.live += 1;
    // An event is written again after a failure of the disk: the marks of the later line are the current ones.
    if (earlier !== undefined) this.#duplicates.push(earlier);
    this.#bySeq.set(line.seq, record);
  }

  #noteStamp(stamp: Stamp): void {
    const newest = this.#newest.get(stamp.boot);
    if (newest === undefined || stamp.upMs > newest.upMs) this.#newest.set(stamp.boot, stamp);
  }

  /** Finds the start of the wait of each record: until now it is a time of its own boot. */
  #tellAges(records: readonly EventRecord[], savedText: string): Pick<Recovered, 'shifts' | 'renewed'> {
    const { shifts, renewed } = continueAges({
      clock: this.#clock,
      saved: parseAges(savedText),
      newest: this.#newest,
      oldestAtMs: this.#oldestAtMs,
      maxAgeMs: this.#maxAgeMs,
    });
    const nowMs = this.#clock.stamp().upMs;
    let count = 0;
    for (const record of records) {
      const boot = this.#bootOf.get(record) ?? NO_BOOT;
      const shift = shifts.get(boot);
      if (shift === undefined) continue;
      if (renewed.has(boot) && !record.isRenewed) count += 1;
      record.sinceMs = shifted(record.sinceMs, shift, record.isRenewed, nowMs);
      record.isRenewed ||= shift.renewedAtMs !== undefined;
    }
    return { shifts, renewed: count };
  }

  /** The same event from an earlier line. Another event of the same number, from files of two spools, gets a new number. */
  #earlierLineOf(seq: number, target: string): EventRecord | undefined {
    const earlier = this.#bySeq.get(seq);
    if (earlier === undefined || earlier.target === target) return earlier;
    this.#bySeq.delete(seq);
    this.#toRenumber.push(earlier);
    return undefined;
  }

  /** Without it the lines alone tell the ages. */
  async #readAges(path: string): Promise<string> {
    try {
      return (await this.#readFile(path)).bytes.toString('latin1');
    } catch (error) {
      if (error instanceof SpoolError && error.code === 'unsafe') throw error;
      return '';
    }
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
