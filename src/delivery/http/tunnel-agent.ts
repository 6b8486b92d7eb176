/**
 * Connections to https endpoints through a proxy's CONNECT. This file is a load border: only hosts behind a proxy need the library for
 * tunnels.
 */
import type { ClientRequest } from 'node:http';
import type { Socket } from 'node:net';
import { checkServerIdentity } from 'node:tls';
import { HttpsProxyAgent } from 'https-proxy-agent';
import { attach, connectionOptions, IDLE_MS } from './agents.js';
import type { Connections, TlsSettings } from './agents.js';
import { closedError, slowError } from './dial.js';
import type { Proxy } from './proxy.js';
import { unobserved } from './unobserved.js';

const ONCE = { __proto__: null, once: true };

/**
 * How long Node tries one address of the proxy before it gives that up for the next one. The library opens this connection, so the
 * addresses cannot race as those of an endpoint do; a proxy is near.
 */
const NEXT_ADDRESS_MS = 1000;

type TunnelOptions = Parameters<HttpsProxyAgent<string>['connect']>[1];

/**
 * A keep-alive agent. The library speaks to the proxy. Added here is what the library leaves out: the connect timeout; an answer to
 * CONNECT other than 200 as a failed connect, which would otherwise pass for the endpoint's own answer; and the check of the
 * certificate if the endpoint is an IP address.
 */
export class TunnelAgent extends HttpsProxyAgent<string> {
  readonly #connections: Connections;
  readonly #connecting = new Set<(reason?: Error) => void>();
  #isDestroyed = false;

  /** @param tls certificates for the endpoint */
  constructor(connections: Connections, proxy: Proxy, tls?: TlsSettings) {
    // The credentials go into a header: with DEBUG set, the library prints its URL.
    const headers = proxy.authorization === undefined ? {} : { 'Proxy-Authorization': proxy.authorization };
    super(proxy.url, { keepAlive: true, maxSockets: Infinity, headers });
    this.#connections = connections;
    this.options = { path: undefined, timeout: IDLE_MS, ...(tls as object) };
    // If not set, the library derives both from a stack trace, for each request.
    this.protocol = 'https:';
    this.defaultPort = 443;
    attach(this, connections);
  }

  override async connect(request: ClientRequest, options: TunnelOptions): Promise<Socket> {
    if (this.#isDestroyed || request.destroyed) throw new Error('the request is over');
    const startedAtMs = this.#connections.now();
    const controller = new AbortController();
    const abort = (reason?: Error): void => controller.abort(reason);
    const steps = this.#connections.steps(() => abort(slowError()));
    const tunnelled = this.#connections.underWay.tunnels.begin();
    this.#connecting.add(abort);
    this.#connections.whenAbandoned(request, () => this.#connecting.has(abort) && abort());
    try {
      // The library misses some ends of a connection to the proxy, so the abort is awaited, too. It destroys the connection to the
      // proxy, and TLS over that connection ends with it.
      const aborted = rejectOnAbort(controller.signal);
      request.once('proxyConnect', steps.next);
      const socket = await Promise.race([this.#openTunnel(request, options, steps.lookup, controller.signal), aborted]);
      socket.unref();
      tunnelled();
      await Promise.race([secured(socket), aborted]);
      this.#connections.opened(socket, startedAtMs);
      return socket;
    } finally {
      tunnelled();
      steps.done();
      this.#connecting.delete(abort);
    }
  }

  override destroy(): void {
    this.#isDestroyed = true;
    for (const abort of this.#connecting) abort();
    super.destroy();
  }

  async #openTunnel(request: ClientRequest, options: TunnelOptions, lookup: unknown, signal: AbortSignal): Promise<Socket> {
    let status = 0;
    request.once('proxyConnect', (answer: { statusCode: number }) => {
      status = answer.statusCode;
    });
    // The library reads this before its first await, so no other connect can change it in between.
    const more = { lookup, signal, autoSelectFamily: true, autoSelectFamilyAttemptTimeout: NEXT_ADDRESS_MS };
    this.connectOpts = connectionOptions(this.connectOpts, more) as typeof this.connectOpts;
    const host = options.host ?? '';
    const identity: typeof checkServerIdentity = (_name, certificate) => checkServerIdentity(host, certificate);
    const opening = unobserved(() =>
      super.connect(request, connectionOptions(options, { checkServerIdentity: identity }) as TunnelOptions),
    );
    // An error of the library has no code: the proxy ended before it had answered.
    const socket = await opening.catch((error: NodeJS.ErrnoException) => {
      throw error.code === undefined ? refused(status) : error;
    });
    if (status === 200) return socket;
    socket.destroy();
    throw refused(status);
  }
}

function refused(status: number): NodeJS.ErrnoException {
  return Object.assign(new Error('the proxy refused the tunnel'), { code: status === 407 ? 'proxy_auth' : 'proxy_refused' });
}

/** Resolves when a TLS connection is ready; rejects if it ends before. */
async function secured(socket: Socket): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    socket.once('secureConnect', resolve).once('error', reject);
    socket.once('close', () => reject(closedError()));
  });
}

async function rejectOnAbort(signal: AbortSignal): Promise<never> {
  return new Promise((_resolve, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason as Error), ONCE);
  });
}
