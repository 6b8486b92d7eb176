/**
 * Connections to https endpoints through a proxy's CONNECT. This file is a load border: only hosts behind a proxy need the library for
 * tunnels.
 */
import type { ClientRequest } from 'node:http';
import type { Socket } from 'node:net';
import { checkServerIdentity } from 'node:tls';
import { HttpsProxyAgent } from 'https-proxy-agent';
import { attach, connectionOptions, IDLE_MS } from './agents.js';
import type { Connections, ConnectOptions } from './agents.js';
import type { Proxy } from './proxy.js';
import { unobserved } from './unobserved.js';

const ONCE = { __proto__: null, once: true };

type TunnelOptions = Parameters<HttpsProxyAgent<string>['connect']>[1];

/**
 * A keep-alive agent. The library speaks to the proxy. Added here is what the library leaves out: the connect timeout; an answer to
 * CONNECT other than 200 as a failed connect, which would otherwise pass for the endpoint's own answer; and the check of the
 * certificate if the endpoint is an IP address.
 */
export class TunnelAgent extends HttpsProxyAgent<string> {
  readonly #connections: Connections;
  readonly #connecting = new Set<() => void>();
  #isDestroyed = false;

  constructor(connections: Connections, proxy: Proxy) {
    // The credentials go into a header: with DEBUG set, the library prints its URL.
    const headers = proxy.authorization === undefined ? {} : { 'Proxy-Authorization': proxy.authorization };
    super(proxy.url, { keepAlive: true, maxSockets: Infinity, headers });
    this.#connections = connections;
    this.options = { path: undefined, timeout: IDLE_MS };
    // If not set, the library derives both from a stack trace, for each request.
    this.protocol = 'https:';
    this.defaultPort = 443;
    attach(this, connections);
  }

  override async connect(request: ClientRequest, options: TunnelOptions): Promise<Socket> {
    if (this.#isDestroyed || request.destroyed) throw new Error('the request is over');
    const controller = new AbortController();
    const abort = (): void => controller.abort();
    const watch = this.#connections.watch(abort);
    this.#connecting.add(abort);
    this.#connections.whenAbandoned(request, () => this.#connecting.has(abort) && abort());
    try {
      // The library misses some ends of a connection to the proxy, so the abort is awaited, too. It destroys the connection to the
      // proxy, and TLS over that connection ends with it.
      const aborted = rejectOnAbort(controller.signal);
      const socket = await Promise.race([this.#openTunnel(request, options, { ...watch.options, signal: controller.signal }), aborted]);
      socket.unref();
      await Promise.race([secured(socket), aborted]);
      this.#connections.opened(socket);
      return socket;
    } finally {
      watch.done();
      this.#connecting.delete(abort);
    }
  }

  override destroy(): void {
    this.#isDestroyed = true;
    for (const abort of this.#connecting) abort();
    super.destroy();
  }

  async #openTunnel(request: ClientRequest, options: TunnelOptions, more: ConnectOptions & { signal: AbortSignal }): Promise<Socket> {
    let status = 0;
    request.once('proxyConnect', (answer: { statusCode: number }) => {
      status = answer.statusCode;
    });
    // The library reads this before its first await, so no other connect can change it in between.
    this.connectOpts = connectionOptions(this.connectOpts, more);
    const host = options.host ?? '';
    const identity: typeof checkServerIdentity = (_name, certificate) => checkServerIdentity(host, certificate);
    const socket = await unobserved(() =>
      super.connect(request, connectionOptions(options, { checkServerIdentity: identity }) as TunnelOptions),
    );
    if (status === 200) return socket;
    socket.destroy();
    throw new Error('the proxy refused the tunnel');
  }
}

/** Resolves when a TLS connection is ready; rejects if it ends before. */
async function secured(socket: Socket): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    const failed = (): void => reject(new Error('no TLS connection'));
    socket.once('secureConnect', resolve).once('error', failed).once('close', failed);
  });
}

async function rejectOnAbort(signal: AbortSignal): Promise<never> {
  return new Promise((_resolve, reject) => {
    signal.addEventListener('abort', () => reject(new Error('aborted')), ONCE);
  });
}
