// What waits to be written: appends for the next write, and events in memory while the disk fails.

import type { Stored } from '../../delivery/relay-store.js';
import { recordLine } from './record.js';
import type { EventRecord, RecordLine } from './record.js';

/** An append that waits for its answer. */
export interface WaitingAppend extends RecordLine {
  readonly sinceMs: number;
  readonly resolve: (stored: Stored) => void;
}

/** Appends for the next write, in order. */
export class AppendQueue {
  #waiting: WaitingAppend[] = [];
  /** Room that their lines need on disk, at most. */
  bytes = 0;

  get size(): number {
    return this.#waiting.length;
  }

  /** The oldest one. */
  get first(): WaitingAppend | undefined {
    return this.#waiting.at(0);
  }

  add(append: WaitingAppend): void {
    this.#waiting.push(append);
    this.bytes += append.bytes;
  }

  /** Takes the oldest appends: as many as reach `maxBytes`, at least one. */
  takeBatch(maxBytes: number): WaitingAppend[] {
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

  takeAll(): WaitingAppend[] {
    this.bytes = 0;
    return this.#waiting.splice(0);
  }
}

/** Events that wait in memory alone until the disk works. */
export class MemoryFallback {
  readonly #bytesOf = new Map<EventRecord, number>();
  /** Room that their lines need on disk, at most. */
  bytes = 0;

  get size(): number {
    return this.#bytesOf.size;
  }

  add(record: EventRecord, bytes = recordLine(record).bytes): void {
    if (this.#bytesOf.has(record)) return;
    this.#bytesOf.set(record, bytes);
    this.bytes += bytes;
  }

  delete(record: EventRecord): void {
    this.bytes -= this.#bytesOf.get(record) ?? 0;
    this.#bytesOf.delete(record);
  }

  clear(): void {
    this.#bytesOf.clear();
    this.bytes = 0;
  }

  /** Takes the oldest events: as many as reach `maxBytes`, at least one. */
  takeBatch(maxBytes: number): RecordLine[] {
    const lines: RecordLine[] = [];
    let bytes = 0;
    for (const record of this.#bytesOf.keys()) {
      if (bytes >= maxBytes) break;
      const line = recordLine(record);
      bytes += line.bytes;
      lines.push(line);
    }
    for (const { record } of lines) this.delete(record);
    return lines;
  }
}
