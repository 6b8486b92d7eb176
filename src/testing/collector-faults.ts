// What a collector can do to a request, in which order, and how it does it.
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { Readable } from 'node:stream';
import { gzipSync } from 'node:zlib';
import type { CollectedRequest } from './collected-request.js';

/**
 * Header fields of an answer. A list becomes one field per element.
 *
 * @example
 * const headers: FaultHeaders = { 'retry-after': '30' };
 * const collector = await startCollector({ faults: { kind: 'status', status: 429, headers } });
 * await collector.close();
 */
export type FaultHeaders = Readonly<Record<string, string | readonly string[]>>;

/**
 * What a collector does with a request. `ok` is the default and not a fault.
 *
 * - `ok`, `status`: an answer, at once or after `delayMs`. A status is 200 to 599. `ok` answers 200 unless `status` says otherwise.
 * - `reset`: a TCP reset. `connect`: when the connection is accepted. `request` (default): after the head of the request, without an
 *   answer. `body`: after status 200 and a part of the body. A client that is busy at that moment sees an early end instead of a reset.
 * - `hang`: no answer. `connect`: the collector reads nothing, not even a TLS handshake. `headers` (default): it reads the head of the
 *   request.
 * - `drip`: status 200, then `bytes` bytes (default 1) every `intervalMs`, without an end. `head`: a header field that never ends, so no
 *   answer is complete. `body` (default): a body that never ends.
 * - `endless`: status 200 and a body without an end, as fast as the client reads.
 * - `bomb`: status 200 and a gzip body that unpacks to `unpackedMiB` MiB of zeros (default 512). The body has about a thousandth of that
 *   size: below 64 KiB for up to 60 MiB.
 * - `redirect`: status 302, or another `status`, to `location` or to the requested URL itself.
 * - `not_http`: bytes that are not HTTP (default: an SSH greeting), then the end of the connection.
 * - `truncated`: status 200, a `content-length` of 1024, 9 bytes of body, then the end of the connection.
 *
 * `reset` with `connect` and `hang` with `connect` apply to a connection when it is accepted, and use one entry of a list. On a
 * connection that is open already, and from a function, they apply to the next request. All other faults apply to a request.
 *
 * An untrusted certificate needs no fault: give `startCollector` a `tls` pair that the client does not know. Neither does a TLS
 * mismatch: use https with a collector without `tls`, or http with one that has it.
 *
 * @example
 * const fault: Fault = { kind: 'drip', intervalMs: 50, part: 'head' };
 */
export type Fault =
  | {
      readonly kind: 'ok';
      readonly status?: number | undefined;
      readonly delayMs?: number | undefined;
      readonly headers?: FaultHeaders | undefined;
      readonly body?: string | Uint8Array | undefined;
    }
  | {
      readonly kind: 'status';
      readonly status: number;
      readonly delayMs?: number | undefined;
      readonly headers?: FaultHeaders | undefined;
      readonly body?: string | Uint8Array | undefined;
    }
  | { readonly kind: 'reset'; readonly when?: 'connect' | 'request' | 'body' | undefined }
  | { readonly kind: 'hang'; readonly after?: 'connect' | 'headers' | undefined }
  | { readonly kind: 'drip'; readonly intervalMs: number; readonly bytes?: number | undefined; readonly part?: 'head' | 'body' | undefined }
  | { readonly kind: 'endless' }
  | { readonly kind: 'bomb'; readonly unpackedMiB?: number | undefined }
  | { readonly kind: 'redirect'; readonly location: string; readonly status?: number | undefined }
  | { readonly kind: 'redirect'; readonly to: 'self'; readonly status?: number | undefined }
  | { readonly kind: 'not_http'; readonly bytes?: string | Uint8Array | undefined }
  | { readonly kind: 'truncated' };

/**
 * The faults of a collector: one for all requests; a list, used in order, whose last entry repeats; or a function of the request and the
 * number of requests before it.
 *
 * @example
 * const everySecond: FaultSource = (_request, index) => (index % 2 === 0 ? { kind: 'ok' } : { kind: 'reset' });
 */
export type FaultSource = Fault | readonly Fault[] | ((request: CollectedRequest, index: number) => Fault);

/** A fault of a connection without a request. */
type ConnectionFault = 'reset' | 'hang';

/** Takes the faults of one source in order. */
export class FaultScript {
  readonly #list: readonly Fault[];
  readonly #choose: ((request: CollectedRequest, index: number) => Fault) | undefined;
  #used = 0;

  /** @throws TypeError for an unknown fault or a bad value. */
  constructor(source: FaultSource) {
    this.#choose = typeof source === 'function' ? source : undefined;
    this.#list = typeof source === 'function' ? [] : Array.isArray(source) ? [...(source as readonly Fault[])] : [source as Fault];
    if (this.#choose === undefined && this.#list.length === 0) throw new TypeError('startCollector: faults must not be an empty list');
    for (const fault of this.#list) checkFault(fault);
  }

  /** Takes the next fault if it applies to a connection. */
  takeForConnection(): ConnectionFault | undefined {
    const fault = this.#choose === undefined ? this.#next() : undefined;
    const taken = fault === undefined ? undefined : connectionFault(fault);
    if (taken !== undefined) this.#used += 1;
    return taken;
  }

  /** Takes the next fault. */
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

/** @throws TypeError, so that a mistake in a script is found where it was made. */
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

/** A request that waits for its answer. */
interface Exchange {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  /** The TCP connection, below TLS if there is TLS. */
  readonly connection: Socket;
  /** Called when the status line is written. */
  readonly onStatus: (status: number) => void;
}

/** Time between a part of the body and the reset, in ms: a reset discards bytes that the client has not read yet. */
const BEFORE_RESET_MS = 50;

/** Length that the head of a truncated or reset answer announces, in bytes. */
const PROMISED_LENGTH = '1024';

let bombMember: Buffer | undefined;

/** Answers a request as the fault says. Its timers are unref'd and end with the connection. @internal */
export function answer(fault: Fault, exchange: Exchange): void {
  const { request, response, connection } = exchange;
  switch (fault.kind) {
    case 'ok':
    case 'status': {
      const reply = (): void => {
        begin(exchange, fault.status ?? 200, fault.headers).end(fault.body ?? '');
      };
      if (fault.delayMs === undefined) reply();
      else replyAfter(fault.delayMs, reply, connection);
      break;
    }
    case 'reset':
      if (fault.when === 'body') {
        begin(exchange, 200, { 'content-length': PROMISED_LENGTH }).write('a part', () => {
          endWith(
            connection,
            setTimeout(() => connection.resetAndDestroy(), BEFORE_RESET_MS),
          );
        });
      } else connection.resetAndDestroy();
      break;
    case 'hang':
      break;
    case 'drip':
      drip(fault, exchange);
      break;
    case 'endless': {
      const chunk = Buffer.alloc(64 * 1024, 'x');
      const body = new Readable({
        read() {
          this.push(chunk);
        },
      });
      connection.once('close', () => body.destroy());
      body.pipe(begin(exchange, 200));
      break;
    }
    case 'bomb':
      begin(exchange, 200, { 'content-encoding': 'gzip' }).end(bomb(fault.unpackedMiB ?? 512));
      break;
    case 'redirect':
      begin(exchange, fault.status ?? 302, { location: 'to' in fault ? (request.url ?? '/') : fault.location }).end();
      break;
    case 'not_http':
      request.socket.end(fault.bytes ?? 'SSH-2.0-OpenSSH_9.6\r\n');
      break;
    case 'truncated':
      begin(exchange, 200, { 'content-length': PROMISED_LENGTH }).write('truncated');
      response.socket?.end();
      break;
  }
}

function begin({ response, onStatus }: Exchange, status: number, headers: FaultHeaders = {}): ServerResponse {
  response.statusCode = status;
  for (const [name, value] of Object.entries(headers)) response.setHeader(name, value);
  onStatus(status);
  return response;
}

function drip(fault: Extract<Fault, { kind: 'drip' }>, exchange: Exchange): void {
  const drops = 'x'.repeat(fault.bytes ?? 1);
  const { request, connection } = exchange;
  if (fault.part === 'head') {
    request.socket.write('HTTP/1.1 200 OK\r\nx-drip: ');
    endWith(
      connection,
      setInterval(() => request.socket.write(drops), fault.intervalMs),
    );
  } else {
    const response = begin(exchange, 200);
    response.flushHeaders();
    endWith(
      connection,
      setInterval(() => response.write(drops), fault.intervalMs),
    );
  }
}

/** Removes its listener after the reply: a kept-alive connection would collect one for each request. */
function replyAfter(delayMs: number, reply: () => void, connection: Socket): void {
  const leave = (): void => {
    clearTimeout(timer);
  };
  const timer = setTimeout(() => {
    connection.off('close', leave);
    reply();
  }, delayMs);
  timer.unref();
  connection.once('close', leave);
}

function endWith(connection: Socket, timer: NodeJS.Timeout): void {
  timer.unref();
  connection.once('close', () => {
    clearTimeout(timer);
  });
}

/** Repeats one packed MiB: a gzip file may have many members (RFC 1952, section 2.2). */
function bomb(unpackedMiB: number): Buffer {
  bombMember ??= gzipSync(Buffer.alloc(1024 * 1024), { level: 9 });
  return Buffer.alloc(bombMember.length * unpackedMiB, bombMember);
}
