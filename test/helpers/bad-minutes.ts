import { createServer } from 'node:net';
import type { Server, Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import type { ExecutionContext } from 'ava';
import { refusedPort, startCollector } from '../../src/testing/index.js';
import { startDnsServer } from './dns-server.js';
import type { FaultSite, NetworkFault } from './fault-types.js';
import { listen, tlsFile, tlsPath } from './loopback.js';

/** `concurrency`: how many requests may be written when an outage begins. */
const IN_FLIGHT = 6;

/** An endpoint that opens, closes and refuses as it is told. It answers every request with 200. */
class FlickeringEndpoint {
  answered2xx = 0;
  readonly #port: number;
  readonly #idleMs: number | undefined;
  readonly #sockets = new Set<Socket>();
  #server: Server | undefined;

  constructor(port: number, idleMs?: number) {
    this.#port = port;
    this.#idleMs = idleMs;
  }

  async open(): Promise<void> {
    const server = createServer((socket) => this.#serve(socket));
    this.#server = server;
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject).listen(this.#port, '127.0.0.1', resolve);
    });
  }

  /** Refuses connections, and ends those that it has. */
  refuse(): void {
    this.#server?.close();
    for (const socket of this.#sockets) socket.destroy();
  }

  #serve(socket: Socket): void {
    this.#sockets.add(socket);
    socket.on('error', () => {}).on('close', () => this.#sockets.delete(socket));
    let idle: NodeJS.Timeout | undefined;
    let text = '';
    socket.setEncoding('latin1').on('data', (chunk: string) => {
      clearTimeout(idle);
      text += chunk;
      for (let end = text.indexOf('\r\n\r\n'); end !== -1; end = text.indexOf('\r\n\r\n')) {
        text = text.slice(end + 4);
        this.answered2xx += 1;
        socket.write('HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n');
      }
      if (this.#idleMs !== undefined) idle = setTimeout(() => socket.destroy(), this.#idleMs);
    });
  }
}

async function flickering(t: ExecutionContext, idleMs?: number): Promise<{ endpoint: FlickeringEndpoint; where: FaultSite['where'] }> {
  const port = await refusedPort();
  const endpoint = new FlickeringEndpoint(port, idleMs);
  t.teardown(() => endpoint.refuse());
  return { endpoint, where: { endpoint: `http://127.0.0.1:${port}` } };
}

/** A port of loopback. The child connects to it as it begins. */
async function startingGun(t: ExecutionContext, begin: () => Promise<void>): Promise<number> {
  const server = createServer((socket) => {
    socket.destroy();
    begin().catch((error: unknown) => t.fail(String(error)));
  });
  return (await listen(t, server)).port;
}

function idleServer(isBusy: boolean, name: string): NetworkFault {
  return {
    name,
    told: [],
    mostLost: 0,
    begin: async (t) => {
      const { endpoint, where } = await flickering(t, 1000);
      await endpoint.open();
      return { where: { ...where, rounds: 5, pauseMs: isBusy ? 1100 : 1000, isBusy }, answered2xx: () => endpoint.answered2xx };
    },
  };
}

function busyLoop(turnMs: number): NetworkFault {
  return {
    name: `a host whose event loop turns take ${turnMs} ms, over https`,
    told: [],
    mostLost: 0,
    begin: async (t) => {
      const server = await startCollector({ tls: { key: tlsFile('server-key.pem'), cert: tlsFile('server.pem') } });
      t.teardown(() => server.close());
      const { address } = await startDnsServer(t, (type) => (type === 'A' ? ['127.0.0.1'] : []));
      return {
        where: { endpoint: `https://collector.test:${server.port}`, nameServers: [address], turnMs },
        env: { NODE_EXTRA_CA_CERTS: tlsPath('authority.pem').pathname },
        answered2xx: () => server.answered2xx,
      };
    },
  };
}

/** Bad minutes of a network that works otherwise: everything is delivered. */
export const BAD_MINUTES: readonly NetworkFault[] = [
  {
    name: 'a first name server that is dead',
    told: [],
    mostLost: 0,
    begin: async (t) => {
      const server = await startCollector();
      t.teardown(() => server.close());
      const dead = await startDnsServer(t, () => 'silent');
      const { address } = await startDnsServer(t, (type) => (type === 'A' ? ['127.0.0.1'] : []));
      const where = { endpoint: `http://collector.test:${server.port}`, nameServers: [dead.address, address] };
      return { where, answered2xx: () => server.answered2xx };
    },
  },
  {
    name: 'an endpoint that comes up 500 ms late',
    told: [],
    mostLost: 0,
    begin: async (t) => {
      const { endpoint, where } = await flickering(t);
      const startPort = await startingGun(t, async () => {
        await sleep(500);
        await endpoint.open();
      });
      return { where: { ...where, startPort, pauseMs: 50 }, answered2xx: () => endpoint.answered2xx };
    },
  },
  {
    name: 'an outage of 100 ms',
    told: [],
    mostLost: IN_FLIGHT,
    begin: async (t) => {
      const { endpoint, where } = await flickering(t);
      await endpoint.open();
      const startPort = await startingGun(t, async () => {
        await sleep(300);
        endpoint.refuse();
        await sleep(100);
        await endpoint.open();
      });
      return { where: { ...where, startPort, rounds: 100, pauseMs: 10 }, answered2xx: () => endpoint.answered2xx };
    },
  },
  busyLoop(60),
  busyLoop(80),
  idleServer(false, 'a server that closes connections that are idle for a second'),
  idleServer(true, 'a server that closes connections that are idle for a second, while the host is busy'),
];
