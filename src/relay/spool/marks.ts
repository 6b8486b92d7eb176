// The marks of the spool: its tombstones. One character for each event says whether it waits, may have been sent, or is done.

import { FILE_MODE, numberedFiles, OVERWRITE, systemError } from './files.js';
import type { SpoolFiles } from './files.js';
import type { EventRecord } from './record.js';

/** `marks-000001.txt`: one character for each line of `events-000001.jsonl`. */
export const MARKS_FILES = numberedFiles('marks', 'txt');

/** The characters. Any other character counts as `begun`: the event may have been sent. */
export const MARK = { waiting: '.', begun: 'b', done: 'd' } as const;

/** One of the characters. */
export type Mark = (typeof MARK)[keyof typeof MARK];

/** Limit of open files. Events leave in order, so few segments are marked at a time. */
const MAX_OPEN = 16;

/**
 * Overwrites marks in place. So a mark needs no room: it works on a full disk, the file does not grow, and a mark cannot be torn.
 * A write is synchronous because it must be over before the event leaves. It goes to the page cache: it takes microseconds and survives a
 * SIGKILL.
 */
export class MarkWriter {
  readonly #pathOf: (segment: number) => string;
  readonly #files: SpoolFiles;
  /** File descriptors by segment number, the least recently used first. */
  readonly #open = new Map<number, number>();
  #buffered: BufferedMarks | undefined;
  /** Segments to be closed by `flush()`. */
  readonly #toClose = new Set<number>();

  /** `pathOf`: the file with the marks of a segment. */
  constructor(pathOf: (segment: number) => string, files: SpoolFiles) {
    this.#pathOf = pathOf;
    this.#files = files;
  }

  /** Whether marks are buffered in memory. */
  get isBuffering(): boolean {
    return this.#buffered !== undefined;
  }

  /** Buffers marks instead of writing them: a synchronous write to a disk that hangs blocks the whole process. */
  buffer(): void {
    this.#buffered ??= new BufferedMarks();
  }

  /** Writes the buffered marks, and buffers no more. @throws Errors of the file system. */
  flush(): void {
    const buffered = this.#buffered;
    this.#buffered = undefined;
    try {
      for (const { segment, slot, characters } of buffered?.runs() ?? []) this.write(segment, slot, characters);
    } finally {
      for (const segment of this.#toClose) this.close(segment);
      this.#toClose.clear();
    }
  }

  /** Gives records the same mark; neighbours share one write. @throws Errors of the file system. */
  mark(records: readonly EventRecord[], mark: Mark): void {
    for (let index = 0; index < records.length; ) {
      const first = records[index];
      let length = 1;
      if (first?.segment !== undefined) {
        while (isAt(records.at(index + length), first.segment, first.slot + length)) length += 1;
        this.write(first.segment, first.slot, mark.repeat(length));
      }
      index += length;
    }
  }

  /** Overwrites the characters from `slot` on. @throws Errors of the file system. */
  write(segment: number, slot: number, characters: string): void {
    if (this.#buffered !== undefined) {
      this.#buffered.add(segment, slot, characters);
      return;
    }
    const written = this.#files.writeSync(this.#descriptor(segment), characters, slot, 'latin1');
    if (written !== characters.length) throw systemError('ENOSPC', 'Some marks were not written.');
  }

  /** Closes the file of a segment and discards its buffered marks. */
  close(segment: number): void {
    if (this.#buffered !== undefined) {
      this.#buffered.discard(segment);
      this.#toClose.add(segment);
      return;
    }
    const descriptor = this.#open.get(segment);
    if (descriptor === undefined) return;
    this.#open.delete(segment);
    try {
      this.#files.closeSync(descriptor);
    } catch {
      // Each mark was written at once: a close that fails loses none.
    }
  }

  /** Closes all files. */
  closeAll(): void {
    for (const segment of this.#open.keys()) this.close(segment);
  }

  #descriptor(segment: number): number {
    const known = this.#open.get(segment);
    if (known !== undefined) {
      // A map keeps the order of insertion: this makes it the most recently used.
      this.#open.delete(segment);
      this.#open.set(segment, known);
      return known;
    }
    const [oldest] = this.#open.keys();
    if (this.#open.size >= MAX_OPEN && oldest !== undefined) this.close(oldest);
    const descriptor = this.#files.openSync(this.#pathOf(segment), OVERWRITE, FILE_MODE);
    this.#open.set(segment, descriptor);
    return descriptor;
  }
}

/** Marks in memory: the last one for each slot, so they take no more room than the events. */
class BufferedMarks {
  readonly #bySegment = new Map<number, Map<number, string>>();

  add(segment: number, slot: number, characters: string): void {
    const marks = this.#bySegment.get(segment) ?? new Map<number, string>();
    this.#bySegment.set(segment, marks);
    for (let index = 0; index < characters.length; index += 1) marks.set(slot + index, characters.charAt(index));
  }

  discard(segment: number): void {
    this.#bySegment.delete(segment);
  }

  /** The marks in as few runs of neighbours as possible. */
  *runs(): Iterable<{ segment: number; slot: number; characters: string }> {
    for (const [segment, marks] of this.#bySegment) {
      let slot = 0;
      let characters = '';
      for (const [next, character] of [...marks].sort(([left], [right]) => left - right)) {
        if (characters !== '' && next !== slot + characters.length) {
          yield { segment, slot, characters };
          characters = '';
        }
        if (characters === '') slot = next;
        characters += character;
      }
      if (characters !== '') yield { segment, slot, characters };
    }
  }
}

function isAt(record: EventRecord | undefined, segment: number, slot: number): boolean {
  return record !== undefined && record.segment === segment && record.slot === slot;
}
