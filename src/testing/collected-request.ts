// A request as the collector keeps it.
import type { IncomingMessage } from 'node:http';
import { unescape } from 'node:querystring';

/**
 * One request whose head a collector has read.
 *
 * @example
 * const isFailure = ({ status }: CollectedRequest) => status !== null && status >= 400;
 */
export interface CollectedRequest {
  /** The method, such as `GET`. */
  readonly method: string;
  /** Path and query, exactly as received. */
  readonly url: string;
  /** The path, exactly as received. */
  readonly path: string;
  /** `{type}` of `…/v3/{type}`; null for any other path. */
  readonly eventType: string | null;
  /**
   * Name and value of each pair of the query, in order, decoded like Python's `parse_qsl`: `+` is a space. Values are decoded once, so a
   * value that was encoded twice is still encoded once.
   */
  readonly query: readonly (readonly [name: string, value: string])[];
  /** Header fields by lower-case name. */
  readonly headers: Readonly<Record<string, string | readonly string[] | undefined>>;
  /** Status of the answer. Null until the status line is written. */
  readonly status: number | null;
  /** Port of the client. Requests with the same port came over the same connection, one after the other. */
  readonly remotePort: number;
}

/** A request whose status the collector sets later. */
export type OpenRequest = { -readonly [Key in keyof CollectedRequest]: CollectedRequest[Key] };

/** Reads the head of a request. @internal */
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

/** Uses `unescape`, which never throws; `decodeURIComponent` throws on bytes that are not UTF-8. */
function decode(text: string): string {
  return unescape(text.replaceAll('+', ' '));
}
