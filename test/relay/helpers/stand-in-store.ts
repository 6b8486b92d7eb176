import type { RelayStore, RelayStoreStats, Stored, StoredEvent } from '../../../src/delivery/relay-store.js';

/** A store in memory that a test can inspect, and that answers as the test says. */
export class StandInStore implements RelayStore {
  nextSeq = 0;
  waiting: StoredEvent[] = [];
  readonly settled: StoredEvent[] = [];
  /** What `append` returns. */
  answer: Stored = 'disk';
  /** How many events the next `expire` deletes. */
  tooOld = 0;
  isClosed = false;
  /** Whether the text of its events is in memory. */
  isRead = true;
  /** What `close` returns. */
  endsWithProcess = 0;
  recovered = 0;
  /** Ends the wait of `append`, if it waits. */
  release = (): void => undefined;
  readonly #onStored: (events: number) => void;
  #held: Promise<void> | undefined;

  constructor(onStored: (events: number) => void, leftBehind: readonly string[] = []) {
    this.#onStored = onStored;
    for (const target of leftBehind) this.#push(target, true);
    this.recovered = leftBehind.length;
  }

  get length(): number {
    return this.waiting.length;
  }

  get ready(): number {
    return this.isRead ? this.waiting.length : 0;
  }

  get oldestSeq(): number {
    return this.waiting[0]?.seq ?? this.nextSeq;
  }

  /** From now on `append` waits for `release()`. */
  hold(): void {
    this.#held = new Promise((resolve) => {
      this.release = resolve;
    });
  }

  async append(target: string): Promise<Stored> {
    await this.#held;
    if (this.answer !== 'full') {
      this.#push(target, false);
      this.#onStored(1);
    }
    return this.answer;
  }

  take(limit: number): StoredEvent[] {
    return this.waiting.splice(0, Math.min(limit, this.ready));
  }

  putBack(events: readonly StoredEvent[]): void {
    this.waiting = [...events, ...this.waiting].sort((left, right) => left.seq - right.seq);
  }

  settle(events: readonly StoredEvent[]): void {
    this.settled.push(...events);
  }

  expire(): number {
    const expired = this.waiting.splice(0, this.tooOld).length;
    this.tooOld = 0;
    return expired;
  }

  clear(): number {
    return this.waiting.splice(0).length;
  }

  close(): Promise<number> {
    this.isClosed = true;
    return Promise.resolve(this.endsWithProcess);
  }

  stats(): RelayStoreStats {
    const { length: waiting, recovered } = this;
    return { waiting, bytes: 0, isDurable: this.answer === 'disk', recovered, maybeSentTwice: 0, tornLines: 0 };
  }

  #push(target: string, mayBeSecond: boolean): void {
    this.waiting.push({ seq: this.nextSeq, target, acceptedAtMs: 0, mayBeSecond });
    this.nextSeq += 1;
  }
}
