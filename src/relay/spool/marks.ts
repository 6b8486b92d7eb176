import { FILE_MODE, OVERWRITE, systemError } from './files.js';
import type { SpoolFiles } from './files.js';
import type { Entry } from './record.js';

/** Marks that are not written yet: the last one for each place, so that they take no more room than the events they are about. */
export class HeldMarks {
  readonly #byPath = new Map<string, Map<number, string>>();

  /** Keeps the characters from `slot` on. */
  add(path: string, slot: number, characters: string): void {
    const held = this.#byPath.get(path) ?? new Map<number, string>();
    this.#byPath.set(path, held);
    for (let index = 0; index < characters.length; index += 1) held.set(slot + index, characters.charAt(index));
  }

  /** A file that is not marked any more. */
  forget(path: string): void {
    this.#byPath.delete(path);
  }

  /** Those that stand side by side as one, in as few pieces as that allows. */
  *pieces(): Iterable<{ path: string; slot: number; characters: string }> {
    for (const [path, held] of this.#byPath) {
      let slot = 0;
      let characters = '';
      for (const [next, character] of [...held].sort(([left], [right]) => left - right)) {
        if (characters !== '' && next !== slot + characters.length) {
          yield { path, slot, characters };
          characters = '';
        }
        if (characters === '') slot = next;
        characters += character;
      }
      if (characters !== '') yield { path, slot, characters };
    }
  }
}

/** What an event's character in the marks says. Anything else counts as `begun`: it may have been sent. */
export const MARK = { waiting: '.', begun: 'b', done: 'd' } as const;

/** One of the characters. */
export type Mark = (typeof MARK)[keyof typeof MARK];

/** Files that are kept open: events leave in the order in which they came, so few segments are marked at a time. */
const MAX_OPEN = 16;

/**
 * Writes down what became of events: one character for each line of a segment, in a file beside it, overwritten in place. So a mark
 * needs no room: it can be made on a full disk, never grows, and cannot be torn. Writing is synchronous, and measured in
 * microseconds, since it goes to the page cache: it must be over before an event leaves, and what is there survives a SIGKILL.
 */
export class MarkWriter {
  readonly #files: SpoolFiles;
  readonly #open = new Map<string, number>();
  #held: HeldMarks | undefined;
  /** Files to be let go of, once the disk answers again. */
  readonly #forgotten = new Set<string>();

  constructor(files: SpoolFiles) {
    this.#files = files;
  }

  /** Whether marks are only remembered. */
  get isHeld(): boolean {
    return this.#held !== undefined;
  }

  /** Remembers marks instead of writing them: a disk that does not answer would hold up the whole process. */
  hold(): void {
    this.#held ??= new HeldMarks();
  }

  /** Writes what was remembered, and goes on as before. @throws What the file system throws. */
  release(): void {
    const held = this.#held;
    this.#held = undefined;
    try {
      for (const { path, slot, characters } of held?.pieces() ?? []) this.write(path, slot, characters);
    } finally {
      for (const path of this.#forgotten) this.forget(path);
      this.#forgotten.clear();
    }
  }

  /** Writes the same mark for each of some events, in as few writes as their places allow. @throws What the file system throws. */
  mark(entries: readonly Entry[], mark: Mark): void {
    for (let index = 0; index < entries.length; ) {
      const first = entries[index];
      let length = 1;
      if (first?.segment !== undefined) {
        while (follows(first, length, entries[index + length])) length += 1;
        this.write(first.segment.marksPath, first.slot, mark.repeat(length));
      }
      index += length;
    }
  }

  /** Overwrites the characters from `slot` on. @throws What the file system throws. */
  write(path: string, slot: number, characters: string): void {
    if (this.#held !== undefined) {
      this.#held.add(path, slot, characters);
      return;
    }
    const written = this.#files.writeSync(this.#descriptor(path), characters, slot, 'latin1');
    if (written !== characters.length) throw systemError('ENOSPC', 'Not all marks were written.');
  }

  /** Lets go of a file. */
  forget(path: string): void {
    if (this.#held !== undefined) {
      this.#held.forget(path);
      this.#forgotten.add(path);
      return;
    }
    const descriptor = this.#open.get(path);
    if (descriptor === undefined) return;
    this.#open.delete(path);
    try {
      this.#files.closeSync(descriptor);
    } catch {
      // Nothing was buffered in it, so nothing is lost.
    }
  }

  /** Lets go of all files. */
  forgetAll(): void {
    for (const path of this.#open.keys()) this.forget(path);
  }

  #descriptor(path: string): number {
    const known = this.#open.get(path);
    if (known !== undefined) {
      // The map keeps the order of insertion: the one used last goes to its end.
      this.#open.delete(path);
      this.#open.set(path, known);
      return known;
    }
    const [oldest] = this.#open.keys();
    if (this.#open.size >= MAX_OPEN && oldest !== undefined) this.forget(oldest);
    const descriptor = this.#files.openSync(path, OVERWRITE, FILE_MODE);
    this.#open.set(path, descriptor);
    return descriptor;
  }
}

function follows(first: Entry, distance: number, entry: Entry | undefined): boolean {
  return entry !== undefined && entry.segment === first.segment && entry.slot === first.slot + distance;
}
