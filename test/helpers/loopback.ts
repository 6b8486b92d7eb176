import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { RequestListener, ServerResponse } from 'node:http';
import { createServer as createSecureServer } from 'node:https';
import { createServer as createTcpServer } from 'node:net';
import type { AddressInfo, Server, Socket } from 'node:net';
import type { ExecutionContext } from 'ava';

/** A server on a free port of loopback that ends with the test. */
export interface LoopbackServer {
  readonly port: number;
  /** Connections so far, all of them. */
  readonly connections: Socket[];
  /** Request targets so far, of an HTTP server. */
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

/** Has a server listen on a free port of loopback until the test ends. */
export async function listen(t: ExecutionContext, server: Server): Promise<{ port: number; connections: Socket[] }> {
  const connections: Socket[] = [];
  server.on('connection', (socket: Socket) => {
    // A client that resets its connection is part of what is tested.
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

/** Starts a server that accepts connections and leaves all else to the test. */
export async function startTcp(t: ExecutionContext, onConnection: (socket: Socket) => void): Promise<LoopbackServer> {
  const server = createTcpServer(onConnection);
  return { ...(await listen(t, server)), targets: [] };
}

/** Starts an HTTP server; over TLS with the certificate of `test/vectors/tls/` where asked to. */
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

/** Writes a body that never ends, as fast as it is read. */
export function writeForever(response: ServerResponse): void {
  const chunk = Buffer.alloc(16_384);
  const write = (): void => {
    while (!response.destroyed && response.write(chunk));
  };
  response.on('drain', write);
  write();
}

export { refusedPort as freePort } from '../../src/testing/collector.js';

/** Resolves once a condition holds; the test's own limit of time ends it otherwise. */
export async function until(holds: () => boolean): Promise<void> {
  while (!holds()) {
    await new Promise<void>((resolve) => {
      setImmediate(resolve);
    });
  }
}
