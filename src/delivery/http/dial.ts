/** Opens a TCP connection to the first address of a host that answers: "Happy Eyeballs" (RFC 8305). */
import net, { isIP } from 'node:net';
import type { Socket, TcpNetConnectOpts } from 'node:net';
import type { LookupAddress, LookupAllOptions } from 'node:dns';
import type { Clock, Timer } from '../../base/clock.js';
import type { StartLimit } from '../pacing.js';
import type { UnderWay } from '../under-way.js';
import type { AddressHistory } from './address-history.js';
import { harden } from './message.js';
import type { Lookup } from './name-lookup.js';
import { unobserved } from './unobserved.js';

/** What a connect needs. */
export interface ConnectSettings {
  /** The longest that each step of a connect may take, in milliseconds: look-up, TCP to one address, the answer of a proxy, TLS. */
  readonly connectTimeoutMs: number;
  readonly clock: Clock;
  readonly lookup: Lookup;
  readonly startLimit: StartLimit;
  readonly underWay: UnderWay;
  readonly history: AddressHistory;
}

/**
 * How long one address is tried alone (RFC 8305, 5). The first dial to a host may be the last one of a process that ends within 250 ms, so
 * it takes the least that the RFC recommends; later ones know which address answers.
 */
const NEXT_ADDRESS_MS = { unknown: 100, known: 250 };

/** Without a prototype: a polluted one must not choose the family. */
const ALL: LookupAllOptions = Object.assign(Object.create(null) as LookupAllOptions, { all: true });

/** A step of a connect took longer than it may. */
export function slowError(): NodeJS.ErrnoException {
  return Object.assign(new Error('connect timeout'), { code: 'ETIMEDOUT' });
}

/** The other side closed a connection before it was ready. */
export function closedError(): NodeJS.ErrnoException {
  return Object.assign(new Error('closed'), { code: 'ECONNRESET' });
}

/**
 * Connects to a host. While one address does not answer, the next one is tried beside it; the first that answers wins, and the others are
 * destroyed. Each address has the connect timeout to itself.
 *
 * @param options host, port, and what else `net.connect` takes; the address replaces the host
 * @param done called once, with the connected socket or with the error of the first address; not after `cancel`
 * @returns ends everything that is under way
 */
export function dial(
  settings: ConnectSettings,
  options: TcpNetConnectOpts,
  done: (error: NodeJS.ErrnoException | null, socket?: Socket) => void,
): () => void {
  const race = new Race(settings, options, done);
  race.start();
  return () => race.end();
}

/** One address that is being tried. */
interface Runner {
  readonly socket: Socket;
  readonly leave: () => void;
}

class Race {
  readonly #settings: ConnectSettings;
  readonly #options: TcpNetConnectOpts;
  readonly #done: (error: NodeJS.ErrnoException | null, socket?: Socket) => void;
  readonly #runners = new Set<Runner>();
  #addresses: LookupAddress[] = [];
  #firstError: NodeJS.ErrnoException | undefined;
  #cancelLookup: (() => void) | undefined;
  #next: Timer | undefined;
  #unknown: NodeJS.ErrnoException | undefined;
  #gapMs = NEXT_ADDRESS_MS.unknown;
  #isOver = false;

  constructor(settings: ConnectSettings, options: TcpNetConnectOpts, done: (error: NodeJS.ErrnoException | null, socket?: Socket) => void) {
    this.#settings = settings;
    this.#options = options;
    this.#done = done;
  }

  start(): void {
    const { clock, connectTimeoutMs, lookup, startLimit } = this.#settings;
    const { host = 'localhost' } = this.#options;
    const family = isIP(host);
    if (family !== 0) {
      this.#addresses = [{ address: host, family }];
      this.#tryNext();
      return;
    }
    const stop = startLimit(clock, connectTimeoutMs, () => this.#finish(slowError()));
    const cancel = lookup(host, ALL, (error, found) => {
      stop();
      this.#cancelLookup = undefined;
      if (this.#isOver) return;
      if (error !== null) {
        // Libraries for tests take connections to names that do not exist. To any other `net.connect` the name has no address again.
        this.#unknown = error;
        this.#addresses = [{ address: host, family: 0 }];
        this.#tryNext();
        return;
      }
      this.#addresses = typeof found === 'string' ? [{ address: found, family: found.includes(':') ? 6 : 4 }] : this.#order(found);
      this.#tryNext();
    });
    this.#cancelLookup = () => {
      stop();
      cancel?.();
    };
  }

  /** The addresses in the order in which they are tried. */
  #order(found: readonly LookupAddress[]): LookupAddress[] {
    const { addresses, isKnown } = this.#settings.history.order(this.#options.host ?? '', found);
    if (isKnown) this.#gapMs = NEXT_ADDRESS_MS.known;
    return addresses;
  }

  /** Ends what is under way. Nothing is called any more. */
  end(): void {
    this.#isOver = true;
    this.#cancelLookup?.();
    this.#cancelLookup = undefined;
    this.#stopWaiting();
    for (const { socket, leave } of this.#runners) {
      leave();
      socket.destroy();
    }
    this.#runners.clear();
  }

  #tryNext(): void {
    this.#stopWaiting();
    const next = this.#addresses.shift();
    if (next === undefined) {
      if (this.#runners.size === 0) this.#finish(this.#firstError ?? slowError());
      return;
    }
    this.#try(next);
    if (this.#addresses.length === 0 || this.#isOver) return;
    this.#next = this.#settings.clock.setTimeout(() => this.#tryNext(), this.#gapMs);
    this.#next.unref();
  }

  #try({ address, family }: LookupAddress): void {
    const { clock, connectTimeoutMs, startLimit, underWay } = this.#settings;
    const failed = (error: NodeJS.ErrnoException): void => {
      if (!this.#runners.delete(runner)) return;
      leave();
      socket.destroy();
      this.#settings.history.failed(this.#options.host ?? '', address);
      this.#firstError ??= error;
      this.#tryNext();
    };
    const closed = (): void => failed(closedError());
    // Without a prototype: Node would read what is not given from a polluted one.
    const unknown = this.#unknown;
    const more =
      unknown === undefined ? { family } : { lookup: (_name: string, _options: object, found: (error: Error) => void) => found(unknown) };
    const options = { __proto__: null, ...this.#options, host: address, ...more, autoSelectFamily: false } as object as TcpNetConnectOpts;
    let socket: Socket;
    try {
      socket = unobserved(() => net.connect(options));
      harden(socket);
    } catch (error) {
      // Node refuses the options.
      this.#firstError ??= error as NodeJS.ErrnoException;
      this.#tryNext();
      return;
    }
    const stopLimit = startLimit(clock, connectTimeoutMs, () => failed(slowError()));
    const arrived = underWay.connects.begin();
    const leave = (): void => {
      stopLimit();
      arrived();
    };
    const runner: Runner = { socket, leave };
    this.#runners.add(runner);
    socket.unref();
    socket.on('error', failed);
    socket.on('close', closed);
    socket.once('connect', () => {
      if (!this.#runners.delete(runner)) return;
      leave();
      socket.off('close', closed).off('error', failed);
      this.#finish(null, socket);
    });
  }

  #finish(error: NodeJS.ErrnoException | null, socket?: Socket): void {
    if (this.#isOver) return;
    this.end();
    this.#done(error, socket);
  }

  #stopWaiting(): void {
    if (this.#next !== undefined) this.#settings.clock.clearTimeout(this.#next);
    this.#next = undefined;
  }
}
