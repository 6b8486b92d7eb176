import type { Stored } from '../store.js';
import { LINE_OVERHEAD_BYTES } from './record.js';
import type { Entry, PendingLine } from './record.js';

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

/** An append that waits for its write. */
export interface WaitingAppend extends SizedLine {
  readonly sinceMs: number;
  readonly resolve: (stored: Stored) => void;
}

/** Appends that wait for the next write, in the order in which they came. */
export class AppendQueue {
  #waiting: WaitingAppend[] = [];
  /** The room that they will take on disk. */
  bytes = 0;

  get size(): number {
    return this.#waiting.length;
  }

  /** The one that has waited for longest. */
  get first(): WaitingAppend | undefined {
    return this.#waiting[0];
  }

  add(append: WaitingAppend): void {
    this.#waiting.push(append);
    this.bytes += append.bytes;
  }

  /** Takes out those that came first, up to a number of bytes, at least one where there is one. */
  takeSome(maxBytes: number): WaitingAppend[] {
    let bytes = 0;
    let count = 0;
    for (const append of this.#waiting) {
      if (bytes >= maxBytes) break;
      bytes += append.bytes;
      count += 1;
    }
    this.bytes -= bytes;
    return this.#waiting.splice(0, count);
  }

  /** Takes out all of them. */
  takeAll(): WaitingAppend[] {
    this.bytes = 0;
    return this.#waiting.splice(0);
  }
}
