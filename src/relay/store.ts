/** What keeps the relay's pending events: on disk (`spool/`) or in memory. */

/** One accepted event. */
export interface StoredEvent {
  /** Grows by one with each event: events are sent in this order. */
  readonly seq: number;
  /** Path and query below the endpoint, byte for byte as they are sent: `/v3/dag_run?...`. */
  readonly target: string;
  /** When it was accepted, in milliseconds since 1970: it may outlive this process. */
  readonly acceptedAtMs: number;
  /** An earlier process began to send it and ended before it recorded the outcome: it may arrive twice. */
  readonly mayBeSecond: boolean;
}

/** Where an event was stored: on disk, in memory only, or nowhere because the store is full. */
export type Stored = 'disk' | 'memory' | 'full';

/** What a store holds and has seen. */
export interface RelayStoreStats {
  /** Events in the store, without those in flight. */
  readonly waiting: number;
  /** Bytes on disk; 0 without a directory. */
  readonly bytes: number;
  /** Whether the next event goes to disk. */
  readonly isDurable: boolean;
  /** Events of an earlier process. */
  readonly recovered: number;
  /** Recovered events that the earlier process had begun to send. */
  readonly maybeSentTwice: number;
  /** Lines that could not be read, such as the torn last line of a killed process. */
  readonly tornLines: number;
}

/**
 * The relay's pending events. Unlike the buffer of the library it never evicts: an acknowledged event stays until it is settled, expires,
 * or is cleared by an opt-out.
 */
export interface RelayStore {
  /** The number of events in the store, without those in flight. */
  readonly length: number;
  /** The `seq` of the next event. */
  readonly nextSeq: number;
  /** The `seq` of the oldest event in the store; `nextSeq` if it is empty. */
  readonly oldestSeq: number;
  /** Stores an event. Fulfils once it is as safe as the result says; never rejects. */
  append(target: string): Promise<Stored>;
  /** Takes out the oldest events, at most `limit`. On disk they are marked as begun. */
  take(limit: number): StoredEvent[];
  /** Puts events back at the head, in their old order. */
  putBack(events: readonly StoredEvent[]): void;
  /** Deletes events whose outcome is known. */
  settle(events: readonly StoredEvent[]): void;
  /** Deletes events that are older than the allowed age. @returns Their number. */
  expire(): number;
  /** Deletes all events, on disk too. @returns The number of events that were in the store. */
  clear(): number;
  /**
   * Writes all pending events to disk and releases the directory. Never rejects.
   *
   * @param withinMs How long to wait for the disk, in milliseconds. Events that are not known to be on disk by then are lost. Without it
   * there is no limit.
   * @returns The number of events that are lost with this process.
   */
  close(withinMs?: number): Promise<number>;
  stats(): RelayStoreStats;
}
