import { isUtf8 } from 'node:buffer';
import { join } from 'node:path';
import type { Clock } from '../../base/clock.js';
import { refuseUnsafe, unsafe, unusable } from './directory.js';
import { errorCode, READ } from './files.js';
import type { SpoolFiles } from './files.js';
import { MARK } from './marks.js';
import { Entry, MIN_LINE_BYTES, parseLine } from './record.js';
import { numberOfEvents, numberOfMarks, Segment } from './segment.js';

/** What an earlier process left behind. */
export interface Recovered {
  /** Events that are not settled, each once. */
  readonly entries: readonly Entry[];
  /** Earlier lines of some of them, to be marked as done. */
  readonly twins: readonly Entry[];
  readonly segments: readonly Segment[];
  readonly nextSeq: number;
  /** The number of the next segment. */
  readonly nextNumber: number;
  /** Lines that could not be read, or hold what may not leave. */
  readonly tornLines: number;
}

/** What recovering takes. */
export interface RecoveryOptions {
  readonly files: SpoolFiles;
  readonly clock: Pick<Clock, 'now' | 'wallNow'>;
  /** What of a target may leave today; undefined where nothing may: the file may be of another version, or of another hand. */
  readonly admit: (target: string) => string | undefined;
}

const NEWLINE = 0x0a;

/**
 * Reads the directory. Whatever has none of our names is left alone.
 *
 * @throws SpoolError for a file of ours that is not ours alone, or that cannot be read.
 */
export async function recover(directory: string, { files, clock, admit }: RecoveryOptions): Promise<Recovered> {
  const names = await files.readdir(directory);
  const numbers = names.flatMap((name) => numberOfEvents(name) ?? []).sort((left, right) => left - right);
  const reader = new SegmentReader({ files, clock, admit });
  for (const number of numbers) await reader.read(new Segment(directory, number));
  const orphans = names.filter((name) => isOrphan(name, numbers));
  // What cannot be removed is left over again the next time.
  for (const name of orphans) await files.unlink(join(directory, name)).catch(() => undefined);
  const all = [...numbers, ...orphans.flatMap((name) => numberOfMarks(name) ?? [])];
  return { ...reader.result(), nextNumber: all.reduce((most, number) => Math.max(most, number), 0) + 1 };
}

/** Marks whose events are gone: a process was killed between deleting the two. */
function isOrphan(name: string, numbers: readonly number[]): boolean {
  const number = numberOfMarks(name);
  return number !== undefined && !numbers.includes(number);
}

class SegmentReader {
  readonly #files: SpoolFiles;
  readonly #clock: RecoveryOptions['clock'];
  readonly #admit: RecoveryOptions['admit'];
  readonly #segments: Segment[] = [];
  readonly #bySeq = new Map<number, Entry>();
  readonly #twins: Entry[] = [];
  readonly #strangers: Entry[] = [];
  #nextSeq = 0;
  #tornLines = 0;

  constructor({ files, clock, admit }: RecoveryOptions) {
    this.#files = files;
    this.#clock = clock;
    this.#admit = admit;
  }

  result(): Omit<Recovered, 'nextNumber'> {
    for (const entry of this.#strangers) {
      entry.seq = this.#nextSeq;
      this.#nextSeq += 1;
    }
    const entries = [...this.#bySeq.values(), ...this.#strangers];
    return { entries, twins: this.#twins, segments: this.#segments, nextSeq: this.#nextSeq, tornLines: this.#tornLines };
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
    // A line without its end was never acknowledged, however much of it is there.
    if (start < events.length) this.#tornLines += 1;
  }

  #readLine(bytes: Buffer, segment: Segment, marks: string): void {
    const line = isUtf8(bytes) ? parseLine(bytes.toString('utf8')) : undefined;
    // A mark beyond the number of lines that fit is not one that we gave out, and writing there would grow the file.
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
    const twin = this.#twinOf(line.seq, target);
    if (twin?.segment === segment && twin.slot === line.mark) {
      this.#tornLines += 1;
      return;
    }
    const mayBeSecond = mark !== MARK.waiting || twin?.mayBeSecond === true;
    // A wall clock that was ahead when it came in: its age is counted from now.
    const ageMs = Math.max(0, Math.trunc(this.#clock.wallNow()) - line.at);
    const entry = new Entry(line.seq, target, this.#clock, { ageMs, mayBeSecond });
    entry.segment = segment;
    entry.slot = line.mark;
    segment.live += 1;
    // Written twice, around a failure of the disk: the later line is the one that was marked since.
    if (twin !== undefined) this.#twins.push(twin);
    this.#bySeq.set(line.seq, entry);
  }

  /** The same event from an earlier line. Another one of that number, which only somebody else can have put there, gets a new number. */
  #twinOf(seq: number, target: string): Entry | undefined {
    const other = this.#bySeq.get(seq);
    if (other === undefined || other.target === target) return other;
    this.#bySeq.delete(seq);
    this.#strangers.push(other);
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

  async #readFile(path: string): Promise<{ bytes: Buffer; inode: number }> {
    try {
      const file = await this.#files.open(path, READ);
      try {
        const stats = await file.stat();
        if (!stats.isFile()) throw unsafe(path, 'is not a file');
        refuseUnsafe(path, stats);
        return { bytes: await file.readFile(), inode: stats.ino };
      } finally {
        await file.close();
      }
    } catch (error) {
      throw errorCode(error) === 'ELOOP' ? unsafe(path, 'is a symbolic link') : unusable(path, 'read', error);
    }
  }
}
