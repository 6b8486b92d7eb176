// One event of the relay: as a record in memory, and as a line of JSON in a file of events.

import { isUtf8 } from 'node:buffer';
import type { StoredEvent } from '../../delivery/relay-store.js';
import { NO_BOOT } from './age.js';
import type { Stamp } from './age.js';

/** One event: what is always in memory, with the place of its line on disk, and maybe its text. */
export class EventRecord implements StoredEvent {
  /** Final once the record is pending; recovery assigns another number before that. */
  seq: number;
  /** Its target. Undefined while the text is on disk alone. */
  text: string | undefined;
  readonly acceptedAtMs: number;
  /** Start of its wait, by `AgeClock`. Final once the record is pending; recovery finds it when it has read all lines. */
  sinceMs: number;
  /** Whether its age has started anew: it does so once. */
  isRenewed = false;
  /** Final once the record is pending; recovery finds it when it reads a further line. */
  mayBeSecond: boolean;
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
  /** Position of its line in the file of events of that segment, in bytes. */
  offset = 0;
  /** Size of that line without the newline. 0 while the line is not on disk. */
  lineBytes = 0;

  constructor(seq: number, target: string | undefined, { upMs, atMs }: Pick<Stamp, 'upMs' | 'atMs'>, mayBeSecond = false) {
    this.seq = seq;
    this.text = target;
    this.acceptedAtMs = atMs;
    this.sinceMs = upMs;
    this.mayBeSecond = mayBeSecond;
    this.isBegun = mayBeSecond;
  }

  /** @throws Error while the text is on disk alone: a store gives out no such record. */
  get target(): string {
    if (this.text === undefined) throw new Error('The text of the event is on disk.');
    return this.text;
  }

  /** Its line is not on disk any more. */
  displace(): void {
    this.segment = undefined;
    this.lineBytes = 0;
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
export const LINE_OVERHEAD_BYTES = 141;

/** Size of the shortest possible line, of 0.1.0. */
export const MIN_LINE_BYTES = 40;

/** Encodes the target of a record, once. */
export function recordLine(record: EventRecord): RecordLine {
  const json = JSON.stringify(record.target);
  const length = Buffer.byteLength(json);
  // One 64th more for the first chunk of marks: the line may begin a segment.
  return { record, json, bytes: length + Math.ceil(length / 64) + LINE_OVERHEAD_BYTES };
}

/**
 * A line. 0.1.0 reads it, too: it ignores `up`, `boot` and `renewed`.
 *
 * @param boot the current one
 * @param seqOffset difference between the number on disk and the number in memory
 */
export function encodeLine({ record, json }: RecordLine, boot: string, seqOffset: number): string {
  const { seq, slot, acceptedAtMs, sinceMs, isRenewed } = record;
  const renewed = isRenewed ? ',"renewed":1' : '';
  return `{"seq":${seq + seqOffset},"mark":${slot},"at":${acceptedAtMs},"up":${sinceMs},"boot":"${boot}"${renewed},"target":${json}}\n`;
}

/** The fields of a line. */
interface ParsedLine {
  readonly seq: number;
  readonly mark: number;
  readonly target: string;
  readonly stamp: Stamp;
  readonly isRenewed: boolean;
}

const MAX_SEQ = 2 ** 52;
const MAX_TIME_MS = 8.64e15;

/** @returns The fields of a line; undefined if it is not a line of the spool. Unknown fields are ignored. */
function parseLine(text: string): ParsedLine | undefined {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return undefined;
  }
  if (typeof value !== 'object' || value === null) return undefined;
  const { seq, mark, at, target, renewed } = value as Record<string, unknown>;
  if (!isCount(seq, MAX_SEQ) || !isCount(mark, MAX_SEQ) || !isCount(at, MAX_TIME_MS)) return undefined;
  if (typeof target !== 'string' || target === '') return undefined;
  return { seq, mark, target, stamp: parseStamp(value) ?? { boot: NO_BOOT, upMs: at, atMs: at }, isRenewed: renewed === 1 };
}

/** @returns The fields of a line as bytes, without the newline. */
export function parseLineBytes(bytes: Buffer): ParsedLine | undefined {
  return isUtf8(bytes) ? parseLine(bytes.toString('utf8')) : undefined;
}

/** @returns The stamp in the fields `boot`, `up` and `at`; undefined if they are missing or wrong. */
export function parseStamp(fields: object): Stamp | undefined {
  const { boot, up, at } = fields as Record<string, unknown>;
  return isBoot(boot) && isTime(up) && isCount(at, MAX_TIME_MS) ? { boot, upMs: up, atMs: at } : undefined;
}

/** Whether a value can be the id of a boot. */
export function isBoot(value: unknown): value is string {
  return typeof value === 'string' && /^[0-9a-f]{8}$/.test(value);
}

/** Whether a value can be a time in the current boot, or a difference between two times: also negative. */
export function isTime(value: unknown): value is number {
  return Number.isInteger(value) && Math.abs(value as number) <= MAX_TIME_MS;
}

function isCount(value: unknown, max: number): value is number {
  return Number.isInteger(value) && (value as number) >= 0 && (value as number) <= max;
}
