import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { RequestListener, ServerResponse } from 'node:http';
import { createServer as createSecureServer } from 'node:https';
import { createServer as createTcpServer } from 'node:net';
import type { AddressInfo, Server, Socket } from 'node:net';
import type { ExecutionContext } from 'ava';

/** A server on a free port of loopback. It stops at the end of the test. */
export interface LoopbackServer {
  readonly port: number;
  /** All connections so far. */
  readonly connections: Socket[];
  /** All request targets so far, if it is an HTTP server. */
  readonly targets: string[];
}

/** A file of `test/vectors/tls/`. */
export function tlsFile(name: string): string {
  return readFileSync(tlsPath(name), 'utf8');
}

/** The path of a file of `test/vectors/tls/`. */
export function tlsPath(name: string): URL {
  return new URL(`../../../test/vectors/tls/${name}`, import.meta.url);
}

/** Lets a server listen on a free port of loopback until the end of the test. */
export async function listen(t: ExecutionContext, server: Server): Promise<{ port: number; connections: Socket[] }> {
  const connections: Socket[] = [];
  server.on('connection', (socket: Socket) => {
    // A client that resets its connection is a normal case here.
    socket.on('error', () => {});
    connections.push(socket);
  });
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve);
  });
  t.teardown(async () => {
    for (const socket of connections) socket.destroy();
    await new Promise<void>((resolve) => {
      server.close(() => resolve());
    });
  });
  return { port: (server.address() as AddressInfo).port, connections };
}

/** Starts a TCP server whose connections are handled by the test. */
export async function startTcp(t: ExecutionContext, onConnection: (socket: Socket) => void): Promise<LoopbackServer> {
  const server = createTcpServer(onConnection);
  return { ...(await listen(t, server)), targets: [] };
}

/** Starts an HTTP server. If `secure`, it uses TLS with the certificate of `test/vectors/tls/`. */
export async function startHttp(t: ExecutionContext, answer: RequestListener, secure = false): Promise<LoopbackServer> {
  const targets: string[] = [];
  const listener: RequestListener = (request, response) => {
    targets.push(request.url ?? '');
    answer(request, response);
  };
  const server = secure
    ? createSecureServer({ key: tlsFile('server-key.pem'), cert: tlsFile('server.pem') }, listener)
    : createServer(listener);
  server.on('tlsClientError', () => {});
  return { ...(await listen(t, server)), targets };
}

/** Writes a body without an end, as fast as the client reads. */
export function writeForever(response: ServerResponse): void {
  const chunk = Buffer.alloc(16_384);
  const write = (): void => {
    while (!response.destroyed && response.write(chunk));
  };
  response.on('drain', write);
  write();
}

export { refusedPort as freePort } from '../../src/testing/collector.js';

/** Waits for a condition, without a limit: the test has one. */
export async function until(holds: () => boolean): Promise<void> {
  while (!holds()) {
    await new Promise<void>((resolve) => {
      setImmediate(resolve);
    });
  }
}
