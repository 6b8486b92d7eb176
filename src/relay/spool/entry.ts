import type { StoredEvent } from '../store.js';
import type { Segment } from './segment.js';

/** One event in memory, and where its line is. */
export class Entry implements StoredEvent {
  /** Settled for good once it is among those that wait. */
  seq: number;
  readonly target: string;
  acceptedAtMs: number;
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

  constructor(seq: number, target: string, acceptedAtMs: number, mayBeSecond = false) {
    this.seq = seq;
    this.target = target;
    this.acceptedAtMs = acceptedAtMs;
    this.mayBeSecond = mayBeSecond;
    this.isBegun = mayBeSecond;
  }
}
