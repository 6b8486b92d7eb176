import type { IncomingMessage, ServerResponse } from 'node:http';
import type { TelemetryStats } from '../base/ledger.js';
import type { RelayStoreStats } from '../delivery/relay-store.js';

/** What became of every event, and what the relay has seen: `published = sent + failed + dropped + pending` at every instant. */
export interface RelayStats extends TelemetryStats {
  /** Events that this process has taken over; `published` counts recovered ones, too. */
  readonly accepted: number;
  /** Failed events by reason. */
  readonly failedBy: Readonly<Record<string, number>>;
  /** Dropped events by reason. */
  readonly droppedBy: Readonly<Record<string, number>>;
  /** Answers by status, of events and of everything else. */
  readonly answers: Readonly<Record<string, number>>;
  /** Whether events are accepted now: not while it closes, and not while its store is full. */
  readonly isAccepting: boolean;
  /** What keeps the events. */
  readonly store: RelayStoreStats;
}

/** How a relay ended. `pending` is what it left on disk for the next one; what was in memory alone counts as dropped for `deadline`. */
export interface RelayReport extends RelayStats {
  /** Whether the deadline, or an endpoint that was away for longer, came before everything was delivered. */
  readonly timedOut: boolean;
  readonly durationMs: number;
}

/** Where a relay listens. */
export interface RelayAddress {
  /** As in `http://127.0.0.1:8787`, without the secret prefix. */
  readonly url: string;
  readonly host: string;
  readonly port: number;
  /** Where metrics and health are, if they have an address of their own. */
  readonly metricsUrl?: string;
}

/** A receiver of Cosmos' usage events that answers at once and delivers later. */
export interface Relay extends AsyncDisposable {
  /**
   * Opens the spool and listens.
   *
   * @throws (rejects) `SpoolError` for a spool that must not be used, or cannot be for good (a disk that fails is tried again), a TypeError for an endpoint that is the relay itself, and whatever
   * node:net says of an address that cannot be listened at.
   */
  listen(): Promise<RelayAddress>;
  /**
   * Accepts nothing any more, delivers what the deadline allows, and leaves the rest in the spool; without one, or where the disk does not
   * take it, it counts as dropped for `deadline`. Never rejects. A second call gets the report of the first.
   *
   * @param options.deadlineMs milliseconds. @default 5000
   */
  close(options?: { deadlineMs?: number | undefined }): Promise<RelayReport>;
  /** To be mounted in a server of your own instead of `listen()`. The spool is opened at the first request. */
  readonly handler: (request: IncomingMessage, response: ServerResponse) => void;
  /** A snapshot. */
  stats(): RelayStats;
}
