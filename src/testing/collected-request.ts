import type { IncomingMessage } from 'node:http';
import { unescape } from 'node:querystring';

/** One request that a collector has read the head of. */
export interface CollectedRequest {
  readonly method: string;
  /** Path and query, as they were on the wire. */
  readonly url: string;
  /** The path alone, as it was on the wire. */
  readonly path: string;
  /** `{type}` of `…/v3/{type}`, or null where the path has another form. */
  readonly eventType: string | null;
  /** The query's pairs in order, decoded as Python's `parse_qsl` does: `+` is a space. Decoded once, so some values stay encoded. */
  readonly query: readonly (readonly [name: string, value: string])[];
  /** Header fields by lower-case name. */
  readonly headers: Readonly<Record<string, string | readonly string[] | undefined>>;
  /** The status of the answer, null until its status line is written, and for ever where none is. */
  readonly status: number | null;
  /** The client's port: requests with the same one came over the same connection, one after the other. */
  readonly remotePort: number;
}

/** The collector's own view of a request: its status is yet to come. */
export type OpenRequest = { -readonly [Key in keyof CollectedRequest]: CollectedRequest[Key] };

/** Reads what there is to know of a request from its head. */
export function collectRequest(message: IncomingMessage): OpenRequest {
  const url = message.url ?? '';
  const queryAt = url.indexOf('?');
  const path = queryAt === -1 ? url : url.slice(0, queryAt);
  return {
    method: message.method ?? '',
    url,
    path,
    eventType: /\/v3\/([^/]+)\/?$/.exec(path)?.[1] ?? null,
    query: queryAt === -1 ? [] : decodeQuery(url.slice(queryAt + 1)),
    headers: message.headers,
    status: null,
    remotePort: message.socket.remotePort ?? 0,
  };
}

function decodeQuery(query: string): (readonly [string, string])[] {
  return query
    .split('&')
    .filter((pair) => pair !== '')
    .map((pair) => {
      const equalsAt = pair.indexOf('=');
      const [name, value] = equalsAt === -1 ? [pair, ''] : [pair.slice(0, equalsAt), pair.slice(equalsAt + 1)];
      return [decode(name), decode(value)] as const;
    });
}

/** `unescape` of Node never throws, which `decodeURIComponent` does on what is no UTF-8. */
function decode(text: string): string {
  return unescape(text.replaceAll('+', ' '));
}

/** Promises for "once that many have arrived", which a test kit's `waitFor()` hands out. */
export class Milestones {
  readonly #subject: string;
  #waiting: { count: number; resolve: () => void; reject: (error: Error) => void }[] = [];
  #reached = 0;
  #closed = false;

  /** `subject`: what is counted, for the error of those who wait in vain. */
  constructor(subject: string) {
    this.#subject = subject;
  }

  /** Resolves once `count` have arrived; rejects when nothing can arrive any more. */
  wait(count: number): Promise<void> {
    if (this.#reached >= count) return Promise.resolve();
    if (this.#closed) return Promise.reject(this.#inVain(count));
    return new Promise((resolve, reject) => {
      this.#waiting.push({ count, resolve, reject });
    });
  }

  /** Tells how many have arrived by now. */
  reach(count: number): void {
    this.#reached = count;
    const waiting = this.#waiting;
    this.#waiting = waiting.filter((waiter) => waiter.count > count);
    for (const waiter of waiting) if (waiter.count <= count) waiter.resolve();
  }

  /** Nothing arrives any more: whoever still waits is told, since a test that hangs says nothing. */
  close(): void {
    this.#closed = true;
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const { count, reject } of waiting) reject(this.#inVain(count));
  }

  #inVain(count: number): Error {
    return new Error(`Closed after ${this.#reached} of the ${count} ${this.#subject} waited for.`);
  }
}
