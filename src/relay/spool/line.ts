import type { Entry } from './entry.js';

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
