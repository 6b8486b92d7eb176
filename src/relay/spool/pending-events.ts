// The pending events of a store: those that wait, oldest first, and those that are taken.

import type { StoredEvent } from '../../delivery/relay-store.js';

/** What the queue needs of an event. */
export interface PendingEvent extends StoredEvent {
  /** Start of its wait, by the monotonic clock. */
  readonly sinceMs: number;
  /** Whether it waits and is not taken. The queue sets it. */
  isWaiting: boolean;
}

/**
 * A binary heap by number. Events are mostly added in order, which costs one comparison; they return, and are recovered, in any order.
 *
 * `EventBuffer` in `delivery` has the same order but cannot be shared: to keep `publish()` cheap it is a ring without an object for each
 * event, and it evicts, while a store has an object for each event, remembers which are taken, and never evicts.
 */
export class PendingEvents<E extends PendingEvent> {
  #heap: E[] = [];
  readonly #taken = new Map<number, E>();

  /** How many wait. */
  get length(): number {
    return this.#heap.length;
  }

  /** The number of the oldest event that waits. */
  get oldestSeq(): number | undefined {
    return this.#heap.at(0)?.seq;
  }

  /** The start of the longest wait, of all events: an event that is being sent waits, too. It is infinite if there is none. */
  get oldestSinceMs(): number {
    let oldest = this.#heap.at(0)?.sinceMs ?? Infinity;
    for (const { sinceMs } of this.#taken.values()) oldest = Math.min(oldest, sinceMs);
    return oldest;
  }

  /** All events in no order: those that wait, then those that are taken. */
  *all(): Iterable<E> {
    yield* this.#heap;
    yield* this.#taken.values();
  }

  /** Adds an event that waits. */
  add(event: E): void {
    event.isWaiting = true;
    const heap = this.#heap;
    let index = heap.push(event) - 1;
    while (index > 0) {
      const above = (index - 1) >> 1;
      const parent = heap[above] as E;
      if (parent.seq < event.seq) break;
      heap[index] = parent;
      index = above;
    }
    heap[index] = event;
  }

  /** Takes the oldest events, at most `limit`, in order. @param beforeSeq Events from this number on stay. */
  take(limit: number, beforeSeq = Infinity): E[] {
    const taken: E[] = [];
    while (taken.length < limit && (this.oldestSeq ?? Infinity) < beforeSeq) {
      const event = this.#shift();
      if (event === undefined) break;
      event.isWaiting = false;
      this.#taken.set(event.seq, event);
      taken.push(event);
    }
    return taken;
  }

  /** Puts taken events back into the queue. @returns The events that are back, without those that were settled or cleared meanwhile. */
  putBack(events: readonly StoredEvent[]): E[] {
    const returned = this.settle(events);
    for (const event of returned) this.add(event);
    return returned;
  }

  /** Forgets events that were taken. @returns Those that were: unknown ones are ignored. */
  settle(events: readonly StoredEvent[]): E[] {
    const settled: E[] = [];
    for (const { seq } of events) {
      const event = this.#taken.get(seq);
      if (event === undefined) continue;
      this.#taken.delete(seq);
      settled.push(event);
    }
    return settled;
  }

  /** Forgets events that have waited for longer than `maxAgeMs`. @returns Those, in order. */
  expire(nowMs: number, maxAgeMs: number): E[] {
    return this.removeIf(({ sinceMs }) => nowMs - sinceMs > maxAgeMs);
  }

  /** Forgets events that wait. @returns Those, in order. */
  removeIf(isRemoved: (event: E) => boolean): E[] {
    // It is asked every second, and mostly nothing is to be removed.
    if (!this.#heap.some(isRemoved)) return [];
    const kept: E[] = [];
    const removed: E[] = [];
    for (const event of this.#heap) (isRemoved(event) ? removed : kept).push(event);
    // A sorted array is a heap.
    this.#heap = kept.sort(bySeq);
    for (const event of removed) event.isWaiting = false;
    return removed.sort(bySeq);
  }

  /** Forgets all events. @returns How many waited. */
  clear(): number {
    const waited = this.#heap.length;
    for (const event of this.#heap) event.isWaiting = false;
    this.#heap = [];
    this.#taken.clear();
    return waited;
  }

  #shift(): E | undefined {
    const heap = this.#heap;
    const first = heap.at(0);
    const last = heap.pop();
    if (first === undefined || last === undefined || heap.length === 0) return first;
    let index = 0;
    for (;;) {
      let below = 2 * index + 1;
      const left = heap.at(below);
      if (left === undefined) break;
      const right = heap.at(below + 1);
      if (right !== undefined && right.seq < left.seq) below += 1;
      const child = heap[below] as E;
      if (last.seq < child.seq) break;
      heap[index] = child;
      index = below;
    }
    heap[index] = last;
    return first;
  }
}

function bySeq(left: StoredEvent, right: StoredEvent): number {
  return left.seq - right.seq;
}
