import { errorCode } from './errors.js';
import type { SpoolFiles } from './files.js';
import type { Segment } from './segment.js';

/** Segments whose files are to be deleted. They take room on disk until that has worked. */
export class Removals {
  readonly #files: SpoolFiles;
  readonly #waiting = new Set<Segment>();
  #sweeping: Promise<void> | undefined;

  constructor(files: SpoolFiles) {
    this.#files = files;
  }

  get bytes(): number {
    let bytes = 0;
    for (const segment of this.#waiting) bytes += segment.bytes;
    return bytes;
  }

  /** Deletes a segment soon. */
  add(segment: Segment): void {
    this.#waiting.add(segment);
    void this.sweep();
  }

  /**
   * Deletes segments, and whatever else waits, before it returns; what cannot be deleted waits on, and so does all of it where the
   * disk does not answer. @returns Whether all of it is gone.
   */
  remove(segments: Iterable<Segment>, isDiskSilent: boolean): boolean {
    for (const segment of segments) this.#waiting.add(segment);
    if (isDiskSilent) {
      void this.sweep();
      return this.#waiting.size === 0;
    }
    for (const segment of this.#waiting) {
      try {
        for (const path of pathsOf(segment)) ignoreMissing(() => this.#files.unlinkSync(path));
        this.#waiting.delete(segment);
      } catch {
        // It waits for the next sweep.
      }
    }
    return this.#waiting.size === 0;
  }

  /** Deletes what waits, as far as that works now. Never rejects. */
  sweep(): Promise<void> {
    this.#sweeping ??= this.#sweep().finally(() => (this.#sweeping = undefined));
    return this.#sweeping;
  }

  /** The same, and what was added while a sweep was under way. Never rejects. */
  async finish(): Promise<void> {
    await this.sweep();
    await this.sweep();
  }

  async #sweep(): Promise<void> {
    for (const segment of this.#waiting) {
      try {
        await segment.finish();
        for (const path of pathsOf(segment)) await this.#unlink(path);
        this.#waiting.delete(segment);
      } catch {
        // Read-only or broken: it is tried again with the disk, and at the end.
      }
    }
  }

  async #unlink(path: string): Promise<void> {
    try {
      await this.#files.unlink(path);
    } catch (error) {
      if (errorCode(error) !== 'ENOENT') throw error;
    }
  }
}

/** The events first: without their marks they would all come back. */
function pathsOf({ eventsPath, marksPath }: Segment): readonly string[] {
  return [eventsPath, marksPath];
}

function ignoreMissing(unlink: () => void): void {
  try {
    unlink();
  } catch (error) {
    if (errorCode(error) !== 'ENOENT') throw error;
  }
}
