/** Which agent takes a request to its host: directly, or through the proxy that the option or the environment names. */
import type { Agent } from 'node:http';
import type { Log } from '../../base/log.js';
import { Pool } from './pool.js';
import type { PoolSettings } from './pool.js';
import { decideProxy } from './proxy.js';
import type { Proxy } from './proxy.js';

/** What routes are made from. */
export interface RouteSettings extends PoolSettings {
  readonly proxy: string | false | undefined;
  readonly log: Log;
}

/** How requests of one scheme reach their hosts. */
export interface Route {
  readonly agent: Agent;
  /** Whether a proxy reads the requests: then a 407 comes from the proxy. */
  readonly isForwarded: boolean;
}

/** The routes of one transport: one agent for each scheme and proxy, from a pool that the transport may share with others. */
export class Routes {
  readonly pool: Pool;
  readonly #settings: RouteSettings;
  #home: Route | undefined;
  #hasWarned = false;

  private constructor(settings: RouteSettings) {
    this.#settings = settings;
    this.pool = Pool.join(settings);
  }

  /** Resolves when the route to the endpoint is ready. */
  static async open(settings: RouteSettings): Promise<Routes> {
    const routes = new Routes(settings);
    try {
      routes.#home = await routes.to(new URL(settings.endpoint));
      return routes;
    } catch (error) {
      routes.close();
      throw error;
    }
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
    const proxy: Proxy | undefined = decision.kind === 'proxied' ? decision.proxy : undefined;
    const isSecure = url.protocol === 'https:';
    return { agent: await this.pool.agent(isSecure, proxy), isForwarded: proxy !== undefined && !isSecure };
  }

  /** Leaves the pool. Call it once. */
  close(): void {
    this.pool.leave();
  }
}
