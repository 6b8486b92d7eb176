// Recovery: reads the events that an earlier process left in the directory.

import { isUtf8 } from 'node:buffer';
import { randomBytes } from 'node:crypto';
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
import { EventRecord, MIN_LINE_BYTES, parseLine } from './record.js';
import { deleteOrphans, numbersIn, Segment } from './segment.js';

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

class SegmentReader {
  readonly #files: SpoolFiles;
  readonly #clock: AgeClock;
  readonly #maxAgeMs: number;
  readonly #admit: RecoveryOptions['admit'];
  readonly #onTakenBack: OnTakenBack;
  readonly #log: Pick<Log, 'warn'>;
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

  constructor({ files, clock, maxAgeMs, admit, onTakenBack, log }: RecoveryOptions) {
    this.#log = log;
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

  async result(agesPath: string | undefined): Promise<Omit<Recovered, 'nextNumber'>> {
    for (const record of this.#toRenumber) {
      record.seq = this.#nextSeq;
      this.#nextSeq += 1;
    }
    const records = [...this.#bySeq.values(), ...this.#toRenumber];
    const ages = agesPath === undefined ? undefined : await this.#readAges(agesPath);
    return {
      ...this.#tellAges(records, ages ?? ''),
      hasAges: ages !== undefined,
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
    const earlier = this.#earlierLineOf(line.seq, target, line.stamp.atMs);
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
  #earlierLineOf(seq: number, target: string, atMs: number): EventRecord | undefined {
    const earlier = this.#bySeq.get(seq);
    if (earlier === undefined || (earlier.target === target && earlier.acceptedAtMs === atMs)) return earlier;
    this.#bySeq.delete(seq);
    this.#toRenumber.push(earlier);
    return undefined;
  }

  /** Without it the lines alone tell the ages. @returns Undefined if there is no such file. */
  async #readAges(path: string): Promise<string | undefined> {
    try {
      if (await this.#setAside(path, 'spool_ages', 'the age of the events is known by their lines alone')) return undefined;
      return (await this.#readFile(path)).bytes.toString('latin1');
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
