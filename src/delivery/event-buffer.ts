/*
 * Keeps the events that wait to be sent, in order and bounded.
 */
import type { DeclaredEvent } from '../events/product-events.js';
import type { UsageMetrics } from '../wire/python.js';
import type { UsageEvent } from './transport.js';

/** An event that was taken out of the buffer to be sent. */
export interface TakenEvent {
  /** Sequence number, one more for each published event. Events start in this order, and a drain waits for all below a number. */
  readonly seq: number;
  readonly definition: DeclaredEvent;
  readonly metrics: UsageMetrics;
  readonly packed: string | undefined;
  /** When it was published, in milliseconds since 1970. */
  readonly timeMs: number;
  /** Built once, at the first attempt: an event that returns to the buffer keeps its id. */
  built: UsageEvent | undefined;
}

/** What a buffer does with events besides keeping them. */
export interface EventBufferOptions {
  /** Called for each event that a full buffer drops, on the host's path. */
  onDropped?: ((definition: DeclaredEvent) => void) | undefined;
  /**
   * Checks the metrics of one event, in place: nothing that no field accepts is kept. It returns whether there was nothing to remove.
   * @default every event was checked before
   */
  check?: ((metrics: UsageMetrics, definition: DeclaredEvent) => boolean) | undefined;
}

const FIRST_SLOTS = 64;

/** The most events that wait for their check. */
const MAX_UNCHECKED = 1024;

/**
 * One of so many is checked at once. If there is something to remove, all that wait are checked, and so is each later one of the turn: huge
 * texts that a host publishes in a loop must not all be held. A prime, since hosts publish in cycles.
 */
const SAMPLE = 13;

/** Stands for "every event is checked". A number, because `undefined` would cost a publish a few nanoseconds. */
const NONE = -1;

/**
 * A bounded ring of waiting events. It has three parallel arrays instead of one object an event, so a waiting event costs no
 * more memory than its plain metrics. Events that return from an attempt come before the ring, in their old order.
 *
 * Checking an event costs more than keeping it. So the host's path only keeps it, and it is checked once the host's code has returned,
 * and in any case before it leaves the buffer.
 */
export class EventBuffer {
  readonly #capacity: number;
  readonly #onDropped: EventBufferOptions['onDropped'];
  readonly #check: EventBufferOptions['check'];
  #metrics: (UsageMetrics | undefined)[] = [];
  #definitions: (DeclaredEvent | undefined)[] = [];
  #packed: (string | undefined)[] = [];
  #slots = 0;
  #head = 0;
  #inRing = 0;
  #nextSeq = 0;
  #overflow = 0;
  /** Times, each with the first event that has it: most events of a turn share one. Those before `#firstTime` are used up. */
  readonly #times: { readonly fromSeq: number; readonly timeMs: number }[] = [];
  #firstTime = 0;
  /** While `checkAll` is due: the first event that is not checked. Those after it are not either, or need no check. */
  #uncheckedFrom = NONE;
  /** Whether something was removed from an event of this turn. */
  #isWary = false;
  readonly #returned: TakenEvent[] = [];

  constructor(capacity: number, { onDropped, check }: EventBufferOptions = {}) {
    this.#capacity = capacity;
    this.#onDropped = onDropped;
    this.#check = check;
  }

  /** The number of waiting events. */
  get length(): number {
    return this.#inRing + this.#returned.length;
  }

  /** The sequence number of the next event to be published. */
  get nextSeq(): number {
    return this.#nextSeq;
  }

  /** The sequence number of the oldest waiting event; `nextSeq` if none waits. */
  get oldestSeq(): number {
    // `at` and not an index, here and below: a list that is too short would give what `Object.prototype` holds at that index.
    return this.#returned.at(0)?.seq ?? this.#nextSeq - this.#inRing;
  }

  /**
   * Adds the newest event. A full buffer drops the oldest one.
   *
   * @param isChecked False for metrics that may hold anything: `checkAll` must run in the same turn of the event loop. @default true
   * @returns Whether this is the first event that waits for `checkAll`.
   */
  push(definition: DeclaredEvent, metrics: UsageMetrics, packed: string | undefined, isChecked = true): boolean {
    while (this.length >= this.#capacity) {
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
    const seq = this.#nextSeq;
    this.#nextSeq = seq + 1;
    if (this.#uncheckedFrom === NONE) {
      if (isChecked) return false;
      this.#uncheckedFrom = seq;
      return true;
    }
    const waiting = seq - this.#uncheckedFrom;
    if (waiting % SAMPLE === SAMPLE - 1 && this.#check?.(metrics, definition) === false) this.#isWary = true;
    if (this.#isWary || waiting >= MAX_UNCHECKED) this.#checkWaiting();
    return false;
  }

  /** Tells the time of the events that are pushed from now on. It is asked for once a turn, since a clock costs more than a push. */
  setTime(timeMs: number): void {
    // A full buffer that nothing is taken from drops events: their times must go, too.
    this.#timeAt(this.#nextSeq - this.#inRing);
    this.#times.push({ fromSeq: this.#nextSeq, timeMs });
  }

  /** The time of the oldest event in the ring; those of older events are forgotten. */
  #timeAt(seq: number): number {
    const times = this.#times;
    while ((times.at(this.#firstTime + 1)?.fromSeq ?? Infinity) <= seq) this.#firstTime += 1;
    if (this.#firstTime >= FIRST_SLOTS && this.#firstTime * 2 >= times.length) {
      times.splice(0, this.#firstTime);
      this.#firstTime = 0;
    }
    return times.at(this.#firstTime)?.timeMs ?? 0;
  }

  /** Checks what was pushed unchecked. The check may call the host's logger, which may publish. */
  checkAll(): void {
    this.#checkWaiting();
    this.#uncheckedFrom = NONE;
    this.#isWary = false;
  }

  #checkWaiting(): void {
    for (let seq = this.#uncheckedFrom; seq !== NONE && seq < this.#nextSeq; seq = this.#uncheckedFrom) {
      const fromHead = seq - (this.#nextSeq - this.#inRing);
      this.#uncheckedFrom = seq + 1;
      const slot = (this.#head + fromHead) % this.#slots;
      this.#check?.(this.#metrics[slot] as UsageMetrics, this.#definitions[slot] as DeclaredEvent);
    }
  }

  /** How many events `push` has dropped since the last call. */
  takeOverflow(): number {
    const dropped = this.#overflow;
    this.#overflow = 0;
    return dropped;
  }

  /** Takes out the oldest events, at most `limit`. */
  take(limit: number): TakenEvent[] {
    this.checkAll();
    // The usual case. An array literal has room for one event; an array that grows reserves room for 16 more.
    if (limit === 1 && this.#returned.length === 0) return this.#inRing === 0 ? [] : [this.#shift()];
    const taken = this.#returned.splice(0, limit);
    while (taken.length < limit && this.#inRing > 0) taken.push(this.#shift());
    return taken;
  }

  /** Puts events back at the head. @returns How many of the oldest events were dropped because the buffer was full. */
  putBack(events: readonly TakenEvent[]): number {
    // One by one: as the arguments of one call, a large batch would overflow the stack.
    for (const event of events) this.#returned.push(event);
    this.#returned.sort((left, right) => left.seq - right.seq);
    let dropped = 0;
    while (this.length > this.#capacity) {
      this.#dropOldest();
      dropped += 1;
    }
    return dropped;
  }

  /** The waiting events, those that returned first. */
  *waiting(): Iterable<{ readonly definition: DeclaredEvent }> {
    yield* this.#returned;
    for (let index = 0; index < this.#inRing; index += 1) {
      yield { definition: this.#definitions[(this.#head + index) % this.#slots] as DeclaredEvent };
    }
  }

  /** Removes all events. @returns How many waited. */
  clear(): number {
    this.checkAll();
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

  /** The check may call the host's logger, which may publish: the event must have left the ring. */
  #dropOldest(): void {
    const returned = this.#returned.shift();
    if (returned !== undefined) return this.#onDropped?.(returned.definition);
    const { metrics, definition, seq } = this.#shift();
    if (seq === this.#uncheckedFrom) {
      this.#uncheckedFrom = seq + 1;
      this.#check?.(metrics, definition);
    }
    this.#onDropped?.(definition);
  }

  #shift(): TakenEvent {
    const head = this.#head;
    const seq = this.#nextSeq - this.#inRing;
    const taken = {
      seq,
      definition: this.#definitions[head] as DeclaredEvent,
      metrics: this.#metrics[head] as UsageMetrics,
      packed: this.#packed[head],
      timeMs: this.#timeAt(seq),
      built: undefined,
    };
    this.#clearHead();
    return taken;
  }

  #clearHead(): void {
    const head = this.#head;
    this.#metrics[head] = undefined;
    this.#definitions[head] = undefined;
    this.#packed[head] = undefined;
    this.#head = head + 1 === this.#slots ? 0 : head + 1;
    this.#inRing -= 1;
  }

  /** Doubles the ring, up to the capacity. The part from the head to the end of the arrays moves to their new end. */
  #grow(): void {
    const slots = Math.min(this.#capacity, Math.max(FIRST_SLOTS, this.#slots * 2));
    const head = this.#inRing === 0 ? 0 : this.#head;
    for (const items of [this.#metrics, this.#definitions, this.#packed]) stretch(items, this.#slots, slots, head);
    this.#head = head === 0 ? 0 : head + slots - this.#slots;
    this.#slots = slots;
  }
}

/** Grows an array in place: a copy would be garbage on the host's path. A ring that begins at slot 0 needs no move. */
function stretch(items: unknown[], from: number, to: number, head: number): void {
  items.length = to;
  if (head === 0) return;
  for (let index = from - 1; index >= head; index -= 1) {
    items[index + to - from] = items[index];
    items[index] = undefined;
  }
}
