// HTTP servers on the loopback interface for tests: the collector, and two dead ends.
import { createServer as createHttpServer } from 'node:http';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer } from 'node:net';
import type { AddressInfo, Server, Socket } from 'node:net';
import { createSecureContext, TLSSocket } from 'node:tls';
import type { SecureContext } from 'node:tls';
import { bare } from '../base/foreign-values.js';
import type { AwaitUsing } from '../base/platform-types.js';
import { collectRequest } from './collected-request.js';
import type { CollectedRequest, OpenRequest } from './collected-request.js';
import { answer, FaultScript } from './collector-faults.js';
import type { FaultSource } from './collector-faults.js';
import { CountWaiters } from './count-waiters.js';

/**
 * Options of `startCollector`.
 *
 * @example
 * const options: CollectorOptions = { faults: { kind: 'status', status: 503 } };
 * const collector = await startCollector(options);
 * await collector.close();
 */
export interface CollectorOptions {
  /** How it answers; see `Fault`. @default status 200 with an empty body */
  faults?: FaultSource | undefined;
  /** Key and certificate for https, in PEM. @default http */
  tls?: { readonly key: string | Uint8Array; readonly cert: string | Uint8Array } | undefined;
  /** Address to listen on. @default '127.0.0.1' @example '::1' */
  host?: string | undefined;
}

/**
 * A telemetry endpoint on the loopback interface that keeps all requests and fails on demand.
 *
 * @example
 * const collector: Collector = await startCollector();
 * await fetch(`${collector.url}/v3/backfill?days=30`);
 * console.log(collector.requests[0]?.eventType, collector.answered2xx); // backfill 1
 * await collector.close();
 */
export interface Collector extends AwaitUsing {
  /** The value for `endpoint`, without a slash at the end. @example 'http://127.0.0.1:40123' */
  readonly url: string;
  /** The port that it listens on. */
  readonly port: number;
  /**
   * The requests whose head was read, in order of arrival. The list grows as requests arrive. It has no entry for a connection that a
   * fault ended or hung before its request.
   */
  readonly requests: readonly CollectedRequest[];
  /** Number of requests whose answer had a status of 2xx, with or without a complete body. */
  readonly answered2xx: number;
  /** Number of accepted connections. */
  readonly connections: number;
  /**
   * Number of open connections. A connection that the collector does not read (`hang` after `connect`) counts until `close()`: without
   * reading, the collector does not notice that the client has closed it.
   */
  readonly openConnections: number;
  /**
   * Replaces the faults. A list begins at its start. Requests in flight keep their fault.
   *
   * @throws TypeError for an unknown fault, a bad value or an empty list.
   */
  setFaults(faults: FaultSource): void;
  /**
   * Resolves when `requests` has at least `count` entries. Rejects when the collector closes before that.
   *
   * @throws (rejects) Error with the number of requests that arrived.
   */
  waitFor(count: number): Promise<void>;
  /** Lets the process end while the collector listens. Never throws. */
  unref(): void;
  /** Stops listening and destroys all connections. Idempotent. Never rejects. */
  close(): Promise<void>;
}

/** More than Node's default of 16 KiB, so that a test sees a request that is too long. */
const MAX_HEAD_BYTES = 64 * 1024;

/**
 * Starts a collector on a free port of the loopback interface. It has no timeouts: a connection stays open until one side closes it.
 *
 * A fault function that throws or returns an unknown fault causes an uncaught exception, so the mistake is visible.
 *
 * @param options By default it answers 200 over http.
 * @throws TypeError (rejects) for an unknown fault or a bad value, and an error of node:net for an address that it cannot listen on.
 * @example
 * const collector = await startCollector({ faults: [{ kind: 'status', status: 503 }, { kind: 'ok' }] });
 * console.log((await fetch(collector.url)).status, (await fetch(collector.url)).status); // 503 200
 * await collector.close();
 */
export async function startCollector(options: CollectorOptions = {}): Promise<Collector> {
  const collector = new LoopbackCollector(bare(options));
  await collector.listen();
  return collector;
}

/**
 * Returns a loopback port that refuses connections. The port was free a moment ago and is not reserved, so ask right before its use.
 *
 * @throws (rejects) An error of node:net if the machine has no port left.
 * @example
 * const telemetry = createTelemetry({
 *   product: { name: 'globex', version: '1.2.0' },
 *   endpoint: `http://127.0.0.1:${await refusedPort()}`,
 *   env: testEnvironment('globex'),
 * });
 * telemetry.reportRun({ status: 'success', tasks: [{ owned: true, status: 'success' }] });
 * console.log((await telemetry.close({ deadlineMs: 200 })).sent); // 0
 */
export async function refusedPort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(0, '127.0.0.1', resolve);
  });
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => {
    server.close(resolve);
  });
  return port;
}

/**
 * A server that accepts connections and never reads from them.
 *
 * @example
 * const server: SilentServer = await silentServer();
 * console.log(server.connections); // 0
 * await server.close();
 */
export type SilentServer = Pick<Collector, 'url' | 'port' | 'connections' | 'openConnections' | 'unref' | 'close'> & AwaitUsing;

/**
 * Starts a server that accepts connections and never reads from them: the request stays in the buffers of the kernel, and no answer
 * comes. On a loopback interface this is the closest to a firewall that drops packets.
 *
 * @throws (rejects) An error of node:net if the machine has no port left.
 * @example
 * const server = await silentServer();
 * const transport = fetchTransport({ endpoint: server.url, attemptTimeoutMs: 100 });
 * const telemetry = createTelemetry({ product: { name: 'globex', version: '1.2.0' }, transport, retries: 0 });
 * telemetry.reportRun({ status: 'success', tasks: [{ owned: true, status: 'success' }] });
 * console.log((await telemetry.drain({ deadlineMs: 5000 })).reasons); // { timeout: 2 }
 * await server.close();
 */
export function silentServer(): Promise<SilentServer> {
  return startCollector({ faults: { kind: 'hang', after: 'connect' } });
}

class LoopbackCollector implements Collector {
  readonly requests: OpenRequest[] = [];
  answered2xx = 0;
  connections = 0;
  readonly #host: string;
  readonly #secureContext: SecureContext | undefined;
  // A plain TCP server accepts the connections: it can reset or ignore one before HTTP or TLS begins.
  readonly #server: Server;
  readonly #http = createHttpServer({ keepAliveTimeout: 0, requestTimeout: 0, headersTimeout: 0, maxHeaderSize: MAX_HEAD_BYTES });
  readonly #sockets = new Set<Socket>();
  readonly #connectionOf = new WeakMap<Socket, Socket>();
  readonly #waiters = new CountWaiters('requests');
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
    return this.#waiters.wait(count);
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
      this.#waiters.close();
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
    // A client that resets its connection is a normal case here.
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
    this.#waiters.reach(this.requests.length);
  }
}
