/** Host names to addresses, without `getaddrinfo`: it cannot be cancelled and holds a finished process behind a silent name server. */
import { Resolver } from 'node:dns';
import type { LookupAddress, LookupOptions } from 'node:dns';
import { readFile } from 'node:fs/promises';
import { isIP } from 'node:net';
import type { Clock, Timer } from '../../base/clock.js';
import { bareHost, isLocalhostName } from '../../wire/host.js';
import { unobserved } from './unobserved.js';

/** How `node:net` takes the result of a look-up: all addresses if it asked for `all`, else one. */
export type LookupCallback = (error: NodeJS.ErrnoException | null, address: string | LookupAddress[], family?: number) => void;

/** A look-up as `node:net` calls it. The returned function cancels the call; a query ends when all its calls are cancelled. */
export type Lookup = (hostname: string, options: LookupOptions, callback: LookupCallback) => (() => void) | void;

/** What a look-up needs of the machine. */
export interface LookupSettings {
  /** The longest a look-up may take, in milliseconds. */
  readonly timeoutMs: number;
  readonly clock: Clock;
  /** Returns the text of the hosts file, empty if there is none. */
  readonly readHosts: () => Promise<string>;
  /** The name servers to ask. @default those of the system */
  readonly servers?: readonly string[];
}

/** How long addresses are cached: a burst of connections asks once, and a service that moves is followed soon. */
const CACHE_MS = 30_000;

/** How many names are cached: the endpoint, its redirects, a proxy. */
const MAX_CACHED_NAMES = 16;

/** How long the second address family may take after the first (RFC 8305, 3): some name servers never answer for IPv6. */
const SECOND_FAMILY_MS = 50;

const LOCALHOST: readonly LookupAddress[] = [
  { address: '127.0.0.1', family: 4 },
  { address: '::1', family: 6 },
];

/** What a look-up found; undefined if it failed or was ended. */
type Addresses = readonly LookupAddress[] | undefined;

interface Query {
  readonly waiting: Set<(addresses: Addresses) => void>;
  readonly resolver: Resolver;
  timers: Timer[];
}

/**
 * Looks names up in this order: IP addresses, `localhost`, the hosts file, then A and AAAA queries to the system's name servers.
 * `getaddrinfo` was seen to hold a finished process for 10 s. Calls for one name share a query. It does not know multicast DNS
 * (`.local`), other name services of the system (NSS), or search domains: such hosts need their full name.
 */
export class NameLookup {
  readonly #settings: LookupSettings;
  readonly #cache = new Map<string, { addresses: Addresses; untilMs: number }>();
  readonly #queries = new Map<string, Query>();

  constructor(settings: LookupSettings) {
    this.#settings = settings;
  }

  /** @see Lookup; the callback is never called before this returns */
  readonly lookup: Lookup = (hostname, options, callback) => {
    const host = bareHost(hostname);
    const known = this.#known(host);
    if (known !== undefined) {
      process.nextTick(answer, known, hostname, options, callback);
      return undefined;
    }
    const query = this.#queries.get(host) ?? this.#ask(host);
    const waiter = (addresses: Addresses): void => answer(addresses, hostname, options, callback);
    query.waiting.add(waiter);
    return () => {
      if (query.waiting.delete(waiter) && query.waiting.size === 0) this.#end(host, query, undefined);
    };
  };

  /** Ends every query; its callers get no address. */
  close(): void {
    for (const [host, query] of this.#queries) this.#end(host, query, undefined);
    this.#cache.clear();
  }

  #known(host: string): Addresses {
    const family = isIP(host);
    if (family !== 0) return [{ address: host, family }];
    if (isLocalhostName(host)) return LOCALHOST;
    const cached = this.#cache.get(host);
    return cached !== undefined && this.#settings.clock.now() < cached.untilMs ? cached.addresses : undefined;
  }

  #ask(host: string): Query {
    const { timeoutMs, servers } = this.#settings;
    // Two tries within the limit, so that one lost packet does not fail the look-up.
    const resolver = new Resolver({ timeout: Math.max(1, Math.ceil(timeoutMs / 2)), tries: 2 });
    if (servers !== undefined) resolver.setServers(servers);
    const query: Query = { waiting: new Set(), resolver, timers: [] };
    this.#queries.set(host, query);
    this.#after(query, timeoutMs, () => this.#end(host, query, undefined));
    void this.#askHostsFile(host, query);
    return query;
  }

  async #askHostsFile(host: string, query: Query): Promise<void> {
    const found = findInHosts(await this.#settings.readHosts(), host);
    if (this.#queries.get(host) !== query) return;
    if (found.length > 0) this.#end(host, query, found);
    else this.#askServers(host, query);
  }

  #askServers(host: string, query: Query): void {
    const found: LookupAddress[] = [];
    let pending = 2;
    const take =
      (family: 4 | 6) =>
      (error: Error | null, addresses: string[] | undefined): void => {
        pending -= 1;
        if (error === null) found.push(...(addresses ?? []).map((address) => ({ address, family })));
        if (pending === 0) this.#end(host, query, found);
        else if (found.length > 0) this.#after(query, SECOND_FAMILY_MS, () => this.#end(host, query, found));
      };
    unobserved(() => {
      query.resolver.resolve4(host, take(4));
      query.resolver.resolve6(host, take(6));
    });
  }

  #after(query: Query, delayMs: number, run: () => void): void {
    const timer = this.#settings.clock.setTimeout(run, delayMs);
    timer.unref();
    query.timers.push(timer);
  }

  #end(host: string, query: Query, addresses: Addresses): void {
    if (this.#queries.get(host) !== query) return;
    this.#queries.delete(host);
    for (const timer of query.timers) this.#settings.clock.clearTimeout(timer);
    query.resolver.cancel();
    // IPv4 first: broken IPv6 is the more common fault. A caller that asks for all addresses tries both.
    const ordered = addresses?.toSorted((one, other) => one.family - other.family);
    if (ordered !== undefined && ordered.length > 0) this.#remember(host, ordered);
    for (const waiter of query.waiting) waiter(ordered);
  }

  #remember(host: string, addresses: Addresses): void {
    const [oldest] = this.#cache.keys();
    if (this.#cache.size >= MAX_CACHED_NAMES && oldest !== undefined) this.#cache.delete(oldest);
    this.#cache.set(host, { addresses, untilMs: this.#settings.clock.now() + CACHE_MS });
  }
}

/** Calls back with the addresses of the requested family, or with an error if there is none. */
function answer(addresses: Addresses, hostname: string, options: LookupOptions, callback: LookupCallback): void {
  const family = options.family === 'IPv6' ? 6 : options.family === 'IPv4' ? 4 : (options.family ?? 0);
  const usable = (addresses ?? []).filter((each) => family === 0 || each.family === family);
  const [first] = usable;
  if (first === undefined) callback(notFound(hostname), '');
  else if (options.all === true) callback(null, usable);
  else callback(null, first.address, first.family);
}

function notFound(hostname: string): NodeJS.ErrnoException {
  return Object.assign(new Error('name not found'), { code: 'ENOTFOUND', syscall: 'queryA', hostname });
}

/** The path of the hosts file. */
export function hostsFilePath(platform: NodeJS.Platform, env: NodeJS.ProcessEnv): string {
  if (platform !== 'win32') return '/etc/hosts';
  return `${env['SystemRoot'] ?? 'C:\\Windows'}\\System32\\drivers\\etc\\hosts`;
}

/** Reads a hosts file; empty if it is missing or unreadable. */
export async function readHosts(path: string): Promise<string> {
  return readFile(path, 'utf8').catch(() => '');
}

/**
 * The addresses that a hosts file gives a name.
 *
 * @param text the file
 * @param host a bare host name, in lower case
 */
export function findInHosts(text: string, host: string): LookupAddress[] {
  const lower = text.toLowerCase();
  // Most names are not in the file, and the file may list 100,000 blocked hosts: search before splitting it.
  if (!lower.includes(host)) return [];
  const found: LookupAddress[] = [];
  for (const line of lower.split('\n')) {
    const [address = '', ...names] = line.replace(/#.*/, '').trim().split(/\s+/);
    if (names.includes(host) && isIP(address) !== 0) found.push({ address, family: isIP(address) });
  }
  return found;
}
