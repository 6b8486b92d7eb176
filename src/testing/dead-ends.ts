import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';

import { startCollector } from './collector.js';
import type { Collector } from './collector.js';

/**
 * A port of the loopback interface on which nobody listens: connections are refused. It was free a moment ago and is not held, so
 * ask for it when it is needed.
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

/** A server that takes connections and never reads a byte from them. */
export type SilentServer = Pick<Collector, 'url' | 'port' | 'connections' | 'openConnections' | 'unref' | 'close'> & AsyncDisposable;

/**
 * Starts a server that accepts and never reads: a connection is made, a request goes into the kernel's buffers, nothing comes back. The
 * nearest thing to a firewall that drops packets that a loopback interface has.
 */
export function silentServer(): Promise<SilentServer> {
  return startCollector({ faults: { kind: 'hang', after: 'connect' } });
}
