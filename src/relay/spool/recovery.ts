import { isUtf8 } from 'node:buffer';
import { join } from 'node:path';
import { refuseUnsafe, unsafe, unusable } from './directory.js';
import { Entry } from './entry.js';
import { errorCode } from './errors.js';
import { READ } from './files.js';
import type { SpoolFiles } from './files.js';
import { MIN_LINE_BYTES, parseLine } from './line.js';
import { MARK } from './marks.js';
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
  /** Lines that could not be read. */
  readonly tornLines: number;
}

const NEWLINE = 0x0a;

/**
 * Reads the directory. Whatever has none of our names is left alone.
 *
 * @throws SpoolError for a file of ours that is not ours alone, or that cannot be read.
 */
export async function recover(directory: string, files: SpoolFiles, nowMs: number): Promise<Recovered> {
  const names = await files.readdir(directory);
  const numbers = names.flatMap((name) => numberOfEvents(name) ?? []).sort((left, right) => left - right);
  const reader = new SegmentReader(files, nowMs);
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
  readonly #nowMs: number;
  readonly #segments: Segment[] = [];
  readonly #bySeq = new Map<number, Entry>();
  readonly #twins: Entry[] = [];
  #nextSeq = 0;
  #tornLines = 0;

  constructor(files: SpoolFiles, nowMs: number) {
    this.#files = files;
    this.#nowMs = nowMs;
  }

  result(): Omit<Recovered, 'nextNumber'> {
    const entries = [...this.#bySeq.values()];
    return { entries, twins: this.#twins, segments: this.#segments, nextSeq: this.#nextSeq, tornLines: this.#tornLines };
  }

  async read(segment: Segment): Promise<void> {
    const events = await this.#readFile(segment.eventsPath);
    const marks = await this.#readMarks(segment.marksPath);
    segment.eventsBytes = events.length;
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
    const twin = this.#bySeq.get(line.seq);
    if (twin?.segment === segment && twin.slot === line.mark) {
      this.#tornLines += 1;
      return;
    }
    const mayBeSecond = mark !== MARK.waiting || twin?.mayBeSecond === true;
    const entry = new Entry(line.seq, line.target, Math.min(line.at, this.#nowMs), mayBeSecond);
    entry.segment = segment;
    entry.slot = line.mark;
    segment.live += 1;
    // Written twice, around a failure of the disk: the later line is the one that was marked since.
    if (twin !== undefined) this.#twins.push(twin);
    this.#bySeq.set(line.seq, entry);
  }

  async #readMarks(path: string): Promise<string> {
    try {
      return (await this.#readFile(path)).toString('latin1');
    } catch (error) {
      if (errorCode((error as Error).cause) === 'ENOENT') return '';
      throw error;
    }
  }

  async #readFile(path: string): Promise<Buffer> {
    try {
      const file = await this.#files.open(path, READ);
      try {
        const stats = await file.stat();
        if (!stats.isFile()) throw unsafe(path, 'is not a file');
        refuseUnsafe(path, stats);
        return await file.readFile();
      } finally {
        await file.close();
      }
    } catch (error) {
      throw errorCode(error) === 'ELOOP' ? unsafe(path, 'is a symbolic link') : unusable(path, 'read', error);
    }
  }
}
