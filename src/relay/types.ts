/** The public types of a relay. */
import type { TelemetryStats } from '../base/ledger.js';
import type { AwaitUsing, HttpRequest, HttpResponse } from '../base/platform-types.js';
import type { RelayStoreStats } from '../delivery/relay-store.js';

/**
 * A receiver of Cosmos' usage events: it answers at once, and delivers later.
 *
 * @example
 * const relay: Relay = createRelay({ listen: '127.0.0.1:0', forward: 'https://telemetry.acme.example' });
 * const { url } = await relay.listen();
 * console.log(new URL(url).hostname, relay.stats().isAccepting); // 127.0.0.1 true
 * await relay.close();
 */
export interface Relay extends AwaitUsing {
  /**
   * Opens the spool and listens.
   *
   * @throws (rejects) `SpoolError` for a spool that cannot be used or must not be (a failing disk is no error: events are kept in memory
   * until it works), TypeError if the endpoint is the relay itself, and the errors of node:net for an address it cannot listen at.
   */
  listen(): Promise<RelayAddress>;
  /**
   * Refuses new events, delivers pending ones until the deadline, and leaves the rest in the spool. What is not on disk by then is dropped
   * with reason `deadline`. Never rejects. A second call returns the report of the first.
   *
   * @param options.deadlineMs In milliseconds, by default 5000.
   */
  close(options?: { deadlineMs?: number | undefined }): Promise<RelayReport>;
  /**
   * For a server of your own of node:http, in place of `listen()`. The first request opens the spool.
   *
   * @example createServer(relay.handler).listen(8787)
   */
  readonly handler: (request: HttpRequest, response: HttpResponse) => void;
  /** A snapshot. Never throws. */
  stats(): RelayStats;
}

/**
 * The outcome of every event, and what the relay has seen: `published = sent + failed + dropped + pending` at every instant.
 *
 * @example
 * const relay = createRelay({ forward: 'https://telemetry.acme.example' });
 * const { accepted, store }: RelayStats = relay.stats();
 * console.log(accepted, store.waiting); // 0 0
 */
export interface RelayStats extends TelemetryStats {
  /** Events that this process has accepted. `published` includes recovered ones. */
  readonly accepted: number;
  /** Failed events by reason. */
  readonly failedBy: Readonly<Record<string, number>>;
  /** Events that came again with the id of one that was accepted. They were answered as accepted, and are not sent again. */
  readonly duplicates: number;
  /** Events of batches that were refused, by reason. `published` does not include them. */
  readonly refusedBy: Readonly<Record<string, number>>;
  /** Attempts that failed, by cause, whatever became of their events. See `Cause`. */
  readonly attemptsFailedBy: Readonly<Record<string, number>>;
  /** Dropped events by reason. */
  readonly droppedBy: Readonly<Record<string, number>>;
  /** Answers by status, to all requests. */
  readonly answers: Readonly<Record<string, number>>;
  /** Connections that were closed without an answer: `maxConnections` were open, or the system could not give one. */
  readonly refusedConnections: number;
  /** Whether new events are accepted: false while the relay closes, and while its store is full or not open. */
  readonly isAccepting: boolean;
  /** Whether sending pauses because the endpoint refused three different events in a row. They are kept, and one at a time is tried. */
  readonly isPaused: boolean;
  /** Whether the circuit breaker is open: the endpoint cannot be reached. */
  readonly isOffline: boolean;
  /**
   * The circuit breaker: `closed` while the endpoint can be reached, `half_open` after a failed attempt, while one at a time tests the
   * network, `open` while the endpoint cannot be reached.
   */
  readonly breaker: 'closed' | 'half_open' | 'open';
  /**
   * Why events are not delivered: `opted_out`, `undecided`, or why the last attempt failed (a `Cause`, `http_503`, `timeout`, `not_http`…).
   * Undefined if the last attempt was a success, and before the first one.
   */
  readonly notDelivering: string | undefined;
  /** When the endpoint confirmed an event last, in milliseconds since 1970; undefined if it has not confirmed one to this process. */
  readonly lastSentAtMs: number | undefined;
  /** Whether telemetry is opted out: every event is discarded. */
  readonly isOptedOut: boolean;
  /** The store of pending events. */
  readonly store: RelayStoreStats;
}

/**
 * The report of `close()`. `pending` events are on disk for the next process; those in memory only are dropped with reason `deadline`.
 *
 * @example
 * const relay = createRelay({ listen: '127.0.0.1:0', forward: 'https://telemetry.acme.example' });
 * await relay.listen();
 * const report: RelayReport = await relay.close({ deadlineMs: 100 });
 * console.log(report.timedOut, report.pending); // false 0
 */
export interface RelayReport extends RelayStats {
  /** Whether events were left: the deadline passed, or the endpoint is unavailable for longer than that. */
  readonly timedOut: boolean;
  /** How long the close took, in milliseconds. */
  readonly durationMs: number;
}

/**
 * Where a relay listens.
 *
 * @example
 * const relay = createRelay({ listen: '127.0.0.1:0', forward: 'https://telemetry.acme.example' });
 * const { url, host, port }: RelayAddress = await relay.listen();
 * console.log(url === `http://${host}:${port}`); // true
 * await relay.close();
 */
export interface RelayAddress {
  /** Without the secret prefix: `http://127.0.0.1:8787`. */
  readonly url: string;
  /** The address without brackets. */
  readonly host: string;
  /** The port; a free one was taken for port 0. */
  readonly port: number;
  /** Where metrics and health are, if `metricsListen` gives them a separate address. */
  readonly metricsUrl?: string;
}
