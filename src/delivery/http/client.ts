/**
 * HTTP over node-fetch, or over the client of `node:http` alone, behind one interface. Every workaround for node-fetch is in this file. It
 * is a load border: importing it loads node-fetch and Node's HTTP, about 30 ms, so the transport imports it at the first send.
 */
import { EventEmitter } from 'node:events';
import { IncomingMessage } from 'node:http';
import type { Agent, ClientRequest } from 'node:http';
import type { Socket } from 'node:net';
import type { RequestInit } from 'node-fetch';
// The file and not the package: Bun replaces the package by its own fetch, which ignores `agent` and sends a request again after a reset.
import fetch from 'node-fetch/src/index.js';
import type { Cause } from '../transport.js';
import { ACCEPT } from './agents.js';
import type { Connections } from './agents.js';
import { causeOfCode } from './causes.js';
import { isPolluted } from './pollution.js';
import type { ResponseHeaders } from './responses.js';
import { Routes } from './routes.js';
import type { RouteSettings } from './routes.js';
import { AlteredError, requestUnobserved, unobserved } from './unobserved.js';

/** One request. */
export interface HttpRequest {
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  /** Opens connections within the connect timeout; they never hold the process. */
  readonly agent: Agent;
  /** The most bytes of a body that are read, to keep its connection for the next request. */
  readonly maxBodyBytes: number;
  /** What is posted; the body of its response is kept. Only the client of `node:http` posts. @default a GET */
  readonly body?: Uint8Array | undefined;
}

/** A response. Its body is read undecoded, since a small gzip body may unpack to any size, and thrown away but for that of a POST. */
export interface HttpResponse {
  readonly status: number;
  readonly headers: ResponseHeaders;
  /**
   * Resolves when the body ends. True: it was read to its end, so its connection can be used again. False: it broke off or is longer
   * than `maxBodyBytes`, and the caller must abort the exchange.
   */
  readonly bodyEnd: Promise<boolean>;
  /** The body of the response to a POST, so far. */
  readonly body?: readonly Uint8Array[] | undefined;
}

/** A request in flight. */
export interface Exchange {
  /** Rejects if there is no response. May stay pending after `abort()`. */
  readonly response: Promise<HttpResponse>;
  /** False only if it is certain that no byte of the request was written, or that none was read. */
  readonly mayBeWritten: boolean;
  /** Why there is no response, if it is known. */
  readonly cause: Cause | undefined;
  /** Whether there is no response because bytes arrived that are no HTTP response, and they do not say that the request was accepted. */
  readonly isUnreadable: boolean;
  /** Ends the request and destroys its connection, before or after the response. Harmless after the end. */
  abort(): void;
  /**
   * Reports that no response came.
   *
   * @param isReset whether the connection has ended; false if none came in time
   */
  broke(isReset: boolean): void;
}

/** Another HTTP client replaces node-fetch by implementing this interface. */
export interface HttpClient {
  /** Starts a request. Never throws. */
  begin(request: HttpRequest): Exchange;
  /** Whether a request would make Node throw where nothing can catch it. */
  wouldThrow(url: string): boolean;
}

/** All of HTTP that a transport loads at its first send. */
export interface Http {
  readonly client: HttpClient;
  readonly routes: Routes;
}

/** Opens HTTP over node-fetch, with the route to the endpoint ready. */
export async function openHttp(settings: RouteSettings): Promise<Http> {
  const routes = await Routes.open(settings);
  return { client: new NodeFetchClient(routes.pool.connections), routes };
}

/** As {@link openHttp}, over the client of `node:http` alone. */
export async function openNodeHttp(settings: RouteSettings): Promise<Http> {
  const routes = await Routes.open(settings);
  return { client: new NodeHttpClient(routes.pool.connections), routes };
}

/** The default of node-fetch. */
const HIGH_WATER_MARK = 16_384;

/**
 * node-fetch with three additions. The figures are processor time a request, measured with 24 requests in flight over loopback on Node
 * 20.20: 35 us with all three.
 *
 * 1. It captures the request that node-fetch makes, because node-fetch does not tell whether a failed request was written.
 * 2. It passes a signal only if it did not capture the previous request. A captured request ends by `destroy()`; an AbortController for
 *    each request costs 45 us.
 * 3. It takes the response before node-fetch wraps it: see `takeResponse`. A Response for each request costs 75 us.
 *
 * No request is captured if the host patched `http.request`, or if the runtime replaces node-fetch. Bun (seen in 1.4.5) does: its own
 * implementation ignores `agent`, and refuses an object that only looks like an AbortSignal. The request itself shows this reliably, so
 * nothing asks for the name of the runtime, and the first request of a transport always gets a signal.
 */
class NodeFetchClient implements HttpClient {
  readonly #connections: Connections;
  #isCapturing = false;

  constructor(connections: Connections) {
    this.#connections = connections;
  }

  readonly wouldThrow = wouldThrow;

  begin({ url, headers, agent, maxBodyBytes }: HttpRequest): Exchange {
    const controller = this.#isCapturing ? undefined : new AbortController();
    // Every option of node-fetch, in an object without a prototype: it would take the others from a polluted Object.prototype.
    const init = {
      __proto__: null,
      method: 'GET',
      agent,
      headers,
      redirect: 'manual',
      compress: false,
      signal: controller?.signal ?? null,
      body: null,
      referrer: '',
      referrerPolicy: 'no-referrer',
      follow: 0,
      highWaterMark: HIGH_WATER_MARK,
    } as RequestInit;
    // node-fetch hands its request to our agent before `fetch` returns.
    const { result, request } = this.#connections.capture({ url: new URL(url), headers, body: undefined }, () =>
      unobserved(() => fetch(url, init)),
    );
    this.#isCapturing = request !== undefined;
    const isOurs = request !== undefined && hasNoOtherListener(request);
    if (isOurs) request.removeAllListeners('response');
    const response = isOurs
      ? takeResponse(request, result, maxBodyBytes, this.#connections)
      : result.then(({ status, headers: received, body }) => ({ status, headers: received, bodyEnd: discardBody(body, maxBodyBytes) }));
    return new RequestExchange(response, request, controller, this.#connections);
  }
}

/**
 * The client of `node:http` alone, for a relay: it sends the same bytes over the same agents. node-fetch adds nothing to a GET whose
 * redirects and body an attempt handles itself, but it parses the URL twice more and makes a Request and two sets of headers.
 */
class NodeHttpClient implements HttpClient {
  readonly #connections: Connections;

  constructor(connections: Connections) {
    this.#connections = connections;
  }

  readonly wouldThrow = wouldThrow;

  begin({ url, headers, agent, maxBodyBytes, body }: HttpRequest): Exchange {
    const parsed = new URL(url);
    const make = (): ClientRequest | Error => requestUnobserved(parsed, { accept: ACCEPT, ...headers }, agent, body);
    const { result, request } = this.#connections.capture({ url: parsed, headers, body }, make);
    if (result instanceof Error) return new RequestExchange(Promise.reject(result), request, undefined, this.#connections);
    // Not captured if the host or the runtime replaces the agents of Node: then the request may be written at any time.
    const controller = request === undefined ? { abort: () => result.destroy() } : undefined;
    const failed = new Promise<never>((_resolve, reject) => {
      // Not once: a request that is destroyed may report several errors, and one without a listener ends the process.
      result.on('error', reject);
    });
    const response = takeResponse(result, failed, maxBodyBytes, this.#connections, body && []);
    return new RequestExchange(response, request, controller, this.#connections);
  }
}

/** Events of sockets and responses to which Node's HTTP listens. */
const HEARD_EVENTS = ['agentRemove', 'close', 'connect', 'data', 'drain', 'end', 'error', 'free', 'session', 'timeout'];

/** Events of sockets and responses that Node emits whether anything listens or not. */
const EMITTED_EVENTS = [
  'OCSPResponse',
  '_tlsError',
  'connectionAttempt',
  'connectionAttemptFailed',
  'connectionAttemptTimeout',
  'finish',
  'keylog',
  'lookup',
  'newListener',
  'pause',
  'prefinish',
  'readable',
  'ready',
  'removeListener',
  'resume',
  'secure',
  'secureConnect',
];

/** What Node reads of a socket itself, whatever options it is given, and what breaks the socket of TLS (seen in Node 24 and 26). */
const BREAK_CONNECTS = ['blockList'];
const BREAK_TLS = ['objectMode', 'writableObjectMode'];

function isThere(name: string): boolean {
  return name in {};
}

/**
 * Whether what is on a polluted `Object.prototype` makes Node throw while it opens a connection or handles a request: `signal: 1`, for
 * example, as it makes the response. Node throws in a callback of its own, and that would end the process (seen in Node 20 to 26). So
 * the same is tried here. What is polluted while a request is under way meets hardened objects: see `harden`.
 */
function wouldThrow(url: string): boolean {
  if (!isPolluted()) return false;
  if (BREAK_CONNECTS.some(isThere) || (url.startsWith('https:') && BREAK_TLS.some(isThere))) return true;
  try {
    const stream = new IncomingMessage({ readableHighWaterMark: HIGH_WATER_MARK } as Socket);
    // Not by the methods of the stream, which would start to read. A function that is polluted is called by Node, too, and not here.
    const emitter = EventEmitter.prototype;
    for (const name of EMITTED_EVENTS) if (typeof Reflect.get(Object.prototype, name) !== 'function') emitter.emit.call(stream, name);
    for (const name of HEARD_EVENTS) emitter.on.call(stream, name, doNothing);
    // With a `return` that is no function, node-fetch cannot take an array apart.
    const [first] = HEARD_EVENTS;
    return first === undefined;
  } catch {
    return true;
  }
}

function doNothing(): void {}

/** Ends a request that was not captured: an AbortController, for example. */
interface Aborts {
  abort(): unknown;
}

class RequestExchange implements Exchange {
  readonly response: Promise<HttpResponse>;
  readonly #request: ClientRequest | undefined;
  readonly #controller: Aborts | undefined;
  readonly #connections: Connections;
  #isUnreadable = false;
  #isUnread = false;
  #cause: Cause | undefined;

  constructor(
    response: Promise<HttpResponse>,
    request: ClientRequest | undefined,
    controller: Aborts | undefined,
    connections: Connections,
  ) {
    this.response = response;
    this.#request = request;
    this.#controller = controller;
    this.#connections = connections;
    // Before `response` rejects: node-fetch does not pass on the bytes.
    request?.once('error', (error: NodeJS.ErrnoException) => {
      this.#cause = causeOfCode(error.code);
      this.#isUnreadable = isUnreadable(error, connections.wasReused(request));
      this.#isUnread = error instanceof AlteredError || (!connections.wasReused(request) && NO_CLIENT_CERTIFICATE.test(String(error.code)));
    });
  }

  get cause(): Cause | undefined {
    return this.#cause;
  }

  get isUnreadable(): boolean {
    return this.#isUnreadable;
  }

  get mayBeWritten(): boolean {
    return !this.#isUnread && (this.#request === undefined || this.#connections.wasOpened(this.#request));
  }

  broke(isReset: boolean): void {
    if (this.#request !== undefined) this.#connections.broke(this.#request, isReset);
  }

  abort(): void {
    if (this.#request !== undefined) this.#connections.abandon(this.#request);
    this.#controller?.abort();
  }
}

/**
 * The alerts of a TLS server that wants a certificate of the client. With TLS 1.3 the client is ready first and writes its request; the
 * server ends the handshake and reads nothing of the request (RFC 8446, 4.4.2.4). With TLS 1.2 no request is written.
 */
const NO_CLIENT_CERTIFICATE = /^ERR_SSL_\w+_ALERT_(?:CERTIFICATE_REQUIRED|BAD_CERTIFICATE|HANDSHAKE_FAILURE|ACCESS_DENIED)$/;

/** The other side switched to another protocol, which no request of ours asks for. */
class UnaskedUpgradeError extends Error {}

/** How much of an answer is searched for its status line: an answer may begin with an interim one (103). */
const STATUS_BYTES = 1024;
const STATUS_LINE = /^HTTP\/\d\.\d \d{3}/;
const ACCEPTED = /^HTTP\/\d\.\d 2\d\d/m;

/**
 * Whether a request failed because of an answer that is no HTTP. Not if its status line says 2xx: the endpoint counted the event. On a
 * connection that was used before it must begin with a status line, since other bytes may be the rest of the answer before.
 */
function isUnreadable(error: Error & { code?: unknown; rawPacket?: unknown }, wasReused: boolean): boolean {
  const { code, rawPacket } = error;
  // The codes of Node's parser.
  if (!String(code).startsWith('HPE_')) return error instanceof UnaskedUpgradeError;
  const head = rawPacket instanceof Uint8Array ? Buffer.from(rawPacket.subarray(0, STATUS_BYTES)).toString('latin1') : '';
  return !ACCEPTED.test(head) && (!wasReused || STATUS_LINE.test(head));
}

/** node-fetch 3 listens to `response` twice: for the response itself, and to detect a chunked body without an end. */
const RESPONSE_LISTENERS_OF_NODE_FETCH = 2;

/**
 * Whether nothing but node-fetch listens to the response. False if an instrumentation of the host listens too, or if a later version
 * of node-fetch listens differently: then node-fetch gets the response.
 */
function hasNoOtherListener(request: ClientRequest): boolean {
  return request.listenerCount('response') === RESPONSE_LISTENERS_OF_NODE_FETCH;
}

/**
 * Takes the response itself. node-fetch, which no longer listens to it, would wrap it in a Response: two streams and an AbortController
 * around a body that nothing reads, for more than half of the cost of a request.
 *
 * @param failed rejects if there is no response
 * @param body where the body is kept; undefined if it is not
 */
async function takeResponse(
  request: ClientRequest,
  failed: Promise<unknown>,
  maxBodyBytes: number,
  connections: Connections,
  body?: Uint8Array[],
): Promise<HttpResponse> {
  return new Promise((resolve, reject) => {
    request.once('response', (message) => {
      connections.answered(request);
      const headers = { get: (name: string) => message.headers[name]?.toString() ?? null };
      resolve({ status: message.statusCode ?? 0, headers, bodyEnd: discardBody(message, maxBodyBytes, body), body });
    });
    // Node destroys the connection and tells nothing if nothing listens.
    request.once('upgrade', (_message, socket) => {
      socket.destroy();
      request.emit('error', new UnaskedUpgradeError());
    });
    failed.catch(reject);
  });
}

/** @see HttpResponse.bodyEnd */
async function discardBody(body: NodeJS.ReadableStream | null, maxBytes: number, kept?: Uint8Array[]): Promise<boolean> {
  if (body === null) return true;
  return new Promise((resolve) => {
    let bytes = 0;
    body.on('data', (chunk: Uint8Array) => {
      bytes += chunk.length;
      if (bytes > maxBytes) resolve(false);
      else kept?.push(chunk);
    });
    body.once('end', () => resolve(true));
    body.once('close', () => resolve(false));
  });
}
