import type { Stored } from '../store.js';
import type { SizedLine } from './shelter.js';

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
