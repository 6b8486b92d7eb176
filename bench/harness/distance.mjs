// Distance between a client and a server on one machine: a proxy that holds every byte for half of a round trip in both directions, and the
// first bytes of a connection for one round trip more, which is what its handshake takes.
import { connect, createServer } from 'node:net';

/** @returns a server that passes everything on to a port of the loopback interface */
export function createDistance(port, roundTripMs) {
  return createServer({ noDelay: true }, (near) => {
    const far = connect({ port, host: '127.0.0.1', noDelay: true });
    const openAtMs = performance.now() + roundTripMs;
    const later = (use) => setTimeout(() => use(), Math.max(0, openAtMs - performance.now()) + roundTripMs / 2);
    const pass = (from, to) => {
      from.on('data', (chunk) => later(() => to.write(chunk)));
      from.on('end', () => later(() => to.end()));
      from.on('error', () => to.destroy());
      from.on('close', () => later(() => to.destroy()));
    };
    pass(near, far);
    pass(far, near);
  });
}
