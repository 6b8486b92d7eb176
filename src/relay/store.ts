/** One accepted event while the relay has it. */
export interface StoredEvent {
  /** Grows by one with each event: the order in which events start. */
  readonly seq: number;
  /** Path and query below the endpoint, byte for byte as they will leave: `/v3/dag_run?...`. */
  readonly target: string;
  /** When it was accepted: milliseconds since 1970, since it may outlive this process. */
  readonly acceptedAtMs: number;
  /** An earlier process had begun to send it and did not live to write down what became of it: it may arrive twice. */
  readonly mayBeSecond: boolean;
}

/** Where an event went: on disk, into memory alone, or nowhere because all room is taken. */
export type Stored = 'disk' | 'memory' | 'full';

/** What a store holds and has seen. */
export interface RelayStoreStats {
  /** Events that wait, without those that were taken. */
  readonly waiting: number;
  /** Bytes on disk, 0 without a directory. */
  readonly bytes: number;
  /** Whether the next event goes to disk. */
  readonly isDurable: boolean;
  /** Events that an earlier process left behind. */
  readonly recovered: number;
  /** Those of them that an earlier process had begun to send. */
  readonly maybeSentTwice: number;
  /** Lines that could not be read, such as the torn last one of a process that was killed. */
  readonly tornLines: number;
}

/**
 * The relay's pending events: unlike the library's ring it never evicts. What it has acknowledged stays until it is settled,
 * expired by age or cleared by an opt-out.
 */
export interface RelayStore {
  /** Events that wait, without those that were taken. */
  readonly length: number;
  /** The number that the next event will get. */
  readonly nextSeq: number;
  /** The number of the oldest event that waits; `nextSeq` where none does. */
  readonly oldestSeq: number;
  /** Keeps one event. Fulfils once it is as safe as the answer says; never rejects. */
  append(target: string): Promise<Stored>;
  /** Takes out the oldest events, at most `limit`; on disk they count as begun. */
  take(limit: number): StoredEvent[];
  /** Brings events back to the head, in their old order. */
  putBack(events: readonly StoredEvent[]): void;
  /** Forgets events for good: their fate is known. */
  settle(events: readonly StoredEvent[]): void;
  /** Forgets what has waited for longer than the allowed age. @returns How many events. */
  expire(): number;
  /** Empties it, on disk too. @returns How many events waited. */
  clear(): number;
  /**
   * Writes down what is not written yet and frees the directory. Never rejects.
   *
   * @param withinMs how long a disk that does not answer is waited for, in milliseconds; without it, until it answers. What is not known
   * to be on disk by then ends with the process.
   * @returns How many events end with the process.
   */
  close(withinMs?: number): Promise<number>;
  stats(): RelayStoreStats;
}
