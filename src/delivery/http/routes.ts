/** Which agent takes a request to its host: directly, or through the proxy that the option or the environment names. */
import type { Agent } from 'node:http';
import type { Clock } from '../../base/clock.js';
import type { Log } from '../../base/log.js';
import type { StartLimit } from '../pacing.js';
import { closeAgent, Connections, createAgent } from './agents.js';
import { machineNames } from './name-files.js';
import { NameLookup } from './name-lookup.js';
import type { Lookup } from './name-lookup.js';
import { decideProxy } from './proxy.js';
import type { Proxy } from './proxy.js';

/** What routes are made from. */
export interface RouteSettings {
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

/** How requests of one scheme reach their hosts. */
export interface Route {
  readonly agent: Agent;
  /** Whether a proxy reads the requests: then a 407 comes from the proxy. */
  readonly isForwarded: boolean;
}

/** The routes of one transport: one agent for each scheme and proxy, over shared connections. */
export class Routes {
  readonly connections: Connections;
  readonly #settings: RouteSettings;
  readonly #names: NameLookup;
  readonly #agents: Agent[] = [];
  readonly #routes = new Map<string, Promise<Route>>();
  #home: Route | undefined;
  #hasWarned = false;

  private constructor(settings: RouteSettings) {
    const { clock, connectTimeoutMs, env } = settings;
    this.#settings = settings;
    this.#names = new NameLookup({ timeoutMs: connectTimeoutMs, clock, machine: machineNames(process.platform, env) });
    this.connections = new Connections({ ...settings, lookup: settings.lookup ?? this.#names.lookup });
  }

  /** Resolves when the route to the endpoint is ready. */
  static async open(settings: RouteSettings): Promise<Routes> {
    const routes = new Routes(settings);
    routes.#home = await routes.to(new URL(settings.endpoint));
    return routes;
  }

  /** The route to the endpoint; undefined if the proxy setting is invalid. */
  get home(): Route | undefined {
    return this.#home;
  }

  /** The route to a URL; undefined if the proxy setting is invalid, which is logged once. */
  async to(url: URL): Promise<Route | undefined> {
    const decision = decideProxy(url, this.#settings.proxy, this.#settings.env);
    if (decision.kind === 'invalid') {
      if (!this.#hasWarned) this.#settings.log.warn('proxy_invalid', `${decision.source} names no http or https proxy; nothing is sent`);
      this.#hasWarned = true;
      return undefined;
    }
    const proxy = decision.kind === 'proxied' ? decision.proxy : undefined;
    const key = `${url.protocol} ${proxy?.url.href ?? ''}`;
    const route = this.#routes.get(key) ?? this.#createRoute(url.protocol === 'https:', proxy);
    this.#routes.set(key, route);
    return route;
  }

  /** Destroys every connection, also one that is still opening, and ends every look-up. */
  close(): void {
    for (const agent of this.#agents) closeAgent(agent);
    this.#names.close();
  }

  async #createRoute(isSecure: boolean, proxy: Proxy | undefined): Promise<Route> {
    const agent = proxy !== undefined && isSecure ? await this.#createTunnel(proxy) : createAgent(this.connections, isSecure, proxy);
    this.#agents.push(agent);
    return { agent, isForwarded: proxy !== undefined && !isSecure };
  }

  /** Loads the library for tunnels, which only hosts behind a proxy need. */
  async #createTunnel(proxy: Proxy): Promise<Agent> {
    const { TunnelAgent } = await import('./tunnel-agent.js');
    return new TunnelAgent(this.connections, proxy);
  }
}
