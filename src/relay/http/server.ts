/** The relay's HTTP server: limits on connections, time and sizes, and answers to input that is no HTTP. */
import { createServer } from 'node:http';
import type { RequestListener, Server, ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { Clock } from '../../base/clock.js';
import { bare } from '../../base/foreign-values.js';
import { BareMessage, hardenListeners } from '../../delivery/http/message.js';
import { isLocalhostName } from '../../wire/host.js';
import type { ListenAddress, RelaySettings } from '../options.js';
import { MAX_TARGET_BYTES } from '../request-target.js';
import { guardAccepting } from '../accepting.js';
import type { AnswerName, Answers } from './answers.js';

/** The limits of a server, from the options of the same names. */
type ServerLimits = Pick<RelaySettings, 'headersTimeoutMs' | 'requestTimeoutMs' | 'keepAliveTimeoutMs'>;

/** The longest target, and as much again for headers. Node holds that much for each connection that is sending its head. */
const MAX_HEAD_BYTES = 2 * MAX_TARGET_BYTES;

/** How often Node looks for connections that are too slow. */
const CHECK_MS = 500;

/** How long an answer may take to leave when its connection or the server closes. */
const GRACE_MS = 250;

/** A connection is closed after this many requests, to make room for another client. */
const MAX_REQUESTS = 10_000;

/** How many connections wait in the kernel while the process is busy. The kernel takes less if its own limit is lower. */
const BACKLOG = 4096;

/** How often a free port is tried that may be taken in the other address family. */
const MAX_PORT_TRIES = 10;

/** The limit of connections that the servers of one address have together. */
export class ConnectionLimit {
  readonly #max: number;
  #open = 0;
  /** Called for each connection that is closed without an answer. */
  readonly onRefused: () => void;

  constructor(max: number, onRefused: () => void) {
    this.#max = max;
    this.onRefused = onRefused;
  }

  /** Counts a connection until it closes. One beyond the limit is destroyed. */
  take(socket: Duplex): void {
    if (this.#open >= this.#max) {
      socket.destroy();
      this.onRefused();
      return;
    }
    this.#open += 1;
    socket.once('close', () => {
      this.#open -= 1;
    });
  }
}

/** An HTTP server within limits: it disconnects slow clients, and answers input that is no HTTP before it disconnects. */
export function boundedServer(limits: ServerLimits, connections: ConnectionLimit, answers: Answers, listener: RequestListener): Server {
  /** The latest response on each connection: the answer to broken input that follows its request is sent after it. */
  const latest = new WeakMap<Duplex, ServerResponse>();
  const answerAndClose = (socket: Duplex, answer: AnswerName): void => {
    const earlier = latest.get(socket);
    if (earlier === undefined || earlier.writableFinished || isBeingReceived(earlier)) closeWith(socket, answers.raw(answer));
    // Before Node's own listener, which ends the connection if the client has ended its side.
    else earlier.prependOnceListener('finish', () => closeWith(socket, answers.raw(answer)));
  };
  const server = createServer(
    bare({
      maxHeaderSize: MAX_HEAD_BYTES,
      headersTimeout: Math.min(limits.headersTimeoutMs, limits.requestTimeoutMs),
      requestTimeout: limits.requestTimeoutMs,
      keepAliveTimeout: limits.keepAliveTimeoutMs,
      connectionsCheckingInterval: Math.min(CHECK_MS, limits.headersTimeoutMs),
      noDelay: true,
      // Node would answer 400 by itself, and no count would show it.
      requireHostHeader: false,
      IncomingMessage: BareMessage,
    }),
    (request, response) => {
      latest.set(request.socket, response);
      listener(request, response);
    },
  );
  server.prependListener('connection', (socket: Socket) => {
    hardenListeners(socket);
    connections.take(socket);
  });
  server.on('listening', () => guardAccepting(server, connections.onRefused));
  // 0 is no limit but that of their bytes. With a limit Node leaves out the headers beyond it, and the guard would not see them.
  server.maxHeadersCount = 0;
  server.maxRequestsPerSocket = MAX_REQUESTS;
  // For clients that send requests and never read the answers: such a connection is idle, and no request timeout covers it.
  server.timeout = limits.requestTimeoutMs;
  server.on('timeout', (socket: Socket) => {
    // Node destroys it if there is no listener.
    if (isBeingReceived(latest.get(socket))) closeWith(socket, answers.raw('timed_out'));
    else socket.destroy();
  });
  // A client may end its side after the request, as `nc -N` does: it still gets its answer. The types of Node do not have this property.
  Object.assign(server, { httpAllowHalfOpen: true });
  // One connection could not be accepted, for lack of memory or by a rule of the machine; the next one may be.
  server.on('error', () => {
    if (server.listening) connections.onRefused();
  });
  server.on('clientError', (error: ClientError, socket) => {
    if (!socket.writable || error.code === 'ECONNRESET' || socket.destroyed) socket.destroy();
    else answerAndClose(socket, answerTo(error));
  });
  // Ignores `Expect`: Node would answer 417 by itself, and no count would show it.
  server.on('checkExpectation', (request, response) => server.emit('request', request, response));
  // Node answers 503 to a request beyond `maxRequestsPerSocket`.
  server.on('dropRequest', () => {
    answers.count(503);
  });
  server.on('connect', (_request, socket) => {
    answerAndClose(socket, 'not_get');
  });
  return server;
}

/** Whether the body of a request is broken or too slow: it has no answer yet, and gets none from its handler. */
function isBeingReceived(response: ServerResponse | undefined): boolean {
  return response?.headersSent === false && !response.req.complete;
}

interface ClientError extends NodeJS.ErrnoException {
  rawPacket?: Uint8Array;
}

function answerTo({ code, rawPacket }: ClientError): AnswerName {
  if (code === 'ERR_HTTP_REQUEST_TIMEOUT') return 'timed_out';
  if (code !== 'HPE_HEADER_OVERFLOW') return 'malformed';
  const lineEndsAt = rawPacket?.indexOf(10) ?? 0;
  return lineEndsAt === -1 || lineEndsAt > MAX_TARGET_BYTES ? 'too_long' : 'headers_too_large';
}

/** Sends an answer and closes the connection, at the latest after the grace time: a client may go on sending, or not read the answer. */
function closeWith(socket: Duplex, answer: string): void {
  socket.on('error', () => undefined);
  socket.end(answer, () => socket.destroy());
  // Undefined on a stream that is no socket: `emit('connection')` takes any.
  (socket as Partial<Socket>).setTimeout?.(GRACE_MS, () => socket.destroy());
}

/** @returns The address it listens at. @throws (rejects) as node:net does if the address is taken or not one of this machine. */
export async function startListening(server: Server, { host, port }: ListenAddress): Promise<ListenAddress> {
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(bare({ host, port, backlog: BACKLOG }), () => {
      server.off('error', reject);
      resolve();
    });
  });
  return { host, port: (server.address() as AddressInfo).port };
}

const LOOPBACK = ['127.0.0.1', '::1'];

/** Errors of an address family that this machine does not have. */
const NO_SUCH_FAMILY: ReadonlySet<unknown> = new Set(['EADDRNOTAVAIL', 'EAFNOSUPPORT']);

/**
 * Starts a server at each address that a host stands for: `localhost` is both loopback addresses, since a client may try either first. An
 * address family that the machine does not have is left out if there is another.
 *
 * @param create Creates one server; called once for each address.
 * @returns The host, and the port that all servers have.
 * @throws (rejects) as `startListening` does.
 */
export async function startServers(create: () => Server, address: ListenAddress): Promise<ListenAddress> {
  for (let tries = 1; ; tries += 1) {
    const started: Server[] = [];
    try {
      return await startAll(create, address, started);
    } catch (error) {
      for (const server of started) server.close();
      // The free port of one family may be taken in the other.
      if (address.port !== 0 || tries === MAX_PORT_TRIES || codeOf(error) !== 'EADDRINUSE') throw error;
    }
  }
}

async function startAll(create: () => Server, { host, port: asked }: ListenAddress, started: Server[]): Promise<ListenAddress> {
  let port = asked;
  let missing: unknown;
  for (const each of isLocalhostName(host) ? LOOPBACK : [host]) {
    const server = create();
    try {
      ({ port } = await startListening(server, { host: each, port }));
      started.push(server);
    } catch (error) {
      if (!NO_SUCH_FAMILY.has(codeOf(error))) throw error;
      missing = error;
    }
  }
  if (started.length === 0) throw missing;
  return { host, port };
}

function codeOf(error: unknown): string | undefined {
  return (error as NodeJS.ErrnoException | undefined)?.code;
}

/** Accepts no more connections, lets the current answers leave, and closes the connections that remain after the grace time. */
export async function closeServer(server: Server, clock: Clock): Promise<void> {
  if (!server.listening) return;
  await new Promise<void>((resolve) => {
    const timer = clock.setTimeout(() => {
      server.closeAllConnections();
    }, GRACE_MS);
    server.close(() => {
      clock.clearTimeout(timer);
      resolve();
    });
    server.closeIdleConnections();
  });
}
