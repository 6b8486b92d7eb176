import type { Clock } from '../../timing.js';
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
