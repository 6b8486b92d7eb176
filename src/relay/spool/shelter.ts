import type { Entry } from './entry.js';
import { LINE_OVERHEAD_BYTES } from './line.js';
import type { PendingLine } from './line.js';

/** An event on its way to disk, and the room that its line will take at most. */
export interface SizedLine extends PendingLine {
  readonly bytes: number;
}

/** Gets an event ready to be written. */
export function sizedLine(entry: Entry): SizedLine {
  const json = JSON.stringify(entry.target);
  const length = Buffer.byteLength(json);
  // The 64th part is for the first marks of a segment, should the line begin one.
  return { entry, json, bytes: length + Math.ceil(length / 64) + LINE_OVERHEAD_BYTES };
}

/** Waiting events that are in memory alone until the disk takes them. */
export class Shelter {
  readonly #bytes = new Map<Entry, number>();
  /** The room that they will take on disk. */
  bytes = 0;

  get size(): number {
    return this.#bytes.size;
  }

  add(entry: Entry, bytes = sizedLine(entry).bytes): void {
    if (this.#bytes.has(entry)) return;
    this.#bytes.set(entry, bytes);
    this.bytes += bytes;
  }

  delete(entry: Entry): void {
    this.bytes -= this.#bytes.get(entry) ?? 0;
    this.#bytes.delete(entry);
  }

  clear(): void {
    this.#bytes.clear();
    this.bytes = 0;
  }

  /** Takes out those that came first, up to a number of bytes, at least one where there is one. */
  takeSome(maxBytes: number): SizedLine[] {
    const lines: SizedLine[] = [];
    let bytes = 0;
    for (const entry of this.#bytes.keys()) {
      if (bytes >= maxBytes) break;
      const line = sizedLine(entry);
      bytes += line.bytes;
      lines.push(line);
    }
    for (const { entry } of lines) this.delete(entry);
    return lines;
  }
}
