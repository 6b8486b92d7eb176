/** Agents of Node's HTTP whose connections open within the connect timeout, never hold the process, and tell if they were ever open. */
import { Agent as HttpAgent } from 'node:http';
import type { ClientRequest } from 'node:http';
import { Agent as HttpsAgent } from 'node:https';
import { isIP } from 'node:net';
import type { Socket } from 'node:net';
import type { Clock } from '../../base/clock.js';
import { bareHost } from '../../wire/host.js';
import type { StartLimit } from '../pacing.js';
import type { Lookup } from './name-lookup.js';
import type { Proxy } from './proxy.js';
import { unobserved, isolateRequest } from './unobserved.js';

/** Idle connections close after this time: a usual server closes them after 5 s, and a request that crosses its close is lost. */
export const IDLE_MS = 4000;

/** How long Node waits before it tries an address of the other family, if the connect timeout is long enough. */
const OTHER_FAMILY_MS = 250;

/** What all connections of a pool share. */
interface ConnectionSettings {
  /** The longest that look-up, proxy, TCP and TLS may take together, in milliseconds. */
  readonly connectTimeoutMs: number;
  readonly clock: Clock;
  readonly lookup: Lookup;
  readonly startLimit: StartLimit;
}

/** The options of `net.connect` and `tls.connect` that bound a connect. */
export interface ConnectOptions {
  readonly lookup: (...args: Parameters<Lookup>) => void;
  readonly autoSelectFamily: true;
  readonly autoSelectFamilyAttemptTimeout: number;
}

/** A connect in progress. */
interface ConnectWatch {
  readonly options: ConnectOptions;
  /** To be called when the connect has succeeded or failed; a second call does nothing. */
  readonly done: () => void;
}

/** Bounds the connects of a pool, and knows of each connection if it was ever open: if not, its request was certainly not written. */
export class Connections {
  readonly #settings: ConnectionSettings;
  readonly #opened = new WeakSet<object>();
  /** By connection and not by request: there are far fewer. */
  readonly #reused = new WeakSet<object>();
  readonly #connecting = new WeakMap<ClientRequest, () => unknown>();
  #latestRequest: ClientRequest | undefined;

  constructor(settings: ConnectionSettings) {
    this.#settings = settings;
  }

  /**
   * Runs a function that makes one request, and captures the request as it reaches one of our agents.
   *
   * @returns `request` is undefined if none reached an agent of ours
   */
  capture<T>(run: () => T): { result: T; request: ClientRequest | undefined } {
    this.#latestRequest = undefined;
    const result = run();
    return { result, request: this.#latestRequest };
  }

  /** Reports a request that reached an agent. */
  requested(request: ClientRequest): void {
    this.#latestRequest = request;
  }

  /** Has a function called if the request is abandoned: a connect for it that Node does not know of ends then, too. */
  whenAbandoned(request: ClientRequest, end: () => unknown): void {
    this.#connecting.set(request, end);
  }

  /** Destroys a request, and what is connecting for it. */
  abandon(request: ClientRequest): void {
    request.destroy();
    this.#connecting.get(request)?.();
  }

  /** Whether the connection of a request was ever ready to be written to. */
  wasOpened(request: ClientRequest): boolean {
    return request.socket !== null && this.#opened.has(request.socket);
  }

  /** Reports that a connection is used again. */
  reused(socket: object): void {
    this.#reused.add(socket);
  }

  /** Whether another request has used the connection of a request before. */
  wasReused(request: ClientRequest): boolean {
    return request.socket !== null && this.#reused.has(request.socket);
  }

  /** Reports that a connection is ready: from now on the server may read what is written to it. */
  opened(socket: Socket): void {
    this.#opened.add(socket);
    // If Node tried two address families, the socket has a new handle, which is not unref'd yet.
    socket.unref();
  }

  /** Bounds a connect: `timeUp` is called at the connect timeout; `done` ends the timeout and the look-up. */
  watch(timeUp: () => void): ConnectWatch {
    const { clock, connectTimeoutMs, lookup, startLimit } = this.#settings;
    let cancelLookup: (() => void) | undefined;
    const stop = startLimit(clock, connectTimeoutMs, timeUp);
    return {
      options: {
        lookup: (...args) => {
          cancelLookup = lookup(...args) ?? undefined;
        },
        autoSelectFamily: true,
        autoSelectFamilyAttemptTimeout: Math.max(10, Math.min(OTHER_FAMILY_MS, Math.floor(connectTimeoutMs / 2))),
      },
      done: () => {
        stop();
        cancelLookup?.();
      },
    };
  }

  /**
   * Opens a connection within the connect timeout.
   *
   * @param start begins the connect with these options and returns its socket
   * @param readyEvent `connect`, or `secureConnect` for TLS
   */
  connect(start: (options: ConnectOptions) => Socket, readyEvent: 'connect' | 'secureConnect'): Socket {
    let socket: Socket | undefined;
    const watch = this.watch(() => socket?.destroy(new Error('connect timeout')));
    try {
      // A request that waited for a connection opens one when another ends, long after it was made.
      socket = unobserved(() => start(watch.options));
    } catch (error) {
      // Node refused the options: the connect has failed.
      watch.done();
      throw error;
    }
    socket.unref();
    socket.once(readyEvent, () => {
      watch.done();
      this.opened(socket);
    });
    socket.once('close', watch.done);
    return socket;
  }
}

/**
 * A keep-alive agent for requests of one scheme.
 *
 * @param isSecure whether the scheme is https; must be false with a proxy, since https needs a tunnel
 * @param proxy the proxy that forwards the requests; undefined for direct connections
 */
export function createAgent(connections: Connections, isSecure: boolean, proxy?: Proxy): HttpAgent {
  const isTls = proxy === undefined ? isSecure : proxy.url.protocol === 'https:';
  const settings = { keepAlive: true, maxSockets: Infinity, timeout: IDLE_MS };
  const agent = isTls ? new HttpsAgent(settings) : new HttpAgent(settings);
  const createConnection = agent.createConnection.bind(agent);
  agent.createConnection = (options) =>
    connections.connect((more) => createConnection(connectionOptions(options, more)) as Socket, isTls ? 'secureConnect' : 'connect');
  if (proxy === undefined) return attach(agent, connections);
  // Requests to forward are http, even if the connection to the proxy is TLS.
  Object.assign(agent, { protocol: 'http:', defaultPort: 80 });
  return attach(agent, connections, (request, options) => toProxy(request, options, proxy));
}

/**
 * Node copies the options of a connection into new objects. Without these keys it would read them from a polluted `Object.prototype`:
 * another socket, for example, or certificates. (Not shared with `bareStreamOptions`: an import would be one more file that each host
 * loads at its start.)
 */
const NOT_GIVEN = {
  ALPNCallback: undefined,
  ca: undefined,
  cert: undefined,
  construct: undefined,
  crl: undefined,
  destroy: undefined,
  enableTrace: undefined,
  fd: undefined,
  final: undefined,
  handle: undefined,
  key: undefined,
  objectMode: undefined,
  onread: undefined,
  pfx: undefined,
  pskCallback: undefined,
  read: undefined,
  readable: undefined,
  secureContext: undefined,
  signal: undefined,
  socket: undefined,
  writable: undefined,
  write: undefined,
};

/** The options of a connection, without a prototype. */
export function connectionOptions<O extends object, M extends object>(options: O, more: M): O & M {
  return { __proto__: null, ...NOT_GIVEN, ...options, ...more };
}

/** The method by which an agent takes a request: not documented, but every library of agents builds on it. */
interface TakesRequests {
  addRequest(request: ClientRequest, options: object): void;
}

/** The longest head of an answer, as long as a body may be. Beyond Node's own limit of 16 KiB an answer is lost, whatever its status. */
const MAX_HEAD_BYTES = 65_536;

const ofNode = HttpAgent.prototype as unknown as TakesRequests;

/**
 * Has an agent report its requests to `connections`, write no header but ours, and unref a connection each time it is used again,
 * since Node refs it then.
 *
 * @param prepare changes a request and its options before Node sees them
 */
export function attach<A extends HttpAgent>(
  agent: A,
  connections: Connections,
  prepare: (request: ClientRequest, options: object) => object = (_request, options) => options,
): A {
  const reuseSocket = agent.reuseSocket.bind(agent);
  const methods: TakesRequests & Pick<HttpAgent, 'reuseSocket'> = {
    addRequest(request, options) {
      connections.requested(request);
      // The types of Node do not have this property.
      Object.assign(request, { maxHeaderSize: MAX_HEAD_BYTES });
      request.removeHeader('proxy-authorization');
      const prepared = prepare(request, options);
      isolateRequest(request);
      ofNode.addRequest.call(agent, request, prepared);
    },
    reuseSocket(socket, request) {
      reuseSocket(socket, request);
      (socket as Socket).unref();
      connections.reused(socket);
      // Deno (seen in 2.9.6) sends a request once more if its reused connection ends, even if it was aborted, and this is how it knows.
      request.reusedSocket = false;
    },
  };
  return Object.assign(agent, methods);
}

/** Turns a request into one to an HTTP proxy (RFC 9112, 3.2.2) and returns the options that lead to the proxy. */
function toProxy(request: ClientRequest, options: object, proxy: Proxy): object {
  request.path = `http://${String(request.getHeader('host'))}${request.path}`;
  // A connection for each request: some proxies (tinyproxy) promise to keep a connection and still close it, and a request that crosses
  // the close is lost, since it may have been read. A proxy is near, so a connection costs little.
  request.shouldKeepAlive = false;
  if (proxy.authorization !== undefined) request.setHeader('proxy-authorization', proxy.authorization);
  const host = bareHost(proxy.url.hostname);
  const port = Number(proxy.url.port) || (proxy.url.protocol === 'https:' ? 443 : 80);
  return { __proto__: null, ...options, host, port, servername: isIP(host) === 0 ? host : '' };
}
