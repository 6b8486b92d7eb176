// Recovery: reads the events that an earlier process left in the directory.

import { randomBytes } from 'node:crypto';
import type { Stats } from 'node:fs';
import { basename, join } from 'node:path';
import type { Log } from '../../base/log.js';
import { continueAges, NO_BOOT, shifted } from './age.js';
import type { AgeClock, Shift, Stamp } from './age.js';
import { AGES_FILE, parseAges } from './ages-file.js';
import { regainFile, secureFile, unsafe, unusable, whyForeign } from './directory.js';
import type { OnTakenBack } from './directory.js';
import { errorCode, READ } from './files.js';
import type { SpoolFile, SpoolFiles } from './files.js';
import { MARK } from './marks.js';
import { COLUMN, DiskRows, FLAG } from './disk-rows.js';
import { EventRecord, MIN_LINE_BYTES, parseLineBytes } from './record.js';
import { deleteOrphans, numbersIn, readAt, Segment } from './segment.js';

/** What an earlier process left. */
export interface Recovered {
  /** Events that are not settled, each once, in order. */
  readonly rows: DiskRows;
  /** Further lines of the same events, to be marked as done. */
  readonly duplicates: readonly EventRecord[];
  readonly segments: readonly Segment[];
  readonly nextSeq: number;
  /** Number of the next segment. */
  readonly nextNumber: number;
  /** Lines that could not be read. Whether a target may be sent is asked when it is read to be sent. */
  readonly tornLines: number;
  /** Whether the directory has a file with the last stamp. */
  readonly hasAges: boolean;
  /** How the times of earlier boots are told in this one. */
  readonly shifts: ReadonlyMap<string, Shift>;
  /** Events whose age starts anew, because the wall clock cannot be trusted. */
  readonly renewed: number;
}

/** Dependencies of the recovery. */
interface RecoveryOptions {
  readonly files: SpoolFiles;
  readonly clock: AgeClock;
  readonly maxAgeMs: number;
  /** Called with the target of each line, also of one that is settled. */
  readonly onRead?: ((target: string) => void) | undefined;
  readonly onTakenBack: OnTakenBack;
  readonly log: Pick<Log, 'warn'>;
}

/**
 * Reads the directory. Files with other names are ignored.
 *
 * A file of events that is not a file of this user is stepped over and stays: an owner who gets it back finds it unchanged. Marks and ages
 * that are not a file of this user are renamed, because the spool writes under these names.
 *
 * @throws (rejects) SpoolError for a file of the spool that cannot be read.
 */
export async function recover(directory: string, options: RecoveryOptions): Promise<Recovered> {
  const { files, log } = options;
  const names = await files.readdir(directory);
  const { events, orphans, next: nextNumber } = numbersIn(names);
  const reader = new SegmentReader(options);
  const foreign: string[] = [];
  for (const number of events) {
    const segment = new Segment(directory, number);
    const why = await whyForeign(segment.eventsPath, files);
    if (why === undefined) await reader.read(segment);
    else foreign.push(`${JSON.stringify(segment.eventsPath)} ${why}`);
  }
  if (foreign.length > 0) {
    const [first = ''] = foreign;
    log.warn('spool_not_ours', `files of events that are not read, and stay as they are: ${foreign.length}; the first of them, ${first}`);
  }
  await deleteOrphans(directory, orphans, files);
  return {
    ...(await reader.result(names.includes(AGES_FILE) ? join(directory, AGES_FILE) : undefined)),
    nextNumber,
  };
}

const NEWLINE = 0x0a;

/** Size of one read, in bytes. */
const BLOCK_BYTES = 256 * 1024;

/** In the column `flags`: one more boot. */
const BOOT_UNIT = 8;

class SegmentReader {
  readonly #files: SpoolFiles;
  readonly #clock: AgeClock;
  readonly #maxAgeMs: number;
  readonly #onRead: RecoveryOptions['onRead'];
  readonly #onTakenBack: OnTakenBack;
  readonly #log: Pick<Log, 'warn'>;
  readonly #segments = new Map<number, Segment>();
  readonly #rows = new DiskRows();
  /** The rows by their numbers. Undefined as long as the numbers grow, as they do unless a disk failed. */
  #indexBySeq: Map<number, number> | undefined;
  readonly #duplicates: EventRecord[] = [];
  /** Rows of the same events. */
  readonly #replaced = new Set<number>();
  /** Rows whose number another event has too: they get a new number. */
  readonly #toRenumber: number[] = [];
  /** The newest stamp of each boot. */
  readonly #newest = new Map<string, Stamp>();
  /** The boots of the rows. Their index is in the column `flags`, above the flags. */
  readonly #boots: string[] = [];
  /** One buffer for all reads. */
  #block: Buffer | undefined;
  #oldestAtMs = Infinity;
  #nextSeq = 0;
  #tornLines = 0;

  constructor({ files, clock, maxAgeMs, onRead, onTakenBack, log }: RecoveryOptions) {
    this.#onRead = onRead;
    this.#log = log;
    this.#maxAgeMs = maxAgeMs;
    this.#onTakenBack = onTakenBack;
    this.#files = files;
    this.#clock = clock;
  }

  async read(segment: Segment): Promise<void> {
    const marks = await this.#readMarks(segment.marksPath);
    segment.marksBytes = marks.length;
    this.#segments.set(segment.number, segment);
    await this.#withFile(segment.eventsPath, async (file, { ino, size }) => {
      segment.eventsBytes = size;
      segment.inode = ino;
      await this.#readLines(file, segment, marks);
    });
  }

  /** Reads a file of events block by block: a spool can be larger than the memory. */
  async #readLines(file: SpoolFile, segment: Segment, marks: string): Promise<void> {
    let position = 0;
    for (;;) {
      const block = (this.#block ??= Buffer.allocUnsafe(BLOCK_BYTES));
      const bytes = await readAt(file, block, position);
      const isEnd = bytes.length < block.length;
      let start = 0;
      for (let end = bytes.indexOf(NEWLINE); end !== -1; end = bytes.indexOf(NEWLINE, start)) {
        const clash = this.#readLine(bytes.subarray(start, end), position + start, segment, marks);
        if (clash !== undefined) await clash;
        start = end + 1;
      }
      // A line without a newline was never acknowledged.
      if (isEnd && start < bytes.length) this.#tornLines += 1;
      if (isEnd) return;
      // A line longer than the block.
      if (start === 0) this.#block = Buffer.allocUnsafe(2 * block.length);
      position += start;
    }
  }

  async result(agesPath: string | undefined): Promise<Omit<Recovered, 'nextNumber'>> {
    for (const index of this.#toRenumber) {
      this.#rows.set(index, COLUMN.seq, this.#nextSeq);
      this.#nextSeq += 1;
    }
    const ages = agesPath === undefined ? undefined : await this.#readAges(agesPath);
    const told = this.#tellAges(ages ?? '');
    if (this.#replaced.size > 0) this.#rows.removeIf((index) => this.#replaced.has(index));
    if (this.#indexBySeq !== undefined) this.#rows.sort();
    return {
      ...told,
      hasAges: ages !== undefined,
      rows: this.#rows,
      duplicates: this.#duplicates,
      segments: [...this.#segments.values()],
      nextSeq: this.#nextSeq,
      tornLines: this.#tornLines,
    };
  }

  /** @returns A promise only for a line whose number another line has too. */
  #readLine(bytes: Buffer, offset: number, segment: Segment, marks: string): Promise<void> | undefined {
    const line = parseLineBytes(bytes);
    // The spool never gives a column beyond the number of lines that fit: a mark there would grow the file.
    if (line === undefined || line.mark * MIN_LINE_BYTES > segment.eventsBytes) {
      this.#tornLines += 1;
      return undefined;
    }
    segment.slots = Math.max(segment.slots, line.mark + 1);
    this.#nextSeq = Math.max(this.#nextSeq, line.seq + 1);
    this.#noteStamp(line.stamp);
    this.#onRead?.(line.target);
    const mark = marks[line.mark];
    if (mark === MARK.done) return undefined;
    const record = new EventRecord(line.seq, line.target, line.stamp, mark !== MARK.waiting);
    record.isRenewed = line.isRenewed;
    record.segment = segment.number;
    record.slot = line.mark;
    record.offset = offset;
    record.lineBytes = bytes.length;
    const earlier = this.#indexOf(line.seq);
    if (earlier !== undefined) return this.#addClashing(record, earlier, segment, line.stamp.boot);
    this.#add(record, segment, line.stamp.boot);
    return undefined;
  }

  /** The row of a number, among those before it. */
  #indexOf(seq: number): number | undefined {
    const { length } = this.#rows;
    if (this.#indexBySeq === undefined) {
      if (length === 0 || seq > this.#rows.get(length - 1, COLUMN.seq)) return undefined;
      this.#indexBySeq = new Map(Array.from({ length }, (_, index) => [this.#rows.get(index, COLUMN.seq), index]));
    }
    return this.#indexBySeq.get(seq);
  }

  #add(record: EventRecord, segment: Segment, boot: string): void {
    const index = this.#rows.length;
    this.#rows.push(record);
    this.#rows.set(index, COLUMN.flags, this.#rows.get(index, COLUMN.flags) + this.#indexOfBoot(boot) * BOOT_UNIT);
    if (boot === NO_BOOT) this.#oldestAtMs = Math.min(this.#oldestAtMs, record.acceptedAtMs);
    segment.live += 1;
    this.#indexBySeq?.set(record.seq, index);
  }

  #indexOfBoot(boot: string): number {
    const index = this.#boots.lastIndexOf(boot);
    return index === -1 ? this.#boots.push(boot) - 1 : index;
  }

  #noteStamp(stamp: Stamp): void {
    const newest = this.#newest.get(stamp.boot);
    if (newest === undefined || stamp.upMs > newest.upMs) this.#newest.set(stamp.boot, stamp);
  }

  /** Finds the start of the wait of each row: until now it is a time of its own boot. */
  #tellAges(savedText: string): Pick<Recovered, 'shifts' | 'renewed'> {
    const { shifts, renewed } = continueAges({
      clock: this.#clock,
      saved: parseAges(savedText),
      newest: this.#newest,
      oldestAtMs: this.#oldestAtMs,
      maxAgeMs: this.#maxAgeMs,
    });
    const rows = this.#rows;
    const nowMs = this.#clock.stamp().upMs;
    let count = 0;
    for (let index = 0; index < rows.length; index += 1) {
      const both = rows.get(index, COLUMN.flags);
      const flags = both % BOOT_UNIT;
      rows.set(index, COLUMN.flags, flags);
      const boot = this.#boots[Math.floor(both / BOOT_UNIT)] ?? NO_BOOT;
      const shift = shifts.get(boot);
      if (shift === undefined) continue;
      const isRenewed = (flags & FLAG.isRenewed) !== 0;
      if (renewed.has(boot) && !isRenewed && !this.#replaced.has(index)) count += 1;
      rows.set(index, COLUMN.sinceMs, shifted(rows.get(index, COLUMN.sinceMs), shift, isRenewed, nowMs));
      if (shift.renewedAtMs !== undefined) rows.set(index, COLUMN.flags, flags | FLAG.isRenewed);
    }
    return { shifts, renewed: count };
  }

  /**
   * An event is written again after a failure of the disk: the marks of the later line are the current ones. Another event of the same
   * number, from files of two spools, gets a new number.
   */
  async #addClashing(record: EventRecord, index: number, segment: Segment, boot: string): Promise<void> {
    const earlier = this.#rows.recordAt(index);
    if (earlier.acceptedAtMs !== record.acceptedAtMs || record.target !== (await this.#targetOf(earlier))) {
      this.#toRenumber.push(index);
      this.#add(record, segment, boot);
    } else if (earlier.segment === record.segment && earlier.slot === record.slot) {
      this.#tornLines += 1;
    } else {
      if (earlier.mayBeSecond) record.mayBeSecond = record.isBegun = true;
      this.#duplicates.push(earlier);
      this.#replaced.add(index);
      this.#add(record, segment, boot);
    }
  }

  async #targetOf({ segment = 0, offset, lineBytes }: EventRecord): Promise<string | undefined> {
    const bytes = await this.#segments.get(segment)?.read(this.#files, offset, lineBytes);
    return bytes === undefined ? undefined : parseLineBytes(bytes)?.target;
  }

  /** Without it the lines alone tell the ages. @returns Undefined if there is no such file. */
  async #readAges(path: string): Promise<string | undefined> {
    try {
      if (await this.#setAside(path, 'spool_ages', 'the age of the events is known by their lines alone')) return undefined;
      return await this.#readFile(path);
    } catch {
      return '';
    }
  }

  /** Renames what is not a file of this user: the spool writes under this name. @returns Whether it did. */
  async #setAside(path: string, code: string, consequence: string): Promise<boolean> {
    const why = await whyForeign(path, this.#files);
    if (why === undefined) return false;
    const aside = `${path}.aside-${randomBytes(4).toString('hex')}`;
    try {
      await this.#files.rename(path, aside);
    } catch (error) {
      this.#log.warn(code, `${JSON.stringify(path)} ${why}, and it cannot be renamed (${errorCode(error)}); ${consequence}`);
      throw error;
    }
    this.#log.warn(code, `${JSON.stringify(path)} ${why}: it was renamed to ${JSON.stringify(basename(aside))}; ${consequence}`);
    return true;
  }

  async #readMarks(path: string): Promise<string> {
    try {
      if (await this.#setAside(path, 'spool_marks', 'what its events became is not known, and they may be sent again')) return '';
      return await this.#readFile(path);
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

  #readFile(path: string): Promise<string> {
    return this.#withFile(path, async (file) => (await file.readFile()).toString('latin1'));
  }

  async #withFile<T>(path: string, use: (file: SpoolFile, stats: Stats) => Promise<T>): Promise<T> {
    try {
      const file = await this.#open(path);
      try {
        const stats = await file.stat();
        if (!stats.isFile()) throw unsafe(path, 'is not a file');
        await secureFile(path, file, stats, this.#onTakenBack);
        return await use(file, stats);
      } finally {
        await file.close();
      }
    } catch (error) {
      throw errorCode(error) === 'ELOOP' ? unsafe(path, 'is a symbolic link') : unusable(path, 'read', error);
    }
  }
}
