/** Agents of Node's HTTP whose connections never hold the process, tell if they were ever open, and are reused for a moment only. */
import { Agent as HttpAgent } from 'node:http';
import type { ClientRequest } from 'node:http';
import { Agent as HttpsAgent } from 'node:https';
import { isIP } from 'node:net';
import type { Socket, TcpNetConnectOpts } from 'node:net';
import { bareHost } from '../../wire/host.js';
import type { UnderWay } from '../under-way.js';
import { closedError, dial, slowError } from './dial.js';
import type { ConnectSettings } from './dial.js';
import type { Lookup } from './name-lookup.js';
import { harden } from './message.js';
import { pollutedNames } from './pollution.js';
import type { Proxy } from './proxy.js';
import { AlteredError, guardWrites, isolateRequest, setOwn, unobserved } from './unobserved.js';

/**
 * How long after an answer its connection may be used again. Servers close idle connections (gunicorn after 2 s, Node after 5), and a
 * request that crosses the close is lost. A burst needs no longer, and an event that comes alone can afford a new connection.
 */
const REUSE_MS = 250;

/** Idle connections are closed after this time. Most of them are too old by then to be used again. */
export const IDLE_MS = 1000;

/** For how long no connection is used again after one that was used again has been reset. */
const NO_REUSE_MS = 600_000;

/** A step of a connect. */
interface Step {
  readonly lookup: (...args: Parameters<Lookup>) => void;
  /** Ends this step and begins the next one, which has the connect timeout to itself. */
  readonly next: () => void;
  /** To be called when the connect has succeeded or failed; a second call does nothing. */
  readonly done: () => void;
}

/** Where a connection leads. */
interface Place {
  readonly host: string;
  readonly address: string;
  hasAnswered: boolean;
}

/** Bounds the connects of a pool, and knows of each connection if it was ever open: if not, its request was certainly not written. */
export class Connections {
  readonly #settings: ConnectSettings;
  readonly #opened = new WeakSet<object>();
  /** By connection and not by request: there are far fewer. */
  readonly #reused = new WeakSet<object>();
  readonly #connecting = new WeakMap<ClientRequest, () => unknown>();
  readonly #places = new WeakMap<Socket, Place>();
  readonly #freeSinceMs = new WeakMap<Socket, number>();
  #latestRequest: ClientRequest | undefined;
  #wanted: Wanted | undefined;
  #reuseFromMs = 0;
  #slowestConnectMs = 0;

  constructor(settings: ConnectSettings) {
    this.#settings = settings;
  }

  /** How long the slowest connect took that succeeded, in milliseconds; 0 before the first. */
  get slowestConnectMs(): number {
    return this.#slowestConnectMs;
  }

  /**
   * Runs a function that makes one request, and captures the request as it reaches one of our agents.
   *
   * @returns `request` is undefined if none reached an agent of ours
   */
  capture<T>(wanted: Wanted, run: () => T): { result: T; request: ClientRequest | undefined } {
    this.#latestRequest = undefined;
    this.#wanted = wanted;
    try {
      const result = run();
      return { result, request: this.#latestRequest };
    } finally {
      this.#wanted = undefined;
    }
  }

  /** Reports a request that reached an agent. @returns What was asked for; undefined if it was no request, or has been made. */
  requested(request: ClientRequest): Wanted | undefined {
    const wanted = this.#wanted;
    this.#wanted = undefined;
    if (wanted !== undefined) this.#latestRequest = request;
    return wanted;
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
  opened(socket: Socket, startedAtMs: number): void {
    this.#opened.add(socket);
    harden(socket);
    guardWrites(socket);
    this.#slowestConnectMs = Math.max(this.#slowestConnectMs, this.now() - startedAtMs);
  }

  now(): number {
    return this.#settings.clock.now();
  }

  /** Reports that a connection waits for another request. @returns Whether it may. */
  keeps(socket: Socket): boolean {
    // A busy or frozen host reads an answer late: for the server, the connection may have been idle for as long.
    this.#freeSinceMs.set(socket, this.#settings.startLimit.seenUntilMs(this.#settings.clock));
    return this.mayKeep;
  }

  /** Destroys the connections that have waited for too long. The timer of a socket is no help: a busy host runs it late. */
  prune(agent: HttpAgent): void {
    const usableSinceMs = this.now() - REUSE_MS;
    const freeSockets = agent.freeSockets as Record<string, Socket[]>;
    for (const { 0: name, 1: sockets } of Object.entries(freeSockets)) {
      const usable = sockets.filter((socket) => !socket.destroyed && (this.#freeSinceMs.get(socket) ?? 0) >= usableSinceMs);
      if (usable.length === sockets.length) continue;
      for (const socket of sockets) if (!usable.includes(socket)) socket.destroy();
      // Node takes the last of the list, and skips destroyed ones at its start only.
      if (usable.length === 0) delete freeSockets[name];
      else freeSockets[name] = usable;
    }
  }

  /** Reports that a request was answered. */
  answered({ socket }: ClientRequest): void {
    const place = socket === null ? undefined : this.#places.get(socket);
    if (place === undefined || place.hasAnswered) return;
    place.hasAnswered = true;
    this.#settings.history.worked(place.host, place.address);
  }

  /**
   * Reports that a request got no answer.
   *
   * @param isReset whether its connection has ended. If that had been used before, the server may have closed it while it was idle.
   */
  broke(request: ClientRequest, isReset: boolean): void {
    const place = request.socket === null ? undefined : this.#places.get(request.socket);
    if (isReset && this.wasReused(request)) this.#reuseFromMs = this.now() + NO_REUSE_MS;
    else if (place !== undefined) this.#settings.history.failed(place.host, place.address);
  }

  /** Counts what keeps the process alive. */
  get underWay(): UnderWay {
    return this.#settings.underWay;
  }

  /** Whether a request may ask the server to keep its connection. */
  get mayKeep(): boolean {
    return this.now() >= this.#reuseFromMs;
  }

  /** Bounds the steps of a connect that a library makes: `timeUp` is called when one takes longer than the connect timeout. */
  steps(timeUp: () => void): Step {
    const { clock, connectTimeoutMs, lookup, startLimit } = this.#settings;
    let cancelLookup: (() => void) | undefined;
    let stop = startLimit(clock, connectTimeoutMs, timeUp);
    const next = (): void => {
      stop();
      stop = startLimit(clock, connectTimeoutMs, timeUp);
    };
    return {
      lookup: (hostname, options, callback) => {
        const found: typeof callback = (...answer) => {
          next();
          callback(...answer);
        };
        cancelLookup = lookup(hostname, options, found) ?? undefined;
      },
      next,
      done: () => {
        stop();
        cancelLookup?.();
      },
    };
  }

  /**
   * Opens a connection for the latest request.
   *
   * @param options what `net.connect` takes
   * @param secure begins TLS on the connection; undefined for none
   */
  open(options: TcpNetConnectOpts, secure: ((socket: Socket) => Socket) | undefined, done: Done): void {
    const startedAtMs = this.now();
    let endTls: (() => void) | undefined;
    const { host = 'localhost' } = options;
    const finish = (error: NodeJS.ErrnoException | null, socket: Socket | undefined, address = ''): void => {
      if (socket !== undefined) {
        this.opened(socket, startedAtMs);
        this.#places.set(socket, { host, address, hasAnswered: false });
      } else if (address !== '') this.#settings.history.failed(host, address);
      done(error, socket);
    };
    const endDial = dial(this.#settings, options, (error, socket) => {
      // Unknown only if the connection has ended already.
      const address = socket?.remoteAddress;
      if (socket === undefined || secure === undefined) finish(error, socket, address);
      else endTls = this.#secure(socket, secure, (tlsError, tlsSocket) => finish(tlsError, tlsSocket, address));
    });
    if (this.#latestRequest !== undefined) {
      this.whenAbandoned(this.#latestRequest, () => {
        endDial();
        endTls?.();
      });
    }
  }

  /** Begins TLS on a connection, within the connect timeout. @returns Ends it. */
  #secure(plain: Socket, secure: (socket: Socket) => Socket, done: Done): () => void {
    const { clock, connectTimeoutMs, startLimit } = this.#settings;
    let isOver = false;
    const finish: Done = (error, socket) => {
      if (isOver) return;
      isOver = true;
      stop();
      if (error !== null) plain.destroy();
      done(error, socket);
    };
    const stop = startLimit(clock, connectTimeoutMs, () => finish(slowError()));
    try {
      const socket = unobserved(() => secure(plain));
      harden(socket);
      socket.unref();
      socket.once('secureConnect', () => finish(null, socket));
      socket.on('error', (error) => finish(error));
      socket.once('close', () => finish(closedError()));
    } catch (error) {
      finish(error as NodeJS.ErrnoException);
    }
    return () => {
      if (isOver) return;
      isOver = true;
      stop();
      plain.destroy();
    };
  }
}

/** Certificates, as Node's TLS takes them: in PEM. */
export interface TlsSettings {
  readonly ca?: string | Uint8Array | readonly (string | Uint8Array)[] | undefined;
  readonly cert?: string | Uint8Array | undefined;
  readonly key?: string | Uint8Array | undefined;
}

/** A request as it was asked for. A host that replaces the class of requests may have made another one of it. */
export interface Wanted {
  readonly url: URL;
  readonly headers: Readonly<Record<string, string>>;
  /** What is posted; undefined for a GET. */
  readonly body?: Uint8Array | undefined;
}

type Done = (error: NodeJS.ErrnoException | null, socket?: Socket) => void;

/**
 * A keep-alive agent for requests of one scheme.
 *
 * @param isSecure whether the scheme is https; must be false with a proxy, since https needs a tunnel
 * @param proxy the proxy that forwards the requests; undefined for direct connections
 * @param tls certificates for direct connections
 */
export function createAgent(connections: Connections, isSecure: boolean, proxy?: Proxy, tls?: TlsSettings): HttpAgent {
  const isTls = proxy === undefined ? isSecure : proxy.url.protocol === 'https:';
  const settings = { keepAlive: true, maxSockets: Infinity, timeout: IDLE_MS, ...(proxy === undefined && (tls as object)) };
  const agent = isTls ? new HttpsAgent(settings) : new HttpAgent(settings);
  const createConnection = agent.createConnection.bind(agent);
  const open: HttpAgent['createConnection'] = (options, done) => {
    const secure = (socket: Socket): Socket => createConnection(connectionOptions(options, { socket })) as Socket;
    connections.open(connectionOptions(options, {}) as TcpNetConnectOpts, isTls ? secure : undefined, done as Done);
    return undefined;
  };
  setOwn(agent, 'createConnection', open);
  if (proxy === undefined) return attach(agent, connections);
  // Requests to forward are http, even if the connection to the proxy is TLS.
  Object.assign(agent, { protocol: 'http:', defaultPort: 80 });
  return attach(agent, connections, (way, origin) => viaProxy(way, origin, proxy));
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
  timeout: undefined,
  writable: undefined,
  write: undefined,
};

/** Options for which Node has a default that an own `undefined` would replace. Node gives them itself, so they are never inherited. */
const HAVE_DEFAULT: ReadonlySet<string> = new Set(['checkServerIdentity', 'ciphers', 'minDHSize', 'rejectUnauthorized']);

const REJECT = 'NODE_TLS_REJECT_UNAUTHORIZED';

/**
 * As {@link NOT_GIVEN}, with every name that is on a polluted `Object.prototype` now. Node reads one variable from `process.env`, which
 * inherits: a polluted one must not switch the check of certificates off.
 */
function notGiven(): object {
  const masked: Record<string, unknown> = Object.create(null) as Record<string, unknown>;
  for (const name of pollutedNames()) if (!HAVE_DEFAULT.has(name)) masked[name] = undefined;
  if (Object.hasOwn(Object.prototype, REJECT) && !Object.hasOwn(process.env, REJECT)) masked['rejectUnauthorized'] = true;
  return masked;
}

/** The options of a connection, without a prototype. */
export function connectionOptions<O extends object, M extends object>(options: O, more: M): O & M {
  return { __proto__: null, ...NOT_GIVEN, ...notGiven(), ...options, ...more };
}

/** The method by which an agent takes a request: not documented, but every library of agents builds on it. */
interface TakesRequests {
  addRequest(request: ClientRequest, options: object): void;
}

/** The longest head of an answer, as long as a body may be. Beyond Node's own limit of 16 KiB an answer is lost, whatever its status. */
const MAX_HEAD_BYTES = 65_536;

const ofNode = HttpAgent.prototype as unknown as TakesRequests;

/** What the requests to one origin have in common. */
interface Way {
  /** The headers, each line with its end. */
  readonly lines: string;
  /** What stands before the path in the first line. */
  readonly prefix: string;
  /** Where they connect. */
  readonly server: { readonly host: string; readonly port: number; readonly servername: string };
  readonly mayKeep: boolean;
}

/** As node-fetch sends it. */
export const ACCEPT = '*/*';

function directWay(url: URL, headers: Wanted['headers']): Way {
  const all = Object.entries({ accept: ACCEPT, ...headers, Host: url.host });
  return { lines: all.map(lineOf).join(''), prefix: '', server: serverOf(url, bareHost(url.hostname)), mayKeep: true };
}

function lineOf({ 0: name, 1: value }: [string, string]): string {
  return `${name}: ${value}\r\n`;
}

function serverOf({ port, protocol }: URL, host: string): Way['server'] {
  return { host, port: Number(port) || (protocol === 'https:' ? 443 : 80), servername: isIP(host) === 0 ? host : '' };
}

/**
 * Has an agent report its requests to `connections`, write each of them as it was asked for, and unref a connection each time it is used
 * again, since Node refs it then.
 *
 * @param change changes what is written, and where it goes, to an origin
 */
export function attach<A extends HttpAgent>(
  agent: A,
  connections: Connections,
  change: (way: Way, origin: string) => Way = (way) => way,
): A {
  const reuseSocket = agent.reuseSocket.bind(agent);
  const keepSocketAlive = agent.keepSocketAlive.bind(agent);
  // By origin. There are few: the endpoint's, and those that redirects may lead to.
  const ways = new Map<string, Way>();
  const methods: TakesRequests & Pick<HttpAgent, 'keepSocketAlive' | 'reuseSocket'> = {
    addRequest(request, options) {
      const wanted = connections.requested(request);
      if (wanted === undefined) {
        request.destroy(new AlteredError());
        return;
      }
      // The types of Node do not have the first property. Without the second one, Node reads a polluted one.
      Object.assign(request, { maxHeaderSize: MAX_HEAD_BYTES, timeout: undefined });
      const { url, body } = wanted;
      // The headers of a GET never change. Those of a POST do.
      let way = body === undefined ? ways.get(url.origin) : undefined;
      if (way === undefined) {
        way = change(directWay(url, wanted.headers), url.origin);
        if (body === undefined) ways.set(url.origin, way);
      }
      const { lines, prefix, server, mayKeep } = way;
      const method = body === undefined ? 'GET' : 'POST';
      isolateRequest(request, `${method} ${prefix}${url.pathname}${url.search} HTTP/1.1\r\n${lines}`, body);
      connections.prune(agent);
      if (!connections.mayKeep || !mayKeep) request.shouldKeepAlive = false;
      ofNode.addRequest.call(agent, request, Object.assign(options, server, { socketPath: undefined }));
    },
    keepSocketAlive(socket) {
      // Node returns whether it keeps the connection; its types say that it returns nothing.
      return (keepSocketAlive(socket) as unknown as boolean) && connections.keeps(socket as Socket);
    },
    reuseSocket(socket, request) {
      reuseSocket(socket, request);
      (socket as Socket).unref();
      connections.reused(socket);
      // Deno (seen in 2.9.6) sends a request once more if its reused connection ends, even if it was aborted, and this is how it knows.
      request.reusedSocket = false;
    },
  };
  for (const name of Object.keys(methods)) setOwn(agent, name, methods[name as keyof typeof methods]);
  return agent;
}

/**
 * Turns a request into one to an HTTP proxy (RFC 9112, 3.2.2). Each has a connection of its own: some proxies (tinyproxy) promise to keep
 * a connection and still close it, and a request that crosses the close is lost, since it may have been read. A proxy is near, so a
 * connection costs little.
 */
function viaProxy({ lines }: Way, origin: string, { authorization, url }: Proxy): Way {
  const more = authorization === undefined ? '' : lineOf(['proxy-authorization', authorization]);
  return { lines: `${lines}${more}`, prefix: origin, server: serverOf(url, bareHost(url.hostname)), mayKeep: false };
}
