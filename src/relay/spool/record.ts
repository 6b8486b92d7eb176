// One event of the relay: as a record in memory, and as a line of JSON in a file of events.

import type { Clock } from '../../base/clock.js';
import type { StoredEvent } from '../../delivery/relay-store.js';

/** One event in memory, with the place of its line on disk. */
export class EventRecord implements StoredEvent {
  /** Final once the record is pending; recovery assigns another number before that. */
  seq: number;
  readonly target: string;
  readonly acceptedAtMs: number;
  /** Start of its wait, by the monotonic clock: a change of the wall clock does not change its age. */
  readonly sinceMs: number;
  readonly mayBeSecond: boolean;
  /** Whether it is pending and not taken. */
  isWaiting = false;
  /** Whether its mark must be `begun`: it is taken, or an earlier process had taken it. */
  isBegun: boolean;
  /** Whether its fate is known. */
  isSettled = false;
  /** Number of the segment that has its line, or gets it in the write in flight. Undefined for an event in memory alone. */
  segment: number | undefined;
  /** Column of its mark in the file of marks of that segment. */
  slot = 0;

  /** `ageMs`: how long it has waited already. */
  constructor(seq: number, target: string, clock: Pick<Clock, 'now' | 'wallNow'>, { ageMs = 0, mayBeSecond = false } = {}) {
    this.seq = seq;
    this.target = target;
    this.acceptedAtMs = Math.trunc(clock.wallNow()) - ageMs;
    this.sinceMs = clock.now() - ageMs;
    this.mayBeSecond = mayBeSecond;
    this.isBegun = mayBeSecond;
  }
}

/** A record to be written, with its target encoded as JSON and the room that it can take on disk. */
export interface RecordLine {
  readonly record: EventRecord;
  readonly json: string;
  /** Upper bound, in bytes. */
  readonly bytes: number;
}

/** Size of a line without its target, at most: names, numbers, the newline, and one byte for the mark. */
export const LINE_OVERHEAD_BYTES = 88;

/** Size of the shortest possible line. */
export const MIN_LINE_BYTES = 40;

/** Encodes the target of a record, once. */
export function recordLine(record: EventRecord): RecordLine {
  const json = JSON.stringify(record.target);
  const length = Buffer.byteLength(json);
  // One 64th more for the first chunk of marks: the line may begin a segment.
  return { record, json, bytes: length + Math.ceil(length / 64) + LINE_OVERHEAD_BYTES };
}

/** `seqOffset`: difference between the number on disk and the number in memory. */
export function encodeLine({ record: { seq, slot, acceptedAtMs }, json }: RecordLine, seqOffset: number): string {
  return `{"seq":${seq + seqOffset},"mark":${slot},"at":${acceptedAtMs},"target":${json}}\n`;
}

/** The fields of a line. */
interface ParsedLine {
  readonly seq: number;
  readonly mark: number;
  readonly at: number;
  readonly target: string;
}

const MAX_SEQ = 2 ** 52;
const MAX_TIME_MS = 8.64e15;

/** @returns The fields of a line; undefined if it is not a line of the spool. Unknown fields are ignored. */
export function parseLine(text: string): ParsedLine | undefined {
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

function isCount(value: unknown, max: number): value is number {
  return Number.isInteger(value) && (value as number) >= 0 && (value as number) <= max;
}
