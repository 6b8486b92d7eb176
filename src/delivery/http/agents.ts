import { Agent as HttpAgent } from 'node:http';
import type { ClientRequest } from 'node:http';
import { Agent as HttpsAgent } from 'node:https';
import { isIP } from 'node:net';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { Clock } from '../../base/clock.js';
import { bareHost } from '../../wire/url.js';
import type { StartLimit } from '../pacing.js';
import type { Lookup } from './name-lookup.js';
import type { Proxy } from './proxy.js';

/** Node's own pause before it tries an address of the other family, where the time allows it. */
const OTHER_FAMILY_MS = 250;

/** What all connections of a transport have in common. */
export interface ConnectionSettings {
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

/** A connect under way. */
export interface ConnectWatch {
  readonly options: ConnectOptions;
  /** To be called once it has ended, well or not; again is harmless. */
  readonly done: () => void;
}

/**
 * Watches over connections: none holds the process, none takes longer to open than it may, and each is known to have been open
 * or not, since a request whose connection never opened was not written for certain.
 */
export class Connections {
  readonly #settings: ConnectionSettings;
  readonly #opened = new WeakSet<object>();

  constructor(settings: ConnectionSettings) {
    this.#settings = settings;
  }

  /** Whether a connection was ever ready to be written to. */
  wasOpen(socket: object): boolean {
    return this.#opened.has(socket);
  }

  /** Notes that a connection is ready: from here on, what is written to it may have been read. */
  opened(socket: Socket): void {
    this.#opened.add(socket);
    // Where two families were tried, the socket got another handle on the way, and that one is not unref'd yet.
    socket.unref();
  }

  /** Bounds a connect: `cut` is called when its time is up, and `done` ends its interest in a look-up. */
  watch(cut: () => void): ConnectWatch {
    const { clock, connectTimeoutMs, lookup, startLimit } = this.#settings;
    let release: (() => void) | undefined;
    const stop = startLimit(clock, connectTimeoutMs, cut);
    return {
      options: {
        lookup: (...args) => {
          release = lookup(...args) ?? undefined;
        },
        autoSelectFamily: true,
        autoSelectFamilyAttemptTimeout: Math.max(10, Math.min(OTHER_FAMILY_MS, Math.floor(connectTimeoutMs / 2))),
      },
      done: () => {
        stop();
        release?.();
      },
    };
  }

  /**
   * Opens a connection.
   *
   * @param start begins the connect with these options and returns its socket
   * @param readyEvent `connect`, or `secureConnect` for TLS
   */
  connect(start: (options: ConnectOptions) => Socket, readyEvent: 'connect' | 'secureConnect'): Socket {
    const watch = this.watch(() => socket.destroy(new Error('connect timeout')));
    const socket = start(watch.options);
    socket.unref();
    socket.once(readyEvent, () => {
      watch.done();
      this.opened(socket);
    });
    socket.once('close', watch.done);
    return socket;
  }
}

/** Idle connections are closed before a usual server does so after 5 s: a request that crosses such a close is lost. */
export const IDLE_MS = 4000;

/** What the agents of one transport share. */
export interface AgentSettings {
  readonly connections: Connections;
  readonly maxSockets: number;
  /** Told of each request as it is made: node-fetch keeps it to itself, and only its connection tells whether it was written. */
  readonly onRequest: (request: ClientRequest) => void;
}

/** The step of an agent in which it takes a request: untyped, yet what every agent library builds on. */
interface TakesRequests {
  addRequest(request: ClientRequest, options: object): void;
}

/** Node's own `addRequest`, for agents that do something before it. */
export function addRequest(agent: HttpAgent, request: ClientRequest, options: object): void {
  (HttpAgent.prototype as unknown as TakesRequests).addRequest.call(agent, request, options);
}

/** Destroys all connections of an agent. Requests that queue for one are let go of first, or each would open another. */
export function closeAgent(agent: HttpAgent): void {
  const queues = agent.requests as Record<string, unknown>;
  for (const name of Object.keys(queues)) delete queues[name];
  agent.destroy();
}

/** Turns a request into one to an HTTP proxy (RFC 9112, 3.2.2) and gives the options that lead there. */
function viaProxy(request: ClientRequest, options: object, proxy: Proxy): object {
  request.path = `http://${String(request.getHeader('host'))}${request.path}`;
  // A connection each: some proxies (tinyproxy) answer as if they kept a connection and close it all the same, and a request that
  // crosses the close is lost, since it may have been read. A proxy is near, so a connection costs little.
  request.shouldKeepAlive = false;
  if (proxy.authorization !== undefined) request.setHeader('proxy-authorization', proxy.authorization);
  const host = bareHost(proxy.url.hostname);
  const port = Number(proxy.url.port) || (proxy.url.protocol === 'https:' ? 443 : 80);
  return { ...options, host, port, servername: isIP(host) === 0 ? host : '' };
}

/** Connections over TCP: to http endpoints, kept alive, or to an http proxy that fetches from them. */
export class PlainAgent extends HttpAgent {
  readonly #settings: AgentSettings;
  readonly #proxy: Proxy | undefined;

  constructor(settings: AgentSettings, proxy?: Proxy) {
    super({ keepAlive: true, maxSockets: settings.maxSockets, timeout: IDLE_MS });
    this.#settings = settings;
    this.#proxy = proxy;
  }

  addRequest(request: ClientRequest, options: object): void {
    this.#settings.onRequest(request);
    addRequest(this, request, this.#proxy === undefined ? options : viaProxy(request, options, this.#proxy));
  }

  override createConnection(options: object): Duplex {
    return this.#settings.connections.connect((more) => super.createConnection({ ...options, ...more }) as Socket, 'connect');
  }

  override reuseSocket(socket: Duplex, request: ClientRequest): void {
    super.reuseSocket(socket, request);
    (socket as Socket).unref();
  }
}

/** Connections over TLS: to https endpoints, kept alive, or to an https proxy that fetches from http ones. */
export class SecureAgent extends HttpsAgent {
  readonly #settings: AgentSettings;
  readonly #proxy: Proxy | undefined;

  constructor(settings: AgentSettings, proxy?: Proxy) {
    super({ keepAlive: true, maxSockets: settings.maxSockets, timeout: IDLE_MS });
    this.#settings = settings;
    this.#proxy = proxy;
    // What a proxy fetches for us is http, even if the way to the proxy is not.
    if (proxy !== undefined) Object.assign(this, { protocol: 'http:', defaultPort: 80 });
  }

  addRequest(request: ClientRequest, options: object): void {
    this.#settings.onRequest(request);
    addRequest(this, request, this.#proxy === undefined ? options : viaProxy(request, options, this.#proxy));
  }

  override createConnection(options: object): Duplex {
    return this.#settings.connections.connect((more) => super.createConnection({ ...options, ...more }) as Socket, 'secureConnect');
  }

  override reuseSocket(socket: Duplex, request: ClientRequest): void {
    super.reuseSocket(socket, request);
    (socket as Socket).unref();
  }
}
