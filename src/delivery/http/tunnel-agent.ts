import type { ClientRequest } from 'node:http';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { checkServerIdentity } from 'node:tls';
import { HttpsProxyAgent } from 'https-proxy-agent';
import { addRequest, IDLE_MS } from './agents.js';
import type { AgentSettings, ConnectOptions } from './agents.js';
import type { Proxy } from './proxy.js';

type TunnelOptions = Parameters<HttpsProxyAgent<string>['connect']>[1];

/** Resolves once a TLS connection is ready for use, rejects if it will never be. */
async function secured(socket: Socket): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    const failed = (): void => reject(new Error('no TLS connection'));
    socket.once('secureConnect', resolve).once('error', failed).once('close', failed);
  });
}

/** Rejects once the signal is aborted. */
async function aborted(signal: AbortSignal): Promise<never> {
  return new Promise((_resolve, reject) => {
    signal.addEventListener('abort', () => reject(new Error('given up')), { once: true });
  });
}

/**
 * Keep-alive connections to https endpoints through a proxy's CONNECT. The library speaks to the proxy; added here is what it
 * leaves out: a limit of time, an answer other than 200 as a failed connect (it would pass for the endpoint's own answer), and
 * the name that the certificate must have where the endpoint is an address.
 */
export class TunnelAgent extends HttpsProxyAgent<string> {
  readonly #settings: AgentSettings;
  readonly #underWay = new Set<() => void>();
  #destroyed = false;

  constructor(settings: AgentSettings, proxy: Proxy) {
    // The credentials go in a header: the library prints the URL it was given where DEBUG asks for it.
    const headers = proxy.authorization === undefined ? {} : { 'Proxy-Authorization': proxy.authorization };
    super(proxy.url, { keepAlive: true, maxSockets: settings.maxSockets, headers });
    this.#settings = settings;
    this.options = { path: undefined, timeout: IDLE_MS };
    // Otherwise found out from a stack trace, for each request.
    this.protocol = 'https:';
    this.defaultPort = 443;
  }

  addRequest(request: ClientRequest, options: object): void {
    this.#settings.onRequest(request);
    addRequest(this, request, options);
  }

  override async connect(request: ClientRequest, options: TunnelOptions): Promise<Socket> {
    if (this.#destroyed) throw new Error('destroyed');
    const { connections } = this.#settings;
    const abort = new AbortController();
    const cut = (): void => abort.abort();
    const watch = connections.watch(cut);
    this.#underWay.add(cut);
    try {
      // The library does not notice each end of a connection to the proxy: it is not waited for alone. Once aborted, the
      // connection to the proxy is destroyed, and TLS over it ends with it.
      const givenUp = aborted(abort.signal);
      const socket = await Promise.race([this.#tunnel(request, options, { ...watch.options, signal: abort.signal }), givenUp]);
      socket.unref();
      await Promise.race([secured(socket), givenUp]);
      connections.opened(socket);
      return socket;
    } finally {
      watch.done();
      this.#underWay.delete(cut);
    }
  }

  override reuseSocket(socket: Duplex, request: ClientRequest): void {
    super.reuseSocket(socket, request);
    (socket as Socket).unref();
  }

  override destroy(): void {
    this.#destroyed = true;
    for (const cut of this.#underWay) cut();
    super.destroy();
  }

  async #tunnel(request: ClientRequest, options: TunnelOptions, more: ConnectOptions & { signal: AbortSignal }): Promise<Socket> {
    let status = 0;
    request.once('proxyConnect', (answer: { statusCode: number }) => {
      status = answer.statusCode;
    });
    // Read before the library's first await, so no other connect can come between.
    this.connectOpts = { ...this.connectOpts, ...more };
    const host = options.host ?? '';
    const identity: typeof checkServerIdentity = (_name, certificate) => checkServerIdentity(host, certificate);
    const socket = await super.connect(request, { ...options, checkServerIdentity: identity } as TunnelOptions);
    if (status === 200) return socket;
    socket.destroy();
    throw new Error('refused by the proxy');
  }
}
