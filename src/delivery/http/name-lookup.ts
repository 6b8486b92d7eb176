/** Host names to addresses, without `getaddrinfo`: it cannot be cancelled and holds a finished process behind a silent name server. */
import { Resolver } from 'node:dns';
import type { LookupAddress, LookupOptions } from 'node:dns';
import { isIP } from 'node:net';
import type { Clock } from '../../base/clock.js';
import { bareHost, isLocalhostName } from '../../wire/host.js';
import type { StartLimit } from '../pacing.js';
import type { UnderWay } from '../under-way.js';
import { candidates, findInHosts, readNameRules } from './name-files.js';
import type { NameMachine, NameRules } from './name-files.js';
import { AddressQuery } from './name-servers.js';
import type { DnsAnswer } from './name-servers.js';

/** How `node:net` takes the result of a look-up: all addresses if it asked for `all`, else one. */
type LookupCallback = (error: NodeJS.ErrnoException | null, address: string | LookupAddress[], family?: number) => void;

/** A look-up as `node:net` calls it. The returned function cancels the call; a query ends when all its calls are cancelled. */
export type Lookup = (hostname: string, options: LookupOptions, callback: LookupCallback) => (() => void) | void;

/** What a look-up needs of the machine. */
interface LookupSettings {
  /** The longest a look-up may take, in milliseconds. */
  readonly timeoutMs: number;
  readonly clock: Clock;
  readonly startLimit: StartLimit;
  readonly underWay: UnderWay;
  /** What this system knows of names. It is read at each look-up that no cached address answers. */
  readonly machine: NameMachine;
  /** The name servers to ask. @default those of the system */
  readonly servers?: readonly string[];
}

/** How long addresses are cached: a burst of connections asks once, and a service that moves is followed soon. */
const CACHE_MS = 30_000;

/** How many names are cached: the endpoint, its redirects, a proxy. */
const MAX_CACHED_NAMES = 16;

/** How many name servers are asked, glibc's MAXNS. */
const MAX_SERVERS = 3;

const LOCALHOST: readonly LookupAddress[] = [
  { address: '127.0.0.1', family: 4 },
  { address: '::1', family: 6 },
];

/** What a look-up found; undefined if it failed or was ended. */
type Addresses = readonly LookupAddress[] | undefined;

/** What is being looked up: by all its callers at once. */
interface Query {
  readonly host: string;
  readonly waiting: Set<(addresses: Addresses) => void>;
  stopLimit: (() => void) | undefined;
  dns: AddressQuery | undefined;
}

/**
 * Finds what `getaddrinfo` finds in the hosts file and by DNS, in its order: IP addresses, `localhost`, then the sources of nsswitch.conf,
 * with the search domains of resolv.conf. `getaddrinfo` itself cannot be cancelled, and was seen to hold a finished process for 10 s.
 * Calls for one name share a query. Multicast DNS (`.local`) and other name services of the system (NSS) are not known: their hosts need
 * an address.
 */
export class NameLookup {
  readonly #settings: LookupSettings;
  readonly #cache = new Map<string, { addresses: Addresses; untilMs: number }>();
  readonly #queries = new Map<string, Query>();
  #turn = 0;

  constructor(settings: LookupSettings) {
    this.#settings = settings;
  }

  /** @see Lookup; the callback is never called before this returns */
  readonly lookup: Lookup = (hostname, options, callback) => {
    const host = keyOf(hostname);
    const known = this.#known(host);
    if (known !== undefined) {
      process.nextTick(answer, known, hostname, options, callback);
      return undefined;
    }
    const query = this.#queries.get(host) ?? this.#ask(host);
    const waiter = (addresses: Addresses): void => answer(addresses, hostname, options, callback);
    query.waiting.add(waiter);
    return () => {
      if (query.waiting.delete(waiter) && query.waiting.size === 0) this.#end(query, undefined);
    };
  };

  /** Has a name looked up anew by the next call. */
  forget(hostname: string): void {
    this.#cache.delete(keyOf(hostname));
  }

  /** Ends every query; its callers get no address. */
  close(): void {
    for (const query of this.#queries.values()) this.#end(query, undefined);
    this.#cache.clear();
  }

  #known(host: string): Addresses {
    const family = isIP(host);
    if (family !== 0) return [{ address: host, family }];
    if (isLocalhostName(bareHost(host))) return LOCALHOST;
    const cached = this.#cache.get(host);
    return cached !== undefined && this.#settings.clock.now() < cached.untilMs ? cached.addresses : undefined;
  }

  #ask(host: string): Query {
    const query: Query = { host, waiting: new Set(), stopLimit: undefined, dns: undefined };
    this.#queries.set(host, query);
    const { clock, startLimit, timeoutMs } = this.#settings;
    query.stopLimit = startLimit(clock, timeoutMs, () => this.#end(query, undefined));
    // The hosts file is read at once, and no caller expects its answer before `lookup` returns.
    process.nextTick(() => {
      this.#askSources(query).catch(() => this.#end(query, undefined));
    });
    return query;
  }

  async #askSources(query: Query): Promise<void> {
    if (!this.#isOpen(query)) return;
    const rules = readNameRules(this.#settings.machine);
    const left = [...rules.sources];
    for (let next = left.shift(); next !== undefined; next = left.shift()) {
      const { kind, isLast } = next;
      const found = kind === 'files' ? findInHosts(rules.hosts, bareHost(query.host)) : await this.#askDns(query, rules);
      if (!this.#isOpen(query)) return;
      if (found.length > 0 || isLast) return this.#end(query, found);
    }
    this.#end(query, undefined);
  }

  async #askDns(query: Query, rules: NameRules): Promise<readonly LookupAddress[]> {
    const { clock, underWay } = this.#settings;
    const settings = { clock, underWay, families: rules.families, servers: this.#servers(rules) };
    let onlyAsItIs = false;
    const names = candidates(query.host, rules);
    for (let next = names.shift(); next !== undefined; next = names.shift()) {
      const name = next;
      if (onlyAsItIs && name !== query.host) continue;
      // A query that is cancelled never answers.
      const said = await new Promise<DnsAnswer>((resolve) => {
        query.dns = new AddressQuery(settings, name, resolve);
      });
      if (typeof said !== 'string') return said;
      if (!this.#isOpen(query)) break;
      // As glibc: after SERVFAIL the next domain is tried, after other failures only the name as it is.
      onlyAsItIs ||= said === 'failed';
    }
    return [];
  }

  #servers({ rotates }: NameRules): string[] {
    const given = Object.hasOwn(this.#settings, 'servers') ? this.#settings.servers : undefined;
    const servers = (given ?? new Resolver().getServers()).slice(0, MAX_SERVERS);
    if (rotates) {
      servers.push(...servers.splice(0, this.#turn % Math.max(1, servers.length)));
      this.#turn += 1;
    }
    return servers;
  }

  #isOpen(query: Query): boolean {
    return this.#queries.get(query.host) === query;
  }

  #end(query: Query, addresses: Addresses): void {
    if (!this.#isOpen(query)) return;
    this.#queries.delete(query.host);
    query.stopLimit?.();
    query.dns?.cancel();
    // IPv4 first: broken IPv6 is the more common fault. A caller that asks for all addresses tries both.
    const ordered = addresses?.toSorted((one, other) => one.family - other.family);
    if (ordered !== undefined && ordered.length > 0) this.#remember(query.host, ordered);
    for (const waiter of query.waiting) waiter(ordered);
  }

  #remember(host: string, addresses: Addresses): void {
    const oldest = this.#cache.keys().next().value;
    if (this.#cache.size >= MAX_CACHED_NAMES && oldest !== undefined) this.#cache.delete(oldest);
    this.#cache.set(host, { addresses, untilMs: this.#settings.clock.now() + CACHE_MS });
  }
}

/** A final dot stays: it says that the name is complete. */
function keyOf(hostname: string): string {
  return bareHost(hostname) + (hostname.endsWith('.') ? '.' : '');
}

/** Calls back with the addresses of the requested family, or with an error if there is none. */
function answer(addresses: Addresses, hostname: string, options: LookupOptions, callback: LookupCallback): void {
  const family = options.family === 'IPv6' ? 6 : options.family === 'IPv4' ? 4 : (options.family ?? 0);
  const usable = (addresses ?? []).filter((each) => family === 0 || each.family === family);
  const { 0: first } = usable;
  if (first === undefined) callback(notFound(hostname), '');
  else if (options.all === true) callback(null, usable);
  else callback(null, first.address, first.family);
}

function notFound(hostname: string): NodeJS.ErrnoException {
  return Object.assign(new Error('name not found'), { code: 'ENOTFOUND', syscall: 'queryA', hostname });
}
