/**
 * What the transports of a process share if their settings are equal: connections, look-ups, and turns. 200 transports with connections of
 * their own would open thousands at once.
 */
import type { Agent } from 'node:http';
import type { Clock } from '../../base/clock.js';
import type { Environment } from '../../base/platform-types.js';
import type { StartLimit } from '../pacing.js';
import type { UnderWay } from '../under-way.js';
import { AddressHistory } from './address-history.js';
import { Connections, createAgent } from './agents.js';
import type { TlsSettings } from './agents.js';
import { machineNames } from './name-files.js';
import { NameLookup } from './name-lookup.js';
import type { Lookup } from './name-lookup.js';
import type { Proxy } from './proxy.js';
import type * as tunnelAgent from './tunnel-agent.js';

/** What a pool is made from. Transports share one if these are equal. */
export interface PoolSettings {
  readonly endpoint: string;
  readonly connectTimeoutMs: number;
  readonly maxSockets: number;
  readonly env: Environment;
  readonly clock: Clock;
  readonly startLimit: StartLimit;
  readonly underWay: UnderWay;
  /** Replaces the look-up of names. */
  readonly lookup?: Lookup | undefined;
  /** Whether other transports may use the same pool: not with a clock or a look-up of one's own. */
  readonly isShared: boolean;
  /** Certificates of an endpoint of one's own: such a pool is not shared. */
  readonly tls?: TlsSettings | undefined;
  /** Loads the library for tunnels, which only hosts behind a proxy need. */
  readonly loadTunnelAgent: () => Promise<typeof tunnelAgent>;
}

/** The most attempts at a time of all transports together that share a pool, unless one alone may have more. */
const MAX_SHARED = 256;

/** The variables that a look-up depends on. */
const NAME_VARIABLES = ['SystemRoot', 'LOCALDOMAIN', 'RES_OPTIONS'];

/** Weak, because a transport that is never closed never leaves its pool. */
const pools = new Map<string, WeakRef<Pool>>();

/** Connections and look-ups for one endpoint. It closes with the last transport that uses it. */
export class Pool {
  readonly connections: Connections;
  readonly turns: Turns;
  readonly #settings: PoolSettings;
  readonly #key: string | undefined;
  readonly #names: NameLookup;
  readonly #agents = new Map<string, Promise<Agent>>();
  readonly #created: Agent[] = [];
  #users = 0;

  private constructor(settings: PoolSettings, key: string | undefined) {
    const { clock, connectTimeoutMs, env, startLimit, underWay } = settings;
    this.#settings = settings;
    this.#key = key;
    this.#names = new NameLookup({
      timeoutMs: connectTimeoutMs,
      clock,
      startLimit,
      underWay,
      machine: machineNames(process.platform, env),
    });
    this.turns = new Turns(settings.maxSockets, clock);
    const history = new AddressHistory((host) => this.#names.forget(host));
    this.connections = new Connections({ ...settings, history, lookup: settings.lookup ?? this.#names.lookup });
  }

  /** Joins the pool for these settings. Each call needs a call of {@link leave}. */
  static join(settings: PoolSettings): Pool {
    const key = settings.isShared ? keyOf(settings) : undefined;
    const shared = key === undefined ? undefined : pools.get(key)?.deref();
    const pool = shared ?? new Pool(settings, key);
    if (shared === undefined && key !== undefined) {
      for (const { 0: other, 1: reference } of pools) if (reference.deref() === undefined) pools.delete(other);
      pools.set(key, new WeakRef(pool));
    }
    pool.#changeUsers(1);
    return pool;
  }

  /** The agent for requests of one scheme, directly or through a proxy. */
  agent(isSecure: boolean, proxy: Proxy | undefined): Promise<Agent> {
    const key = [isSecure, proxy?.url.href, proxy?.authorization].join(' ');
    const known = this.#agents.get(key);
    if (known !== undefined) return known;
    const agent = this.#createAgent(isSecure, proxy);
    this.#agents.set(key, agent);
    // What could not be loaded is loaded again by a later send.
    agent.catch(() => this.#agents.delete(key));
    return agent;
  }

  /** Leaves the pool. The last one destroys every connection, also one that is still opening, and ends every look-up. */
  leave(): void {
    this.#changeUsers(-1);
    if (this.#users > 0) return;
    if (this.#key !== undefined && pools.get(this.#key)?.deref() === this) pools.delete(this.#key);
    for (const agent of this.#created) agent.destroy();
    this.#names.close();
  }

  #changeUsers(by: number): void {
    const { maxSockets } = this.#settings;
    this.#users += by;
    this.turns.allow(Math.max(maxSockets, Math.min(MAX_SHARED, this.#users * maxSockets)));
  }

  async #createAgent(isSecure: boolean, proxy: Proxy | undefined): Promise<Agent> {
    const agent =
      proxy === undefined || !isSecure
        ? createAgent(this.connections, isSecure, proxy, this.#settings.tls)
        : await this.#createTunnel(proxy);
    this.#created.push(agent);
    // The last transport may have left meanwhile.
    if (this.#users === 0) agent.destroy();
    return agent;
  }

  async #createTunnel(proxy: Proxy): Promise<Agent> {
    const { TunnelAgent } = await this.#settings.loadTunnelAgent();
    return new TunnelAgent(this.connections, proxy, this.#settings.tls);
  }
}

function keyOf({ endpoint, connectTimeoutMs, maxSockets, env }: PoolSettings): string {
  return JSON.stringify([new URL(endpoint).origin, connectTimeoutMs, maxSockets, ...NAME_VARIABLES.map((name) => env[name] ?? null)]);
}

/** Lets a limited number of attempts run at a time. The others wait, in order. */
export class Turns {
  readonly #clock: Pick<Clock, 'defer'>;
  readonly #waiting = new Set<() => void>();
  #limit: number;
  #running = 0;
  #isDeferred = false;

  /** @param limit how many may run at a time */
  constructor(limit: number, clock: Pick<Clock, 'defer'>) {
    this.#clock = clock;
    this.#limit = limit;
  }

  /** Sets how many may run at a time. */
  allow(limit: number): void {
    this.#limit = limit;
  }

  /**
   * Takes a turn.
   *
   * @param start called when the turn comes: before this returns if there is room
   * @returns ends the turn, or the wait for it; a second call does nothing
   */
  take(start: () => void): () => void {
    this.#waiting.add(start);
    this.#start();
    let isOver = false;
    return () => {
      if (isOver) return;
      isOver = true;
      if (this.#waiting.delete(start)) return;
      this.#running -= 1;
      this.#startLater();
    };
  }

  #start(): void {
    while (this.#running < this.#limit) {
      const start = this.#waiting.values().next().value;
      if (start === undefined) return;
      this.#waiting.delete(start);
      this.#running += 1;
      start();
    }
  }

  /** Not at once: who aborts many attempts would start each that waits before it is aborted, too. */
  #startLater(): void {
    if (this.#isDeferred || this.#waiting.size === 0) return;
    this.#isDeferred = true;
    this.#clock.defer(() => {
      this.#isDeferred = false;
      this.#start();
    });
  }
}
