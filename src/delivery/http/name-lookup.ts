import { Resolver } from 'node:dns';
import type { LookupAddress, LookupOptions } from 'node:dns';
import { readFile } from 'node:fs/promises';
import { isIP } from 'node:net';
import type { Clock, Timer } from '../../base/clock.js';
import { bareHost, isLocalhostName } from '../../wire/url.js';

/** Where a system keeps its hosts file. */
export function hostsFilePath(platform: NodeJS.Platform, env: NodeJS.ProcessEnv): string {
  if (platform !== 'win32') return '/etc/hosts';
  return `${env['SystemRoot'] ?? 'C:\\Windows'}\\System32\\drivers\\etc\\hosts`;
}

/**
 * The addresses that a hosts file gives a name.
 *
 * @param text the file
 * @param host a bare host name, in lower case
 */
export function findInHosts(text: string, host: string): LookupAddress[] {
  const lower = text.toLowerCase();
  // Some keep 100,000 lines of blocked hosts there: most names are not in the file, and are not worth parting it.
  if (!lower.includes(host)) return [];
  const found: LookupAddress[] = [];
  for (const line of lower.split('\n')) {
    const [address = '', ...names] = line.replace(/#.*/, '').trim().split(/\s+/);
    if (names.includes(host) && isIP(address) !== 0) found.push({ address, family: isIP(address) });
  }
  return found;
}

/** Reads a hosts file; a missing or unreadable one is an empty one. */
export async function readHosts(path: string): Promise<string> {
  return readFile(path, 'utf8').catch(() => '');
}

/** How long an answer is used: a burst of connections asks once, a service that moves is followed soon. */
const KEEP_MS = 30_000;

/** So many answers are kept: the endpoint, its redirects, a proxy. */
const KEPT_ANSWERS = 16;

/** Once one kind of address is there, the other gets this long (RFC 8305, 3): some name servers never answer for IPv6. */
const SECOND_ANSWER_MS = 50;

const LOCALHOST: readonly LookupAddress[] = [
  { address: '127.0.0.1', family: 4 },
  { address: '::1', family: 6 },
];

/** How `node:net` wants the answer of a look-up: all addresses where it asked for `all`, else one. */
export type LookupCallback = (error: NodeJS.ErrnoException | null, address: string | LookupAddress[], family?: number) => void;

/** A look-up as `node:net` calls it. The function returned ends the caller's interest; nobody's interest ends the query. */
export type Lookup = (hostname: string, options: LookupOptions, callback: LookupCallback) => (() => void) | void;

/** What a look-up needs of the machine. */
export interface LookupSettings {
  /** The longest a look-up may take, in milliseconds. */
  readonly timeoutMs: number;
  readonly clock: Clock;
  /** The text of the hosts file, empty where there is none. */
  readonly readHosts: () => Promise<string>;
  /** The name servers to ask instead of the system's. */
  readonly servers?: readonly string[];
}

type Answer = readonly LookupAddress[] | undefined;

interface Query {
  readonly waiting: Set<(answer: Answer) => void>;
  readonly resolver: Resolver;
  timers: Timer[];
}

function failure(hostname: string): NodeJS.ErrnoException {
  return Object.assign(new Error('name not found'), { code: 'ENOTFOUND', syscall: 'queryA', hostname });
}

function give(answer: Answer, hostname: string, options: LookupOptions, callback: LookupCallback): void {
  const family = options.family === 'IPv6' ? 6 : options.family === 'IPv4' ? 4 : (options.family ?? 0);
  const usable = (answer ?? []).filter((each) => family === 0 || each.family === family);
  const [first] = usable;
  if (first === undefined) callback(failure(hostname), '');
  else if (options.all === true) callback(null, usable);
  else callback(null, first.address, first.family);
}

/**
 * Host names to addresses without getaddrinfo, which cannot be cancelled and was seen to hold a finished process for ten
 * seconds behind a silent name server. In this order: IP literals, `localhost`, the hosts file, A and AAAA queries to the
 * system's name servers. Queries for one name are shared, and answers kept for half a minute. It does not know multicast DNS
 * (`.local`), other name services of the system (NSS) or search domains: such a name needs to be written in full.
 */
export class NameLookup {
  readonly #settings: LookupSettings;
  readonly #kept = new Map<string, { answer: Answer; untilMs: number }>();
  readonly #queries = new Map<string, Query>();

  constructor(settings: LookupSettings) {
    this.#settings = settings;
  }

  /** @see Lookup; the callback is never called before this returns */
  readonly lookup: Lookup = (hostname, options, callback) => {
    const host = bareHost(hostname);
    const known = this.#known(host);
    if (known !== undefined) {
      process.nextTick(give, known, hostname, options, callback);
      return undefined;
    }
    const query = this.#queries.get(host) ?? this.#ask(host);
    const waiter = (answer: Answer): void => give(answer, hostname, options, callback);
    query.waiting.add(waiter);
    return () => {
      if (query.waiting.delete(waiter) && query.waiting.size === 0) this.#end(host, query, undefined);
    };
  };

  /** Ends every query; whoever waits gets no address. */
  close(): void {
    for (const [host, query] of this.#queries) this.#end(host, query, undefined);
    this.#kept.clear();
  }

  #known(host: string): Answer {
    const family = isIP(host);
    if (family !== 0) return [{ address: host, family }];
    if (isLocalhostName(host)) return LOCALHOST;
    const kept = this.#kept.get(host);
    return kept !== undefined && this.#settings.clock.now() < kept.untilMs ? kept.answer : undefined;
  }

  #ask(host: string): Query {
    const { timeoutMs, servers } = this.#settings;
    // Two tries within the time: one lost packet must not cost the look-up.
    const resolver = new Resolver({ timeout: Math.max(1, Math.ceil(timeoutMs / 2)), tries: 2 });
    if (servers !== undefined) resolver.setServers(servers);
    const query: Query = { waiting: new Set(), resolver, timers: [] };
    this.#queries.set(host, query);
    this.#after(query, timeoutMs, () => this.#end(host, query, undefined));
    void this.#consultHosts(host, query);
    return query;
  }

  async #consultHosts(host: string, query: Query): Promise<void> {
    const listed = findInHosts(await this.#settings.readHosts(), host);
    if (this.#queries.get(host) !== query) return;
    if (listed.length > 0) this.#end(host, query, listed);
    else this.#askServers(host, query);
  }

  #askServers(host: string, query: Query): void {
    const found: LookupAddress[] = [];
    let open = 2;
    const take =
      (family: 4 | 6) =>
      (error: Error | null, addresses: string[] | undefined): void => {
        open -= 1;
        if (error === null) found.push(...(addresses ?? []).map((address) => ({ address, family })));
        if (open === 0) this.#end(host, query, found);
        else if (found.length > 0) this.#after(query, SECOND_ANSWER_MS, () => this.#end(host, query, found));
      };
    query.resolver.resolve4(host, take(4));
    query.resolver.resolve6(host, take(6));
  }

  #after(query: Query, delayMs: number, run: () => void): void {
    const timer = this.#settings.clock.setTimeout(run, delayMs);
    timer.unref();
    query.timers.push(timer);
  }

  #end(host: string, query: Query, answer: Answer): void {
    if (this.#queries.get(host) !== query) return;
    this.#queries.delete(host);
    for (const timer of query.timers) this.#settings.clock.clearTimeout(timer);
    query.resolver.cancel();
    // IPv4 first: an IPv6 that leads nowhere is the commoner fault, and whoever asks for all addresses tries both.
    const ordered = answer?.toSorted((one, other) => one.family - other.family);
    if (ordered !== undefined && ordered.length > 0) this.#keep(host, ordered);
    for (const waiter of query.waiting) waiter(ordered);
  }

  #keep(host: string, answer: Answer): void {
    const [oldest] = this.#kept.keys();
    if (this.#kept.size >= KEPT_ANSWERS && oldest !== undefined) this.#kept.delete(oldest);
    this.#kept.set(host, { answer, untilMs: this.#settings.clock.now() + KEEP_MS });
  }
}
