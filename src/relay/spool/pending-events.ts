import type { StoredEvent } from '../store.js';

/** What a store keeps of an event while it is pending. */
export interface PendingEvent extends StoredEvent {
  readonly sinceMs: number;
  /** Whether nobody has taken it. */
  isWaiting: boolean;
}

/**
 * The events that wait, as a binary heap by number, and those that were taken. Events mostly come in order, which costs a heap
 * nothing, and may come back in any.
 */
export class PendingEvents<E extends PendingEvent> {
  #heap: E[] = [];
  readonly #taken = new Map<number, E>();

  /** How many wait. */
  get length(): number {
    return this.#heap.length;
  }

  /** The number of the oldest that waits. */
  get oldestSeq(): number | undefined {
    return this.#heap[0]?.seq;
  }

  /** All events: those that wait, in no order, and those that were taken. */
  *all(): Iterable<E> {
    yield* this.#heap;
    yield* this.#taken.values();
  }

  /** Adds one that waits. */
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

  /** Takes out the oldest, at most `limit`, in order. */
  take(limit: number): E[] {
    const taken: E[] = [];
    while (taken.length < limit) {
      const event = this.#shift();
      if (event === undefined) break;
      event.isWaiting = false;
      this.#taken.set(event.seq, event);
      taken.push(event);
    }
    return taken;
  }

  /** Brings back what was taken. @returns Those: what has been settled or cleared since does not come back. */
  putBack(events: readonly StoredEvent[]): E[] {
    const back = this.settle(events);
    for (const event of back) this.add(event);
    return back;
  }

  /** Lets go of what was taken. @returns Those: what is unknown is passed over. */
  settle(events: readonly StoredEvent[]): E[] {
    const known: E[] = [];
    for (const { seq } of events) {
      const event = this.#taken.get(seq);
      if (event === undefined) continue;
      this.#taken.delete(seq);
      known.push(event);
    }
    return known;
  }

  /** Takes out for good what has waited for longer than `maxAgeMs`. @returns Those, in order. */
  expire(nowMs: number, maxAgeMs: number): E[] {
    const kept: E[] = [];
    const expired: E[] = [];
    for (const event of this.#heap) {
      if (nowMs - event.sinceMs > maxAgeMs) expired.push(event);
      else kept.push(event);
    }
    if (expired.length === 0) return expired;
    // Sorted is a heap too.
    this.#heap = kept.sort(bySeq);
    for (const event of expired) event.isWaiting = false;
    return expired.sort(bySeq);
  }

  /** Forgets everything. @returns How many waited. */
  clear(): number {
    const waited = this.#heap.length;
    for (const event of this.#heap) event.isWaiting = false;
    this.#heap = [];
    this.#taken.clear();
    return waited;
  }

  #shift(): E | undefined {
    const heap = this.#heap;
    const first = heap[0];
    const last = heap.pop();
    if (first === undefined || last === undefined || heap.length === 0) return first;
    let index = 0;
    for (;;) {
      let below = 2 * index + 1;
      const left = heap[below];
      if (left === undefined) break;
      const right = heap[below + 1];
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
