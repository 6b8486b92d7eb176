import type { EventDefinition } from '../events/definition.js';
import type { UsageMetrics } from '../wire/python.js';
import type { UsageEvent } from './transport.js';

/** One event that was taken out of the buffer. */
export interface TakenEvent {
  /** Grows by one with each event published: the order in which events start, and what a checkpoint waits for. */
  readonly seq: number;
  readonly definition: EventDefinition;
  readonly metrics: UsageMetrics;
  readonly packed: string | undefined;
  /** Built once, at the first attempt, so that an event keeps its id when it comes back. */
  built: UsageEvent | undefined;
}

const FIRST_SLOTS = 64;

/**
 * The bounded ring of waiting events. Three parallel arrays rather than one object an event: what waits costs no more
 * memory than the plain metrics. Events that come back from an attempt stand before the ring, in their old order.
 */
export class EventBuffer {
  readonly #capacity: number;
  #metrics: (UsageMetrics | undefined)[] = [];
  #definitions: (EventDefinition | undefined)[] = [];
  #packed: (string | undefined)[] = [];
  #slots = 0;
  #head = 0;
  #inRing = 0;
  #nextSeq = 0;
  #overflow = 0;
  readonly #returned: TakenEvent[] = [];

  constructor(capacity: number) {
    this.#capacity = capacity;
  }

  /** How many events wait. */
  get length(): number {
    return this.#inRing + this.#returned.length;
  }

  /** The number that the next event will get. */
  get nextSeq(): number {
    return this.#nextSeq;
  }

  /** The number of the oldest event that waits; `nextSeq` where none does. */
  get oldestSeq(): number {
    return this.#returned[0]?.seq ?? this.#nextSeq - this.#inRing;
  }

  /** Adds the newest event. Where it is full, the oldest one goes for it. */
  push(definition: EventDefinition, metrics: UsageMetrics, packed: string | undefined): void {
    if (this.length >= this.#capacity) {
      this.#dropOldest();
      this.#overflow += 1;
    }
    if (this.#inRing === this.#slots) this.#grow();
    let tail = this.#head + this.#inRing;
    if (tail >= this.#slots) tail -= this.#slots;
    this.#metrics[tail] = metrics;
    this.#definitions[tail] = definition;
    this.#packed[tail] = packed;
    this.#inRing += 1;
    this.#nextSeq += 1;
  }

  /** How many events had to go for newer ones since this was asked last. */
  takeOverflow(): number {
    const dropped = this.#overflow;
    this.#overflow = 0;
    return dropped;
  }

  /** Takes out the oldest events, at most `limit`. */
  take(limit: number): TakenEvent[] {
    // Of one event mostly, and a list that is made with it takes no room for sixteen more.
    if (limit === 1 && this.#returned.length === 0) return this.#inRing === 0 ? [] : [this.#shift()];
    const taken = this.#returned.splice(0, limit);
    while (taken.length < limit && this.#inRing > 0) taken.push(this.#shift());
    return taken;
  }

  /** Brings events back to the head. @returns How many of the oldest had to go because it was full. */
  putBack(events: readonly TakenEvent[]): number {
    // One by one: as arguments of one call a large batch would overflow the stack.
    for (const event of events) this.#returned.push(event);
    this.#returned.sort((left, right) => left.seq - right.seq);
    let dropped = 0;
    while (this.length > this.#capacity) {
      this.#dropOldest();
      dropped += 1;
    }
    return dropped;
  }

  /** Empties it. @returns How many events waited. */
  clear(): number {
    const waited = this.length;
    this.#returned.length = 0;
    this.#metrics = [];
    this.#definitions = [];
    this.#packed = [];
    this.#slots = 0;
    this.#head = 0;
    this.#inRing = 0;
    return waited;
  }

  #dropOldest(): void {
    if (this.#returned.length > 0) this.#returned.shift();
    else this.#forgetHead();
  }

  #shift(): TakenEvent {
    const head = this.#head;
    const taken = {
      seq: this.#nextSeq - this.#inRing,
      definition: this.#definitions[head] as EventDefinition,
      metrics: this.#metrics[head] as UsageMetrics,
      packed: this.#packed[head],
      built: undefined,
    };
    this.#forgetHead();
    return taken;
  }

  #forgetHead(): void {
    const head = this.#head;
    this.#metrics[head] = undefined;
    this.#definitions[head] = undefined;
    this.#packed[head] = undefined;
    this.#head = head + 1 === this.#slots ? 0 : head + 1;
    this.#inRing -= 1;
  }

  /** Doubles the ring up to the capacity. What stands from its head on moves to the new end, so that it stays one piece. */
  #grow(): void {
    const slots = Math.min(this.#capacity, Math.max(FIRST_SLOTS, this.#slots * 2));
    const head = this.#inRing === 0 ? 0 : this.#head;
    for (const items of [this.#metrics, this.#definitions, this.#packed]) stretch(items, this.#slots, slots, head);
    this.#head = head === 0 ? 0 : head + slots - this.#slots;
    this.#slots = slots;
  }
}

/** In place, since a copy would be garbage on the host's path; one that begins at its first slot needs no move. */
function stretch(items: unknown[], from: number, to: number, head: number): void {
  items.length = to;
  if (head === 0) return;
  for (let index = from - 1; index >= head; index -= 1) {
    items[index + to - from] = items[index];
    items[index] = undefined;
  }
}
