/** The last events with their fields, for `showEvents`: without that option no event is kept for the page. */
import type { Clock } from '../../base/clock.js';
import { shorten } from '../../base/describe.js';
import { causeOf } from '../../delivery/transport.js';
import type { EventOutcome } from '../../delivery/transport.js';
import { readNdjsonLine } from '../../wire/ndjson.js';
import { DECLARED_FIELDS } from '../declared-fields.js';
import type { DroppedField } from '../declared-fields.js';
import { isLine, readTarget } from '../event-lines.js';

/** The most events that are kept. */
const MAX_EVENTS = 50;

/** The most fields of an event that are shown, and the most characters of a value: a verbatim relay takes anything. */
const MAX_FIELDS = 64;
const MAX_VALUE_LENGTH = 256;

/** A store may know the age of an event less exactly than this process does. */
const ROUNDING_MS = 1000;

/** What became of an event. A reason is a code. */
type Fate =
  | { readonly kind: 'waiting'; readonly reason: string | undefined }
  | { readonly kind: 'sent'; readonly reason: undefined }
  | { readonly kind: 'failed' | 'dropped'; readonly reason: string };

/** An event as the page shows it. */
export interface ShownEvent {
  /** Its number on the page. */
  readonly id: number;
  /** When it was accepted, in ISO 8601. */
  readonly at: string;
  readonly type: string;
  readonly fate: Fate;
  /** `meaning` is undefined for a field that is not declared. */
  readonly fields: readonly { readonly name: string; readonly value: string; readonly meaning: string | undefined }[];
  /** Fields that were not forwarded. Their values are not kept. */
  readonly lost: readonly DroppedField[];
}

interface KeptEvent {
  readonly id: number;
  /** When it was accepted, in milliseconds since 1970. */
  readonly atMs: number;
  /** The same by the clock that nobody sets; undefined if it came from elsewhere than this process's clients. */
  readonly sinceMs: number | undefined;
  /** As the store has it. */
  readonly text: string;
  readonly lost: readonly DroppedField[];
  fate: Fate;
}

/** Keeps the last events that were accepted, sent, failed or dropped. */
export class RecentEvents {
  readonly #clock: Pick<Clock, 'now' | 'wallNow'>;
  readonly #maxAgeMs: number;
  #events: KeptEvent[] = [];
  #count = 0;
  #isForgetting = false;
  /** How many events the store has lost that are not found here yet. */
  #lost = 0;

  /** @param maxAgeMs How long an event may wait: the store drops it then. */
  constructor(clock: Pick<Clock, 'now' | 'wallNow'>, maxAgeMs: number) {
    this.#clock = clock;
    this.#maxAgeMs = maxAgeMs;
  }

  /** Keeps an event that was accepted. @param text As the store has it. */
  accepted(text: string, lost: readonly DroppedField[]): void {
    this.#keep({
      text,
      atMs: this.#clock.wallNow(),
      sinceMs: this.#clock.now(),
      lost: lost.slice(0, MAX_FIELDS).map(({ name, why }) => ({ name: shorten(name), why })),
      fate: { kind: 'waiting', reason: undefined },
    });
  }

  /** Tells the outcome of an attempt. An event that is no longer here, or came from an earlier process, is kept from now on. */
  settled(text: string, acceptedAtMs: number, outcome: EventOutcome): void {
    const fate = fateOf(outcome);
    // Events with one text are alike: the oldest is told first.
    const event = this.#events.findLast((each) => each.text === text && isOpen(each.fate));
    if (event !== undefined) event.fate = fate;
    else if (fate.kind !== 'waiting')
      this.#keep({ text, atMs: timeOr(acceptedAtMs, this.#clock.wallNow()), sinceMs: undefined, lost: [], fate });
  }

  /** To be called after the store has dropped what is too old. */
  expire(): void {
    const untilMs = this.#clock.now() - this.#maxAgeMs;
    for (const event of this.#events)
      if (event.fate.kind === 'waiting' && event.sinceMs !== undefined && event.sinceMs < untilMs) event.fate = EXPIRED;
  }

  /** To be called when the store has lost events because it could not read them. It cannot tell which. */
  unreadable(events: number): void {
    this.#lost += events;
  }

  /**
   * Finds the events that were lost: they wait here, and the store has no event that is so old.
   *
   * @param oldestAgeMs The age of the oldest event in the store or in flight; undefined if there is none.
   */
  findLost(oldestAgeMs: number | undefined): void {
    if (this.#lost === 0) return;
    const untilMs = oldestAgeMs === undefined ? Infinity : this.#clock.now() - oldestAgeMs - ROUNDING_MS;
    for (const event of this.#events.toReversed()) {
      if (this.#lost === 0) return;
      if (event.fate.kind !== 'waiting' || event.sinceMs === undefined || event.sinceMs >= untilMs) continue;
      event.fate = { kind: 'dropped', reason: 'unreadable' };
      this.#lost -= 1;
    }
    // The others are no longer here.
    if (oldestAgeMs === undefined) this.#lost = 0;
  }

  /** Forgets all events, and keeps no more: an opt-out has appeared. */
  forget(): void {
    this.#events = [];
    this.#isForgetting = true;
  }

  /** The events as the page shows them, the newest first. */
  shown(): ShownEvent[] {
    return this.#events.map(({ id, atMs, text, fate, lost }) => ({ id, at: new Date(atMs).toISOString(), fate, lost, ...read(text) }));
  }

  #keep(event: Omit<KeptEvent, 'id'>): void {
    if (this.#isForgetting) return;
    this.#count += 1;
    this.#events.unshift({ id: this.#count, ...event });
    if (this.#events.length > MAX_EVENTS) this.#events.pop();
  }
}

/** A store of a program may give a time that is none. */
function timeOr(timeMs: number, otherMs: number): number {
  return Number.isFinite(timeMs) && Math.abs(timeMs) <= MAX_TIME_MS ? timeMs : otherMs;
}

/** The last time that a date can have. */
const MAX_TIME_MS = 8.64e15;

const EXPIRED: Fate = { kind: 'dropped', reason: 'expired' };

/** Whether an outcome may follow. An event that expired may have been in flight, and the store drops only those that wait. */
function isOpen(fate: Fate): boolean {
  return fate.kind === 'waiting' || fate === EXPIRED;
}

function fateOf(outcome: EventOutcome): Fate {
  switch (outcome.kind) {
    case 'sent':
      return { kind: 'sent', reason: undefined };
    case 'aborted':
      return { kind: 'failed', reason: 'aborted' };
    case 'refused':
      return { kind: 'dropped', reason: outcome.reason };
    case 'deferred':
      return { kind: 'waiting', reason: causeOf(outcome) ?? outcome.reason };
    case 'retryable':
    case 'rejected':
    default:
      return { kind: 'failed', reason: causeOf(outcome) ?? outcome.reason };
  }
}

/** The type and the fields of an event, each with its meaning if it is declared. */
function read(text: string): Pick<ShownEvent, 'type' | 'fields'> {
  const { type, pairs } = pairsOf(text);
  const declared = DECLARED_FIELDS.get(type);
  const fields = pairs
    .slice(0, MAX_FIELDS)
    .map(({ 0: name, 1: value }) => ({ name: cut(name), value: cut(value), meaning: declared?.get(name)?.description }));
  return { type: cut(type), fields };
}

function pairsOf(text: string): { type: string; pairs: readonly (readonly [name: string, value: string])[] } {
  if (!isLine(text)) return readTarget(text);
  const reading = readNdjsonLine(text);
  if ('problem' in reading) return { type: reading.problem, pairs: [] };
  const { type, metrics } = reading.event;
  return { type, pairs: Object.entries(metrics).map(({ 0: name, 1: value }) => [name, String(value)]) };
}

function cut(text: string): string {
  return text.length > MAX_VALUE_LENGTH ? `${text.slice(0, MAX_VALUE_LENGTH)}…` : text;
}
