/** Asks name servers for the addresses of one complete name, so that a dead server or a lost packet costs a quarter of a second. */
import { Resolver } from 'node:dns';
import type { LookupAddress, ResolverOptions } from 'node:dns';
import type { Clock, Timer } from '../../base/clock.js';
import type { Family } from './name-files.js';
import type { UnderWay } from '../under-way.js';
import { unobserved } from './unobserved.js';

/**
 * What name servers say of a name: its addresses; that it has none (`absent`); that they cannot tell (`servfail`), or will not
 * (`failed`).
 */
export type DnsAnswer = readonly LookupAddress[] | 'absent' | 'servfail' | 'failed';

/** What a question needs. */
interface DnsSettings {
  readonly clock: Clock;
  readonly underWay: UnderWay;
  readonly families: readonly Family[];
  /** In the order in which they are asked. The one that answers first becomes the first. */
  readonly servers: string[];
}

/** How long a server is waited for before the next packet leaves. It doubles with each round. */
const FIRST_GAP_MS = 250;

/** The limit of c-ares is the wall clock's: it would end a question whose answer arrived while the host was busy. The caller ends it. */
const NEVER_MS = 3_600_000;

/** How often each server is asked at most. */
const MAX_ROUNDS = 5;

/** How long the second address family may take after the first (RFC 8305, 3): some name servers never answer for IPv6. */
const SECOND_FAMILY_MS = 50;

/** IPv4 is waited for until a second packet had its chance: its addresses are the first to be tried. */
const IPV4_MS = FIRST_GAP_MS + SECOND_FAMILY_MS;

/** The failures of a query that say something about its name. */
const ABSENT_CODES: ReadonlySet<string | undefined> = new Set(['ENODATA', 'ENOTFOUND', 'EBADNAME']);

/** Those that say nothing: an answer may still come. */
const SILENT_CODES: ReadonlySet<string | undefined> = new Set(['ETIMEOUT', 'ECANCELLED']);

/**
 * Asks for A and AAAA records at once. c-ares repeats a question late (its second try would leave when a usual limit is nearly over) and
 * stays with a server that answers SERVFAIL, so it gets each question once, for one server, and the schedule is ours.
 */
export class AddressQuery {
  readonly #settings: DnsSettings;
  readonly #end: (answer: DnsAnswer) => void;
  readonly #resolvers = new Map<string, Resolver>();
  readonly #timers = new Set<Timer>();
  readonly #answers = new Map<Family, DnsAnswer>();
  readonly #ended: () => void;
  #isOver = false;

  /**
   * @param settings how to ask
   * @param name a complete name, without a final dot
   * @param end called once with the answer, unless the question is cancelled
   */
  constructor(settings: DnsSettings, name: string, end: (answer: DnsAnswer) => void) {
    this.#settings = settings;
    this.#end = end;
    this.#ended = settings.underWay.queries.begin();
    for (const family of settings.families) this.#ask(family, name);
  }

  /** Ends the question without an answer. */
  cancel(): void {
    this.#isOver = true;
    this.#ended();
    for (const timer of this.#timers) this.#settings.clock.clearTimeout(timer);
    for (const resolver of this.#resolvers.values()) resolver.cancel();
  }

  /** Asks one server after the other, and all of them again, until one answers or each has failed. */
  #ask(family: Family, name: string): void {
    const servers = [...this.#settings.servers];
    const failed = new Set<string>();
    let tries = 0;
    let timer: Timer | undefined;
    const tryNext = (): void => {
      if (this.#isOver || this.#answers.has(family)) return;
      const round = Math.floor(tries / servers.length);
      const server = servers[tries % servers.length];
      if (server === undefined || round >= MAX_ROUNDS) return;
      tries += 1;
      if (failed.has(server)) return tryNext();
      timer = this.#after(FIRST_GAP_MS * 2 ** round, tryNext);
      this.#query(server, family, name, (error, addresses) => {
        if (this.#isOver || this.#answers.has(family) || SILENT_CODES.has(error?.code)) return;
        if (error === null || ABSENT_CODES.has(error.code)) {
          this.#prefer(server);
          this.#take(family, addresses.length > 0 ? addresses : 'absent', error?.code === 'ENOTFOUND');
          return;
        }
        failed.add(server);
        if (failed.size === servers.length) this.#take(family, error.code === 'ESERVFAIL' ? 'servfail' : 'failed', false);
        // The next server need not wait for one that has answered.
        else if (tries <= servers.length) {
          if (timer !== undefined) this.#forget(timer);
          tryNext();
        }
      });
    };
    if (servers.length === 0) this.#after(0, () => this.#take(family, 'failed', false));
    else tryNext();
  }

  #query(
    server: string,
    family: Family,
    name: string,
    done: (error: NodeJS.ErrnoException | null, addresses: readonly LookupAddress[]) => void,
  ): void {
    const heard = (error: NodeJS.ErrnoException | null, addresses?: string[]): void =>
      done(
        error,
        (addresses ?? []).map((address) => ({ address, family })),
      );
    try {
      const resolver = this.#resolver(server);
      unobserved(() => {
        if (family === 4) resolver.resolve4(name, heard);
        else resolver.resolve6(name, heard);
      });
    } catch (error) {
      // Node throws for a server or a name that c-ares does not take.
      process.nextTick(heard, error);
    }
  }

  #resolver(server: string): Resolver {
    const known = this.#resolvers.get(server);
    if (known !== undefined) return known;
    const resolver = new Resolver({
      timeout: NEVER_MS,
      tries: 1,
      __proto__: null,
    } as ResolverOptions);
    resolver.setServers([server]);
    this.#resolvers.set(server, resolver);
    return resolver;
  }

  #prefer(server: string): void {
    const { servers } = this.#settings;
    servers.splice(0, servers.length, server, ...servers.filter((other) => other !== server));
  }

  #take(family: Family, answer: DnsAnswer, isUnknownName: boolean): void {
    this.#answers.set(family, answer);
    if (this.#answers.size === this.#settings.families.length) this.#finish();
    else if (typeof answer !== 'string') this.#after(family === 4 ? SECOND_FAMILY_MS : IPV4_MS, () => this.#finish());
    // A name that does not exist has no records of any type (RFC 8020). Some servers say so of IPv6 alone, and are wrong.
    else if (isUnknownName && family === 4) this.#after(SECOND_FAMILY_MS, () => this.#finish());
  }

  #finish(): void {
    if (this.#isOver) return;
    this.cancel();
    const answers = [...this.#answers.values()];
    const found = answers.flatMap((answer) => (typeof answer === 'string' ? [] : answer));
    if (found.length > 0) this.#end(found);
    else this.#end(answers.find((answer) => answer !== 'absent') ?? 'absent');
  }

  #after(delayMs: number, run: () => void): Timer {
    const timer = this.#settings.clock.setTimeout(() => {
      this.#timers.delete(timer);
      run();
    }, delayMs);
    timer.unref();
    this.#timers.add(timer);
    return timer;
  }

  #forget(timer: Timer): void {
    this.#timers.delete(timer);
    this.#settings.clock.clearTimeout(timer);
  }
}
