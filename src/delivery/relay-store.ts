// What a relay needs of the store of its pending events. It is declared below the relay for the contract suite in `testing`.
import type { Clock } from '../base/clock.js';

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
  /**
   * The UUID of an event whose target tells none, in lower case: the same whichever process gets the event, and however often.
   * @default one that follows from the other members
   */
  readonly id?: string | undefined;
}

/**
 * Where an event was stored. The relay answers its client by it.
 *
 * - `disk`: it outlives the process and a power loss (204).
 * - `queue`: a queue that several relays share has it. It outlives this process, and maybe not a power loss of the queue's server (200).
 * - `memory`: it is in the memory of this process alone (200).
 * - `full`: it was not stored, since there is no room (503).
 *
 * @example
 * const stored: Stored = 'disk';
 */
export type Stored = 'disk' | 'queue' | 'memory' | 'full';

/**
 * What `createRelay` hands to a function of `store`.
 *
 * @example
 * const isOld = ({ clock, maxAgeMs }: RelayStoreOptions, event: StoredEvent) => clock.wallNow() - event.acceptedAtMs > maxAgeMs;
 */
export interface RelayStoreOptions {
  /** Room for events, in bytes: `maxSpoolBytes` of the relay. */
  readonly maxBytes: number;
  /** How long an event may wait before `expire()` deletes it, in milliseconds. */
  readonly maxAgeMs: number;
  /** The time by which events age, and the timers. */
  readonly clock: Clock;
  /** Where the store logs: a code of letters, digits and `_`, and a text that holds nothing of an event. */
  readonly log: { debug(code: string, text: string): void; warn(code: string, text: string): void };
  /**
   * Checks the target of an event that this process did not accept itself, such as one that an earlier process left. Never throws.
   *
   * @returns The part of the target that may be sent; undefined for none.
   */
  readonly admit: (target: string) => string | undefined;
  /** To be called with the number of new events in the step in which `length` grows by it. Recovered events do not count. */
  readonly onStored: (events: number) => void;
  /** To be called when events that waited elsewhere than in memory can be taken. */
  readonly onReady: () => void;
  /** To be called with the number of events that are lost because they cannot be read, in the step in which `length` shrinks. */
  readonly onUnreadable: (events: number) => void;
}

/**
 * A store that is a queue which several relays share.
 *
 * @example
 * const behind = ({ queue }: RelayStoreStats) => queue?.held ?? 0;
 */
export interface SharedQueueStats {
  /** Whether the queue takes events now. */
  readonly isReachable: boolean;
  /** Events that this relay has accepted and the queue has not confirmed yet. They are in the memory of this process alone. */
  readonly held: number;
  /** Events that were accepted into `held`, and whose id the queue had already when it was asked to take them. @default 0 */
  readonly duplicates?: number | undefined;
  /** The most events that this process fetches before it has sent some. @default not known */
  readonly maxFetched?: number | undefined;
}

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
  /**
   * Given by a store that is a queue which several relays share. Its `waiting` are the events that this process has fetched, whichever
   * relay accepted them; `recovered` is 0, and an event that another process may have sent counts in `maybeSentTwice`.
   * @default the store belongs to this process alone
   */
  readonly queue?: SharedQueueStats | undefined;
}

/**
 * The pending events of a relay. It never evicts: an event that it acknowledged stays until it is settled, expires by its age, is
 * cleared by an opt-out, or is deleted from its disk by somebody else. It never throws; `relayStoreContract` has its rules as tests.
 *
 * A queue that several relays share is a store, too: `append` gives an event to the queue, and `length` grows (`onStored`) when this
 * process fetches an event from it. So an event that `append` stored may come later, or come to another relay. What `clear` deletes is
 * what this process holds, and `close` returns it to the queue. See `RelayStoreStats.queue`.
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
  /**
   * Stores one event. Resolves once the event is as safe as the answer says; never rejects.
   *
   * @param id The UUID of the event, if it came with one. A queue that relays share may drop an event whose id it has; others need not.
   * @returns Where it is; `duplicate` if the queue had an event with this id: nothing was stored.
   */
  append(target: string, id?: string): Promise<Stored | 'duplicate'>;
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
