import { createServer } from 'node:http';
import type { RequestListener, Server, ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { Clock } from '../../base/clock.js';
import type { ListenAddress } from '../options.js';
import { MAX_TARGET_BYTES } from '../request-target.js';
import type { AnswerName, Answers } from './answers.js';

/** What a server bears. */
export interface ServerLimits {
  maxConnections: number;
  headersTimeoutMs: number;
  requestTimeoutMs: number;
  keepAliveTimeoutMs: number;
}

/** A target of the longest kind, and as much again for headers; Node holds it for each connection that sends its head. */
const MAX_HEAD_BYTES = 2 * MAX_TARGET_BYTES;

/** How often connections are looked at that are too slow. */
const CHECK_MS = 500;

/** How long an answer that is under way may take to leave, when the server closes or the connection ends with it. */
const GRACE_MS = 250;

/** A connection serves so many requests, and then makes room. */
const MAX_REQUESTS = 10_000;

/** A plain HTTP server within bounds: slow clients are cut off, and whatever is no HTTP is answered and closed. */
export function boundedServer(limits: ServerLimits, answers: Answers, listener: RequestListener): Server {
  /** The latest answer on each connection: what is wrong behind its request waits for it. */
  const answering = new WeakMap<Duplex, ServerResponse>();
  const lastWord = (socket: Duplex, answer: AnswerName): void => {
    const earlier = answering.get(socket);
    if (earlier === undefined || earlier.writableFinished) end(socket, answers.raw(answer));
    else earlier.once('finish', () => end(socket, answers.raw(answer)));
  };
  const server = createServer(
    {
      maxHeaderSize: MAX_HEAD_BYTES,
      headersTimeout: Math.min(limits.headersTimeoutMs, limits.requestTimeoutMs),
      requestTimeout: limits.requestTimeoutMs,
      keepAliveTimeout: limits.keepAliveTimeoutMs,
      connectionsCheckingInterval: Math.min(CHECK_MS, limits.headersTimeoutMs),
      noDelay: true,
    },
    (request, response) => {
      answering.set(request.socket, response);
      listener(request, response);
    },
  );
  server.maxConnections = limits.maxConnections;
  // No limit but that of their bytes: beyond one Node leaves headers out, and what is not seen cannot be turned away.
  server.maxHeadersCount = 0;
  server.maxRequestsPerSocket = MAX_REQUESTS;
  // Whoever asks and does not read the answers: nothing moves on such a connection, and no limit of a request covers it.
  server.timeout = limits.requestTimeoutMs;
  // A connection that could not be accepted, for want of memory or by a rule of the machine: the next one may be.
  server.on('error', () => undefined);
  server.on('clientError', (error: ClientError, socket) => {
    // Whoever has been answered already, or has gone, is told nothing more.
    if (!socket.writable || error.code === 'ECONNRESET' || socket.destroyed) socket.destroy();
    else lastWord(socket, answerTo(error));
  });
  // What a client expects is not asked for: a 417 of Node's own would be in no count.
  server.on('checkExpectation', (request, response) => server.emit('request', request, response));
  server.on('connect', (_request, socket) => {
    lastWord(socket, 'not_get');
  });
  return server;
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

/** Says the last word. A client that goes on sending, or does not read it, would otherwise never be rid of. */
function end(socket: Duplex, text: string): void {
  socket.on('error', () => undefined);
  socket.end(text, () => socket.destroy());
  // Undefined where a server of somebody else speaks over another kind of stream.
  (socket as Partial<Socket>).setTimeout?.(GRACE_MS, () => socket.destroy());
}

/** @returns Where it really listens. @throws (rejects) as node:net does, for an address that is taken or not this machine's. */
export async function listenAt(server: Server, { host, port }: ListenAddress): Promise<ListenAddress> {
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen({ host, port }, () => {
      server.off('error', reject);
      resolve();
    });
  });
  return { host, port: (server.address() as AddressInfo).port };
}

/** Takes no connection any more, lets answers under way leave, and ends what connections there are then. */
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
