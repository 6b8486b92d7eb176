// What a relay needs of the store of its pending events. It is declared below the relay for the contract suite in `testing`.

/**
 * One accepted event in a store.
 *
 * @example
 * const stored: StoredEvent = { seq: 1, target: '/v3/dag_run?status=success', acceptedAtMs: Date.now(), mayBeSecond: false };
 */
export interface StoredEvent {
  /** Its number. It grows by one with each event; events leave in this order. */
  readonly seq: number;
  /**
   * Path and query below the endpoint, byte for byte as they are sent.
   *
   * @example '/v3/dag_run?status=success&task_count=3'
   */
  readonly target: string;
  /** When it was accepted, in milliseconds since 1970: it can outlive this process. */
  readonly acceptedAtMs: number;
  /** Whether an earlier process began to send it and ended before it recorded the outcome: it may arrive twice. */
  readonly mayBeSecond: boolean;
}

/**
 * Where an event was stored: on disk, in memory alone, or not at all because the store is full.
 *
 * @example
 * const stored: Stored = 'disk';
 */
export type Stored = 'disk' | 'memory' | 'full';

/**
 * A snapshot of a store.
 *
 * @example
 * const isAtRisk = ({ waiting, isDurable }: RelayStoreStats) => waiting > 0 && !isDurable;
 */
export interface RelayStoreStats {
  /** Events that wait. Events that are taken do not count. */
  readonly waiting: number;
  /** Bytes on disk; 0 without a directory. */
  readonly bytes: number;
  /** Whether the next event goes to disk. */
  readonly isDurable: boolean;
  /** Events that an earlier process left. */
  readonly recovered: number;
  /** Recovered events that an earlier process had begun to send. */
  readonly maybeSentTwice: number;
  /** Lines that could not be read, such as the last line of a process that was killed. */
  readonly tornLines: number;
  /** Age of the oldest event that waits or is taken, in milliseconds. @default the store does not know it, or has no event */
  readonly oldestAgeMs?: number | undefined;
  /** The most `bytes`: beyond them the store is full. @default the store has no such limit, or does not know it */
  readonly maxBytes?: number | undefined;
}

/**
 * The pending events of a relay. It never evicts: an event that it acknowledged stays until it is settled, expires by its age, is
 * cleared by an opt-out, or is deleted from its disk by somebody else. It never throws; `relayStoreContract` has its rules as tests.
 *
 * @example
 * const idle = (store: RelayStore) => store.length === 0 && store.take(1).length === 0;
 */
export interface RelayStore {
  /** Events that wait. Events that are taken do not count. */
  readonly length: number;
  /** How many of them `take` can give now. The text of the others is on disk, and is being read. */
  readonly ready: number;
  /** The number of the next event. */
  readonly nextSeq: number;
  /** The number of the oldest event that waits; `nextSeq` if none waits. */
  readonly oldestSeq: number;
  /** Stores one event. Resolves once the event is as safe as the answer says; never rejects. */
  append(target: string): Promise<Stored>;
  /** Takes the oldest events that are ready, at most `limit`. On disk they are marked as begun. Never throws. */
  take(limit: number): StoredEvent[];
  /** Returns events that were taken: they wait again, in their old order. Never throws. */
  putBack(events: readonly StoredEvent[]): void;
  /** Deletes events that were taken: their fate is known. Never throws. */
  settle(events: readonly StoredEvent[]): void;
  /** Deletes events that have waited for longer than the allowed age. Never throws. @returns How many. */
  expire(): number;
  /** Deletes all events, on disk too. Never throws. @returns How many waited. */
  clear(): number;
  /**
   * Writes what is not on disk yet and releases the directory. Never rejects.
   *
   * @param withinMs time limit for a disk that does not respond, in milliseconds. @default no limit
   * @returns How many events are lost with the process: those in memory alone, and those not known to be on disk.
   */
  close(withinMs?: number): Promise<number>;
  /** A snapshot. Never throws. */
  stats(): RelayStoreStats;
}
