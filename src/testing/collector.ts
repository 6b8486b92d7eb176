import { createServer as createHttpServer } from 'node:http';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer } from 'node:net';
import type { AddressInfo, Server, Socket } from 'node:net';
import { createSecureContext, TLSSocket } from 'node:tls';
import type { SecureContext } from 'node:tls';
import { bare } from '../base/foreign-values.js';
import { collectRequest, Milestones } from './collected-request.js';
import type { CollectedRequest, OpenRequest } from './collected-request.js';
import { answer } from './collector-answers.js';
import { FaultScript } from './collector-faults.js';
import type { FaultSource } from './collector-faults.js';

/** How `startCollector` listens and what it does. */
export interface CollectorOptions {
  /** What it does with requests; see `Fault`. @default answers 200 with an empty body */
  faults?: FaultSource;
  /** Speak https with this pair, in PEM. @default http */
  tls?: { readonly key: string | Uint8Array; readonly cert: string | Uint8Array };
  /** Where to listen. @default '127.0.0.1' */
  host?: string;
}

/** A telemetry endpoint on the loopback interface that keeps what it is sent and misbehaves on demand. */
export interface Collector extends AsyncDisposable {
  /** To be given as `endpoint`: `http://127.0.0.1:PORT`, without a slash at the end. */
  readonly url: string;
  readonly port: number;
  /** The requests whose head was read, in order of arrival. Live. A connection that a fault took before its request is not here. */
  readonly requests: readonly CollectedRequest[];
  /** Requests that were answered with a status line of 2xx, whatever became of the body. */
  readonly answered2xx: number;
  /** Connections ever accepted. */
  readonly connections: number;
  /** Connections open now. One that is never read from (`hang` after `connect`) counts until `close()`: it cannot see the client leave. */
  readonly openConnections: number;
  /** Other faults from now on, a list from its start. Requests under way keep theirs. */
  setFaults(faults: FaultSource): void;
  /** Resolves once `requests` holds `count`, at once where it does; rejects when the collector was closed before. */
  waitFor(count: number): Promise<void>;
  /** Lets the process end while this still listens. */
  unref(): void;
  /** Stops listening and destroys every connection. May be called again. */
  close(): Promise<void>;
}

/** A request may be longer than Node reads by default, so that a test can tell what a client would have sent. */
const MAX_HEAD_BYTES = 64 * 1024;

/**
 * Starts a collector on a free port of the loopback interface. It has no timeouts of its own: a connection stays until one side ends it.
 *
 * A fault function that throws, or says what is no fault, throws from the server's event: a slip in a script is not hidden.
 *
 * @throws TypeError (rejects) for faults that are unknown or cannot be done.
 */
export async function startCollector(options: CollectorOptions = {}): Promise<Collector> {
  const collector = new LoopbackCollector(bare(options));
  await collector.listen();
  return collector;
}

class LoopbackCollector implements Collector {
  readonly requests: OpenRequest[] = [];
  answered2xx = 0;
  connections = 0;
  readonly #host: string;
  readonly #secureContext: SecureContext | undefined;
  // Connections are accepted by a plain TCP server: only there can one be reset, or left alone, before HTTP or TLS begins.
  readonly #server: Server;
  readonly #http = createHttpServer({ keepAliveTimeout: 0, requestTimeout: 0, headersTimeout: 0, maxHeaderSize: MAX_HEAD_BYTES });
  readonly #sockets = new Set<Socket>();
  readonly #connectionOf = new WeakMap<Socket, Socket>();
  readonly #milestones = new Milestones('requests');
  #script: FaultScript;
  #address: AddressInfo = { address: '', family: '', port: 0 };
  #unrefd = false;
  #closing: Promise<void> | undefined;

  constructor({ faults = { kind: 'ok' }, tls, host = '127.0.0.1' }: CollectorOptions) {
    this.#script = new FaultScript(faults);
    this.#host = host;
    this.#secureContext = tls === undefined ? undefined : createSecureContext({ key: Buffer.from(tls.key), cert: Buffer.from(tls.cert) });
    this.#server = createServer({ pauseOnConnect: true }, (socket) => {
      this.#accept(socket);
    });
    this.#http.on('request', (request: IncomingMessage, response: ServerResponse) => {
      this.#serve(request, response);
    });
  }

  get port(): number {
    return this.#address.port;
  }

  get url(): string {
    const host = this.#host.includes(':') ? `[${this.#host}]` : this.#host;
    return `${this.#secureContext === undefined ? 'http' : 'https'}://${host}:${this.port}`;
  }

  get openConnections(): number {
    return this.#sockets.size;
  }

  async listen(): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      this.#server.once('error', reject);
      this.#server.listen(0, this.#host, resolve);
    });
    this.#address = this.#server.address() as AddressInfo;
  }

  setFaults(faults: FaultSource): void {
    this.#script = new FaultScript(faults);
  }

  waitFor(count: number): Promise<void> {
    return this.#milestones.wait(count);
  }

  unref(): void {
    this.#unrefd = true;
    this.#server.unref();
    for (const socket of this.#sockets) socket.unref();
  }

  close(): Promise<void> {
    this.#closing ??= new Promise((resolve) => {
      this.#server.close(() => {
        resolve();
      });
      for (const socket of this.#sockets) socket.destroy();
      this.#milestones.close();
    });
    return this.#closing;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #accept(socket: Socket): void {
    this.connections += 1;
    this.#sockets.add(socket);
    if (this.#unrefd) socket.unref();
    // Clients that leave in the middle are what this is for.
    socket.on('error', () => {});
    socket.once('close', () => this.#sockets.delete(socket));
    const fault = this.#script.takeForConnection();
    if (fault === 'reset') socket.resetAndDestroy();
    else if (fault === undefined) this.#speak(socket);
  }

  #speak(connection: Socket): void {
    let stream = connection;
    if (this.#secureContext !== undefined) {
      stream = new TLSSocket(connection, { isServer: true, secureContext: this.#secureContext });
      stream.on('error', () => {});
    }
    this.#connectionOf.set(stream, connection);
    this.#http.emit('connection', stream);
    stream.resume();
  }

  #serve(request: IncomingMessage, response: ServerResponse): void {
    const collected = collectRequest(request);
    this.requests.push(collected);
    const fault = this.#script.takeForRequest(collected, this.requests.length - 1);
    request.resume();
    answer(fault, {
      request,
      response,
      connection: this.#connectionOf.get(request.socket) ?? request.socket,
      onStatus: (status) => {
        collected.status = status;
        if (status < 300) this.answered2xx += 1;
      },
    });
    this.#milestones.reach(this.requests.length);
  }
}
