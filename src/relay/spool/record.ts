import type { Clock } from '../../base/clock.js';
import type { StoredEvent } from '../store.js';
import type { Segment } from './segment.js';

/** One event in memory, and where its line is. */
export class Entry implements StoredEvent {
  /** Settled for good once it is among those that wait. */
  seq: number;
  readonly target: string;
  readonly acceptedAtMs: number;
  /** Since when it waits, by the clock that only ever grows: the machine's time may be set while it does. */
  readonly sinceMs: number;
  readonly mayBeSecond: boolean;
  /** Whether it stands among those that wait, and nobody has taken it. */
  isWaiting = false;
  /** Whether a mark must say that it may have been sent: somebody has it, or an earlier process had. */
  isBegun: boolean;
  /** Whether its fate is known. */
  isSettled = false;
  /** The segment that holds its line, or will once the write under way is over; none for an event in memory alone. */
  segment: Segment | undefined;
  /** Its column in the marks of that segment. */
  slot = 0;

  /** @param ageMs how long it has waited already */
  constructor(seq: number, target: string, clock: Pick<Clock, 'now' | 'wallNow'>, { ageMs = 0, mayBeSecond = false } = {}) {
    this.seq = seq;
    this.target = target;
    this.acceptedAtMs = Math.trunc(clock.wallNow()) - ageMs;
    this.sinceMs = clock.now() - ageMs;
    this.mayBeSecond = mayBeSecond;
    this.isBegun = mayBeSecond;
  }
}

/** What a line takes beside its target, at most: names, a number of 16 digits, a column, a time, and one byte among the marks. */
export const LINE_OVERHEAD_BYTES = 88;

/** The shortest line there can be: less than that is none of ours. */
export const MIN_LINE_BYTES = 40;

const MAX_SEQ = 2 ** 52;
const MAX_TIME_MS = 8.64e15;

/** What a line says. */
export interface Line {
  readonly seq: number;
  readonly mark: number;
  readonly at: number;
  readonly target: string;
}

/** An event on its way to disk, with its target written as JSON. */
export interface PendingLine {
  readonly entry: Entry;
  readonly json: string;
}

/** An event as a line of JSON. `json` is its target, written as JSON already; its number on disk is higher by `seqOffset`. */
export function encodeLine({ seq, slot, acceptedAtMs }: Entry, json: string, seqOffset: number): string {
  return `{"seq":${seq + seqOffset},"mark":${slot},"at":${acceptedAtMs},"target":${json}}\n`;
}

/** What a line says, or nothing where it is not one of ours. Further names in it are left alone. */
export function parseLine(text: string): Line | undefined {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return undefined;
  }
  if (typeof value !== 'object' || value === null) return undefined;
  const { seq, mark, at, target } = value as Record<string, unknown>;
  if (!isCount(seq, MAX_SEQ) || !isCount(mark, MAX_SEQ) || !isCount(at, MAX_TIME_MS)) return undefined;
  return typeof target === 'string' && target !== '' ? { seq, mark, at, target } : undefined;
}

function isCount(value: unknown, most: number): value is number {
  return Number.isInteger(value) && (value as number) >= 0 && (value as number) <= most;
}
