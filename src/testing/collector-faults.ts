import type { CollectedRequest } from './collected-request.js';

/** Header fields of an answer. A list becomes one field each. */
export type FaultHeaders = Readonly<Record<string, string | readonly string[]>>;

/**
 * What a collector does with a request. `ok` is no fault, and what it does by default.
 *
 * - `ok`, `status`: an answer, at once or after `delayMs`. Status 200 to 599; `ok` says 200 and means 2xx.
 * - `reset`: a TCP reset. `connect`: as soon as the connection is accepted; `request` (the default): once the head of the request
 *   is read, nothing answered; `body`: 200, a part of the body, and a moment later the reset (which a client that is busy in that
 *   moment takes for an early end).
 * - `hang`: never an answer. `connect`: not even a byte read (or, with TLS, a handshake); `headers` (the default): after the head of
 *   the request is read.
 * - `drip`: 200, then `bytes` bytes (1) each `intervalMs`, without an end. `head`: of a header field, so that the head never ends
 *   and counts as no answer; `body`: of the body (the default).
 * - `endless`: 200 and a body without an end, as fast as the client takes it.
 * - `bomb`: 200 and a gzip body that unpacks to `unpackedMiB` MiB (512) of zeros: about a thousandth of that on the wire. Up to 60 it
 *   stays below 64 KiB there.
 * - `redirect`: 302, or another `status`, to `location`, or to the very URL that was asked for.
 * - `not_http`: bytes that are no HTTP answer (an SSH greeting), then the end of the connection.
 * - `truncated`: 200, a `content-length` of 1024 and 9 bytes of body, then the end of the connection.
 *
 * Per connection are `reset` with `connect` and `hang` with `connect`: they take a connection when it is accepted, before any
 * request, and count as one entry of a list. Where a connection was accepted for something else (it was kept alive, or a function
 * decides) they strike when its next request arrives. All others are per request.
 *
 * A certificate that nobody trusts needs no fault: give `startCollector` a `tls` pair that the client does not know. Neither does a
 * TLS mismatch: speak https to a collector without `tls`, or http to one with it.
 */
export type Fault =
  | {
      readonly kind: 'ok';
      readonly status?: number;
      readonly delayMs?: number;
      readonly headers?: FaultHeaders;
      readonly body?: string | Uint8Array;
    }
  | {
      readonly kind: 'status';
      readonly status: number;
      readonly delayMs?: number;
      readonly headers?: FaultHeaders;
      readonly body?: string | Uint8Array;
    }
  | { readonly kind: 'reset'; readonly when?: 'connect' | 'request' | 'body' }
  | { readonly kind: 'hang'; readonly after?: 'connect' | 'headers' }
  | { readonly kind: 'drip'; readonly intervalMs: number; readonly bytes?: number; readonly part?: 'head' | 'body' }
  | { readonly kind: 'endless' }
  | { readonly kind: 'bomb'; readonly unpackedMiB?: number }
  | { readonly kind: 'redirect'; readonly location: string; readonly status?: number }
  | { readonly kind: 'redirect'; readonly to: 'self'; readonly status?: number }
  | { readonly kind: 'not_http'; readonly bytes?: string | Uint8Array }
  | { readonly kind: 'truncated' };

/**
 * Which fault strikes when: always the same, one each in order (the last one repeats), or what a function says of the request and
 * the number of requests before it.
 */
export type FaultSource = Fault | readonly Fault[] | ((request: CollectedRequest, index: number) => Fault);

/** The two ways to treat a connection before it carries a request. */
export type ConnectionFault = 'reset' | 'hang';

/** Hands out the faults of one source, in order. */
export class FaultScript {
  readonly #list: readonly Fault[];
  readonly #choose: ((request: CollectedRequest, index: number) => Fault) | undefined;
  #used = 0;

  /** @throws TypeError for a fault that is unknown or cannot be done. */
  constructor(source: FaultSource) {
    this.#choose = typeof source === 'function' ? source : undefined;
    this.#list = typeof source === 'function' ? [] : Array.isArray(source) ? [...(source as readonly Fault[])] : [source as Fault];
    if (this.#choose === undefined && this.#list.length === 0) throw new TypeError('startCollector: faults must not be an empty list');
    for (const fault of this.#list) checkFault(fault);
  }

  /** The next fault, if it strikes a connection before its first request; only then is it used up. */
  takeForConnection(): ConnectionFault | undefined {
    const fault = this.#choose === undefined ? this.#next() : undefined;
    const strikes = fault === undefined ? undefined : connectionFault(fault);
    if (strikes !== undefined) this.#used += 1;
    return strikes;
  }

  takeForRequest(request: CollectedRequest, index: number): Fault {
    if (this.#choose !== undefined) return checkFault(this.#choose(request, index));
    const fault = this.#next();
    this.#used += 1;
    return fault;
  }

  #next(): Fault {
    return this.#list[Math.min(this.#used, this.#list.length - 1)] as Fault;
  }
}

function connectionFault(fault: Fault): ConnectionFault | undefined {
  if (fault.kind === 'reset' && fault.when === 'connect') return 'reset';
  if (fault.kind === 'hang' && fault.after === 'connect') return 'hang';
  return undefined;
}

const KINDS: readonly Fault['kind'][] = ['ok', 'status', 'reset', 'hang', 'drip', 'endless', 'bomb', 'redirect', 'not_http', 'truncated'];

/** A slip in a script shall show where it was made, not as a strange answer. */
function checkFault(fault: Fault): Fault {
  const { kind, status, intervalMs } = fault as { kind: unknown; status?: unknown; intervalMs?: unknown };
  if (!KINDS.some((known) => known === kind))
    throw new TypeError(`startCollector: unknown fault ${String(kind)}; known are ${KINDS.join(', ')}`);
  const isFinal = Number.isInteger(status) && Number(status) >= 200 && Number(status) <= 599;
  if (!(isFinal || (status === undefined && kind !== 'status'))) {
    throw new TypeError(`startCollector: status of ${String(kind)} must be an integer from 200 to 599, got ${String(status)}`);
  }
  if (kind === 'drip' && !(Number(intervalMs) > 0))
    throw new TypeError(`startCollector: intervalMs of drip must be above 0, got ${String(intervalMs)}`);
  return fault;
}
