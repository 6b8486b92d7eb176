import type { Agent, ClientRequest } from 'node:http';
import fetch from 'node-fetch';
import type { RequestInit } from 'node-fetch';
import type { Clock } from '../../base/clock.js';
import type { Log } from '../../base/log.js';
import type { StartLimit } from '../pacing.js';
import { closeAgent, Connections, PlainAgent, SecureAgent } from './agents.js';
import type { AgentSettings } from './agents.js';
import { hostsFilePath, NameLookup, readHosts } from './name-lookup.js';
import type { Lookup } from './name-lookup.js';
import { chooseWay } from './proxy.js';
import type { Proxy } from './proxy.js';
import type { AnswerHeaders } from './responses.js';

/**
 * The end of one request, as a signal that node-fetch accepts: it takes any object of this name, for the polyfills of older
 * days. A real `AbortController` for each request would cost a tenth of the request.
 */
export class Cut {
  #listener: (() => void) | undefined;

  get [Symbol.toStringTag](): string {
    return 'AbortSignal';
  }

  /** Never: a request is begun before it is ended. */
  get aborted(): boolean {
    return false;
  }

  /** Keeps the one listener that node-fetch has. */
  addEventListener(_type: 'abort', listener: () => void): void {
    this.#listener = listener;
  }

  removeEventListener(): void {
    this.#listener = undefined;
  }

  /** Ends the request, whether there is an answer yet or not; harmless once it has ended. */
  abort(): void {
    this.#listener?.();
  }
}

/** Where every copy of `@opentelemetry/api` 1.x keeps what the host registered. */
const API_KEY = Symbol.for('opentelemetry.js.api.1');

/** What `@opentelemetry/core` sets by `suppressTracing`: its context keys are made by `Symbol.for` of their description. */
const SUPPRESS_KEY = Symbol.for('OpenTelemetry SDK Context Key SUPPRESS_TRACING');

interface Context {
  setValue(key: symbol, value: unknown): Context;
}

interface ContextManager {
  active(): Context;
  with<T>(context: Context, run: () => T): T;
}

/**
 * Runs something in a context in which OpenTelemetry starts no spans and adds no trace headers: telemetry about telemetry is
 * noise in the host's traces, and our wire carries no ids. Without OpenTelemetry it only runs it.
 *
 * @param run called exactly once, synchronously; what it throws is thrown
 */
export function untraced<T>(run: () => T): T {
  const api = (globalThis as { [API_KEY]?: { context?: ContextManager } })[API_KEY];
  if (api === undefined) return run();
  let started = false;
  let ran: { result: T } | undefined;
  const runOnce = (): T => {
    started = true;
    ran ??= { result: run() };
    return ran.result;
  };
  try {
    const manager = api.context;
    if (manager !== undefined) manager.with(manager.active().setValue(SUPPRESS_KEY, true), runOnce);
  } catch (error) {
    // Another version or a stub is the host's affair: the request matters more than its being traced.
    if (started && ran === undefined) throw error;
  }
  return runOnce();
}

/** What a client is made from. */
export interface HttpClientSettings {
  readonly endpoint: string;
  readonly connectTimeoutMs: number;
  readonly maxSockets: number;
  readonly proxy: string | false | undefined;
  readonly env: NodeJS.ProcessEnv;
  readonly clock: Clock;
  readonly log: Log;
  readonly startLimit: StartLimit;
  /** Replaces the look-up of names. */
  readonly lookup?: Lookup | undefined;
}

/** How requests of one scheme get to their hosts. */
export interface Route {
  readonly init: RequestInit;
  /** Whether a proxy reads these requests, so that some answers are the proxy's own. */
  readonly forwarded: boolean;
}

/** What a server said: all that counts of it, and the rest to be read away. */
export interface Answer {
  readonly status: number;
  readonly headers: AnswerHeaders;
  readonly body: NodeJS.ReadableStream | null;
}

/** Hears once how a request ends: by an answer, or by none. */
export interface Hearer {
  answered(answer: Answer): void;
  failed(): void;
}

/** A request under way. */
export interface Exchange {
  /** The request itself; undefined where the host has put its own agent in the place of ours. */
  readonly request: ClientRequest | undefined;
  /** What ends a request that may not be in our hands. */
  readonly cut: Cut | undefined;
}

/** What leaves beside the event, and node-fetch's own `accept`: nothing that tells one sender from another. */
const HEADERS = { 'user-agent': 'cosmos-telemetry' };

/** How many listeners node-fetch has for an answer. */
const LISTENERS_OF_NODE_FETCH = 2;

/**
 * Has the answer come here and not to node-fetch, which would make a Response of it, with streams and an AbortController around a
 * body that nobody reads: a third of what the whole request costs. Not where somebody else listens too, a host's instrumentation
 * perhaps, or where node-fetch listens in another way than it does today.
 *
 * @returns whether it will come here
 */
function takeAnswer(request: ClientRequest, answered: Hearer['answered']): boolean {
  if (request.listenerCount('response') !== LISTENERS_OF_NODE_FETCH) return false;
  request.removeAllListeners('response');
  request.once('response', (message) => {
    const headers = { get: (name: string) => message.headers[name]?.toString() ?? null };
    answered({ status: message.statusCode ?? 0, headers, body: message });
  });
  return true;
}

/**
 * HTTP as a transport needs it: node-fetch over agents of its own, which look names up, bound connects, choose proxies and
 * hold no process. Importing this file loads all that HTTP takes, so it is imported at the first send.
 */
export class HttpClient {
  readonly #settings: HttpClientSettings;
  readonly #names: NameLookup;
  readonly #connections: Connections;
  readonly #agentSettings: AgentSettings;
  readonly #agents: Agent[] = [];
  readonly #routes = new Map<string, Promise<Route>>();
  #latest: ClientRequest | undefined;
  /** Whether the last request came to our agent: the next needs no signal then, which would cost 3 percent more. */
  #inHand = false;
  #home: Route | undefined;
  #warned = false;

  private constructor(settings: HttpClientSettings) {
    const { clock, connectTimeoutMs, env, maxSockets, startLimit } = settings;
    this.#settings = settings;
    const hostsFile = hostsFilePath(process.platform, env);
    this.#names = new NameLookup({ timeoutMs: connectTimeoutMs, clock, readHosts: () => readHosts(hostsFile) });
    this.#connections = new Connections({ connectTimeoutMs, clock, startLimit, lookup: settings.lookup ?? this.#names.lookup });
    const onRequest = (request: ClientRequest): void => {
      this.#latest = request;
    };
    this.#agentSettings = { connections: this.#connections, maxSockets, onRequest };
  }

  /** A client that knows the way to its endpoint. */
  static async open(settings: HttpClientSettings): Promise<HttpClient> {
    const client = new HttpClient(settings);
    client.#home = await client.route(new URL(settings.endpoint));
    return client;
  }

  /** The route to the endpoint; undefined where the proxy setting is invalid. */
  get home(): Route | undefined {
    return this.#home;
  }

  /** The route to any URL; undefined where the proxy setting is invalid, which is logged once. */
  async route(url: URL): Promise<Route | undefined> {
    const way = chooseWay(url, this.#settings.proxy, this.#settings.env);
    if (way.kind === 'invalid') {
      if (!this.#warned) this.#settings.log.warn('proxy_invalid', `${way.source} names no http or https proxy; nothing is sent`);
      this.#warned = true;
      return undefined;
    }
    const proxy = way.kind === 'proxied' ? way.proxy : undefined;
    const key = `${url.protocol} ${proxy?.url.href ?? ''}`;
    const route = this.#routes.get(key) ?? this.#makeRoute(url.protocol === 'https:', proxy);
    this.#routes.set(key, route);
    return route;
  }

  /** Starts a request. Never throws. */
  begin(route: Route, url: string, hearer: Hearer): Exchange {
    this.#latest = undefined;
    const cut = this.#inHand ? undefined : new Cut();
    const init = cut === undefined ? route.init : { ...route.init, signal: cut };
    const response = untraced(() => fetch(url, init));
    // node-fetch makes its request before it returns, so the latest one is this one.
    const request = this.#latest as ClientRequest | undefined;
    this.#inHand = request !== undefined;
    let isHeard = false;
    const answered = (answer: Answer): void => {
      isHeard = true;
      hearer.answered(answer);
    };
    if (request === undefined || !takeAnswer(request, answered)) void response.then(answered).catch(() => {});
    response.catch(() => {
      if (!isHeard) hearer.failed();
    });
    return { request, cut };
  }

  /** Ends a request, whether there is an answer yet or not. */
  abandon(exchange: Exchange): void {
    exchange.request?.destroy();
    exchange.cut?.abort();
  }

  /** Whether anything of a request may have reached anybody: not while its connection never was open. */
  mayBeWritten(exchange: Exchange): boolean {
    const { request } = exchange;
    if (request === undefined) return true;
    return request.socket !== null && this.#connections.wasOpen(request.socket);
  }

  /** Destroys every connection, open or not yet, and ends look-ups. */
  close(): void {
    for (const agent of this.#agents) closeAgent(agent);
    this.#names.close();
  }

  async #makeRoute(secure: boolean, proxy: Proxy | undefined): Promise<Route> {
    const agent = await this.#makeAgent(secure, proxy);
    this.#agents.push(agent);
    return { init: { agent, headers: HEADERS, redirect: 'manual', compress: false }, forwarded: proxy !== undefined && !secure };
  }

  async #makeAgent(secure: boolean, proxy: Proxy | undefined): Promise<Agent> {
    if (proxy === undefined) return secure ? new SecureAgent(this.#agentSettings) : new PlainAgent(this.#agentSettings);
    if (!secure) return new (proxy.url.protocol === 'https:' ? SecureAgent : PlainAgent)(this.#agentSettings, proxy);
    const { TunnelAgent } = await import('./tunnel-agent.js');
    return new TunnelAgent(this.#agentSettings, proxy);
  }
}
