import type { ServerResponse } from 'node:http';

/** Every answer there is: its status, and its reason in one line. Who is turned away learns why, and nothing else. */
export const ANSWERS = {
  stored: [204, 'event on disk'],
  kept: [200, 'accepted in memory only'],
  opted_out: [202, 'telemetry is opted out of here: the event is discarded'],
  alive: [200, 'alive'],
  ready: [200, 'ready'],
  malformed: [400, 'not the shape of a usage event'],
  foreign_host: [403, 'the Host header names somebody else'],
  from_browser: [403, 'browsers have no business here'],
  absolute_form: [403, 'this is no proxy'],
  no_upgrade: [403, 'there is no other protocol here'],
  unknown_path: [404, 'unknown path'],
  unknown_event: [404, 'unknown event type'],
  not_get: [405, 'GET only'],
  timed_out: [408, 'the request took too long'],
  has_body: [413, 'a usage event has no body'],
  too_long: [414, 'the target is longer than 8 KiB'],
  too_many: [429, 'more events a second than are taken'],
  headers_too_large: [431, 'the headers are too large'],
  no_metrics: [501, 'metrics need the package prom-client beside this one'],
  full: [503, 'the spool is full'],
  closing: [503, 'closing'],
  unavailable: [503, 'the spool cannot be used'],
} as const satisfies Record<string, readonly [status: number, reason: string]>;

/** The name of an answer. */
export type AnswerName = keyof typeof ANSWERS;

/** After these nothing more is read from the connection: what comes next may be the rest of a refused request, or too late. */
const LAST: ReadonlySet<AnswerName> = new Set(['has_body', 'closing', 'not_get', 'absolute_form', 'no_upgrade', 'malformed', 'too_long']);

const EXTRA: Partial<Record<AnswerName, readonly string[]>> = {
  not_get: ['allow', 'GET'],
  too_many: ['retry-after', '1'],
  full: ['retry-after', '10'],
};

interface Prepared {
  readonly status: number;
  readonly headers: readonly string[];
  readonly body: string;
}

function prepare(name: AnswerName): Prepared {
  const [status, reason] = ANSWERS[name];
  const body = status === 204 ? '' : `${reason}\n`;
  const about =
    body === ''
      ? []
      : ['content-type', 'text/plain; charset=utf-8', 'content-length', String(body.length), 'x-content-type-options', 'nosniff'];
  return { status, headers: [...about, ...(EXTRA[name] ?? []), ...(LAST.has(name) ? ['connection', 'close'] : [])], body };
}

const PREPARED = new Map((Object.keys(ANSWERS) as AnswerName[]).map((name) => [name, prepare(name)]));

/** Gives answers, and counts them. */
export class Answers {
  readonly #counts = new Map<number, number>();

  /** Answers a request. A client that has gone meanwhile is no error. */
  give(response: ServerResponse, name: AnswerName): void {
    const { status, headers, body } = PREPARED.get(name) ?? prepare(name);
    this.count(status);
    response.writeHead(status, headers as string[]).end(body);
  }

  /** The same answer as bytes, for a connection that has no request. */
  raw(name: AnswerName): string {
    const { status, headers, body } = PREPARED.get(name) ?? prepare(name);
    this.count(status);
    const lines = [`HTTP/1.1 ${status} ${ANSWERS[name][1]}`];
    for (let index = 0; index < headers.length; index += 2) {
      if (headers[index] !== 'connection') lines.push(`${headers[index]}: ${headers[index + 1]}`);
    }
    return `${lines.join('\r\n')}\r\nconnection: close\r\n\r\n${body}`;
  }

  /** Enters an answer that somebody else gave. */
  count(status: number): void {
    this.#counts.set(status, (this.#counts.get(status) ?? 0) + 1);
  }

  /** How many answers of each status there were, lowest first. */
  counts(): Record<string, number> {
    return Object.fromEntries([...this.#counts].sort(([left], [right]) => left - right));
  }
}
