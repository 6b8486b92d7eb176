// An endpoint in its own process, so that it takes no time from the client. Its counts are used for delivery.
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { NODE } from './child.mjs';

/**
 * Starts a collector on a free port of the loopback interface.
 *
 * @param options.kind `get` counts requests without a body, as fast as a process can; `batch` reads bodies and counts their events;
 *   `silent` accepts connections and never answers
 * @param options.latencyMs how long each answer takes, in milliseconds
 * @param options.distanceMs the round trip to it, in milliseconds, for handshakes too
 * @param options.tls key and certificate in PEM, to speak https
 */
export async function startCollector({ kind = 'get', latencyMs = 0, distanceMs = 0, tls } = {}) {
  const child = fork(new URL('collector-main.mjs', import.meta.url), {
    execPath: NODE,
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
  });
  const ask = async (question) => {
    const answer = once(child, 'message');
    child.send(question);
    return (await answer)[0];
  };
  const { port } = await ask({ start: { kind, latencyMs, distanceMs, tls } });
  return {
    url: `${tls === undefined ? 'http' : 'https'}://127.0.0.1:${port}`,
    /** @returns {Promise<{ events: number, requests: number, sockets: number }>} since it started */
    counts: () => ask({ count: true }),
    async close() {
      const exited = once(child, 'exit');
      child.disconnect();
      await exited;
    },
  };
}

/** The URL of a port that was just free, so a connection to it is refused. */
export async function refusingUrl() {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address();
  server.close();
  await once(server, 'close');
  return `http://127.0.0.1:${port}`;
}
