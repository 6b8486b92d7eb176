import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { Readable } from 'node:stream';
import { gzipSync } from 'node:zlib';
import type { Fault, FaultHeaders } from './collector-faults.js';

/** A request that waits for its fault, and what is needed to do the worst to it. */
export interface Exchange {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  /** The TCP connection, below TLS where there is any. */
  readonly connection: Socket;
  /** To be called when the status line is written. */
  readonly onStatus: (status: number) => void;
}

/** Between a part of the body and the reset: a reset may take along what the client has not read yet. */
const BEFORE_RESET_MS = 50;

/** What a truncated or reset answer promises, in bytes, and does not keep. */
const PROMISED_LENGTH = '1024';

let bombMember: Buffer | undefined;

/** Does to a request what the fault says. Everything it leaves running ends with the connection and holds no process. */
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

/** The connection goes on after the reply, so what watches it must not stay: a thousand replies would be a thousand listeners. */
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

/** Members of gzip may stand one after the other (RFC 1952, section 2.2), so one packed MiB makes a bomb of any size. */
function bomb(unpackedMiB: number): Buffer {
  bombMember ??= gzipSync(Buffer.alloc(1024 * 1024), { level: 9 });
  return Buffer.alloc(bombMember.length * unpackedMiB, bombMember);
}
