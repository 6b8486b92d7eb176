/** Every answer of the relay: its status, its reason, and its headers. */
import type { ServerResponse } from 'node:http';
import type { Stored } from '../../delivery/relay-store.js';
import { RETRY_WHEN_FULL_MS } from '../options.js';

/** Every answer by name: its status, and its reason, which is the body. A refused client learns its reason and nothing else. */
const ANSWERS = {
  stored_on_disk: [204, 'event on disk'],
  stored_in_memory: [200, 'accepted in memory only'],
  /** The queue does not say that its disk has the event: see `Stored`. */
  stored_in_queue: [200, 'accepted by the queue, which may not have it on disk yet'],
  opted_out: [202, 'telemetry is opted out of here: the event is discarded'],
  alive: [200, 'alive'],
  ready: [200, 'ready'],
  /** The directory of `--spool` cannot be used now: see the log. */
  ready_in_memory: [200, 'ready, but the spool cannot be used: events are in memory only'],
  /** See `SharedQueueStats`. */
  ready_without_queue: [200, 'ready, but the queue cannot be reached: events are in memory only'],
  ready_in_queue: [200, 'ready: the queue confirms an event before it is on disk, so the answer is 200 and not 204'],
  /** Events are accepted and kept: see `GateState`. */
  ready_undecided: [200, 'ready, but nothing is sent: a file that may opt out cannot be read'],
  /** See `hasFreeDescriptor`. */
  ready_without_descriptors: [200, 'ready, but nothing can be sent: no file descriptor is free'],
  /** The endpoint refused three different events in a row: see `Refusals`. */
  ready_paused: [200, 'ready, but the endpoint refuses events: they are kept, and one at a time is tried'],
  /** The circuit breaker is open: see `circuitBreaker`. */
  ready_offline: [200, 'ready, but the endpoint cannot be reached: events are kept'],
  malformed: [400, 'not the shape of a usage event'],
  foreign_host: [403, 'the Host header is not a name of this relay'],
  from_browser: [403, 'requests from a browser are refused'],
  absolute_form: [403, 'this server is not a proxy'],
  unknown_path: [404, 'unknown path'],
  unknown_event: [404, 'unknown event type'],
  not_get: [405, 'GET only'],
  not_post: [405, 'POST only'],
  timed_out: [408, 'the request took too long'],
  has_body: [413, 'a usage event has no body'],
  /** See `MAX_BATCH_BYTES`. */
  batch_too_large: [413, 'a batch has at most 1 MiB, also after it was inflated'],
  too_long: [414, 'the target is longer than 8 KiB'],
  not_ndjson: [415, 'a batch is application/x-ndjson, as it is or with gzip'],
  rate_limited: [429, 'too many events per second'],
  headers_too_large: [431, 'the headers are too large'],
  no_metrics: [501, 'metrics need the package prom-client beside this one'],
  /** `maxSpoolBytes` is used up: see `RelayCore.accept`. */
  spool_full: [503, 'the spool is full'],
  /** See `MAX_BODIES_BYTES`. */
  busy: [503, 'too many batches at a time'],
  /** `close()` was called, and the relay drains: see `RelayCore.stopAccepting`. */
  closing: [503, 'closing'],
  /** The store is not open, or could not be opened: see `RelayCore.open`. */
  spool_unavailable: [503, 'the spool cannot be used'],
} as const satisfies Record<string, readonly [status: number, reason: string]>;

/** The name of an answer. */
export type AnswerName = keyof typeof ANSWERS;

/** The answer to an event, by where it was stored. */
export const ANSWER_TO_STORED = {
  disk: 'stored_on_disk',
  queue: 'stored_in_queue',
  memory: 'stored_in_memory',
  full: 'spool_full',
} as const satisfies Record<Stored, AnswerName>;

/** These answers close the connection: the bytes that follow may be the rest of a refused request, or come too late. */
const CLOSES_CONNECTION: ReadonlySet<AnswerName> = new Set([
  'has_body',
  'closing',
  'not_get',
  'not_post',
  'absolute_form',
  'malformed',
  'too_long',
  'batch_too_large',
  'not_ndjson',
  'busy',
]);

const EXTRA_HEADERS: Partial<Record<AnswerName, readonly string[]>> = {
  not_get: ['allow', 'GET'],
  not_post: ['allow', 'POST'],
  busy: ['retry-after', '1'],
  rate_limited: ['retry-after', '1'],
  spool_full: ['retry-after', String(RETRY_WHEN_FULL_MS / 1000)],
};

interface PreparedAnswer {
  readonly status: number;
  /** Names and values in turn. */
  readonly headers: readonly string[];
  readonly body: string;
}

function prepare(name: AnswerName): PreparedAnswer {
  const { 0: status, 1: reason } = ANSWERS[name];
  const body = status === 204 ? '' : `${reason}\n`;
  const ofBody =
    body === ''
      ? []
      : ['content-type', 'text/plain; charset=utf-8', 'content-length', String(body.length), 'x-content-type-options', 'nosniff'];
  const ofConnection = CLOSES_CONNECTION.has(name) ? ['connection', 'close'] : [];
  return { status, headers: [...ofBody, ...(EXTRA_HEADERS[name] ?? []), ...ofConnection], body };
}

const PREPARED = new Map((Object.keys(ANSWERS) as AnswerName[]).map((name) => [name, prepare(name)]));

/** Why one event of a batch is refused. An event without an id that can be read has the number of its line, from 1. */
export interface EventError {
  readonly id?: string;
  readonly line?: number;
  /** The status that the event would have by itself: 429 and 503 may be repeated. */
  readonly status: number;
  readonly reason: string;
}

/** Sends answers, and counts them by status. Connections that were closed without an answer are counted, too. */
export class Answers {
  readonly #counts = new Map<number, number>();
  #refusedConnections = 0;

  /** Connections that the relay did not take: there were `maxConnections` of them, or the system could not give one. */
  get refusedConnections(): number {
    return this.#refusedConnections;
  }

  /** Counts a connection that is closed without an answer. */
  refuseConnection(): void {
    this.#refusedConnections += 1;
  }

  /** Answers a request. It is no error if the client is gone. */
  send(response: ServerResponse, name: AnswerName): void {
    const { status, headers, body } = PREPARED.get(name) ?? prepare(name);
    this.count(status);
    response.writeHead(status, headers as string[]).end(body);
  }

  /** Answers a batch some or all of whose events are refused. */
  sendErrors(response: ServerResponse, status: 207 | 400, errors: readonly EventError[]): void {
    this.count(status);
    const body = `${JSON.stringify({ errors })}\n`;
    const headers = [
      'content-type',
      'application/json',
      'content-length',
      String(Buffer.byteLength(body)),
      'x-content-type-options',
      'nosniff',
    ];
    response.writeHead(status, headers).end(body);
  }

  /** Answers with a document that is true at this moment only. */
  sendJson(response: ServerResponse, document: object): void {
    this.count(200);
    const body = `${JSON.stringify(document)}\n`;
    const headers = [
      'content-type',
      'application/json',
      'content-length',
      String(Buffer.byteLength(body)),
      'cache-control',
      'no-store',
      'x-content-type-options',
      'nosniff',
    ];
    response.writeHead(200, headers).end(body);
  }

  /** Counts an answer, and returns it as bytes for a connection without a request that could be parsed. They close the connection. */
  raw(name: AnswerName): string {
    const { status, headers, body } = PREPARED.get(name) ?? prepare(name);
    this.count(status);
    const lines = [`HTTP/1.1 ${status} ${ANSWERS[name][1]}`];
    for (let index = 0; index < headers.length; index += 2) {
      if (headers[index] !== 'connection') lines.push(`${headers[index]}: ${headers[index + 1]}`);
    }
    return `${lines.join('\r\n')}\r\nconnection: close\r\n\r\n${body}`;
  }

  /** Counts an answer that was sent by other code. */
  count(status: number): void {
    this.#counts.set(status, (this.#counts.get(status) ?? 0) + 1);
  }

  /** The number of answers by status, in ascending order of status. */
  counts(): Record<string, number> {
    return Object.fromEntries([...this.#counts].sort((left, right) => left[0] - right[0]));
  }
}
