/** The store of a relay on a work queue of NATS JetStream, which several relays share: any of them may end at any moment. */
import { integer, milliseconds } from '../base/check-options.js';
import type { Timer } from '../base/clock.js';
import { settlesWithin } from '../base/clock.js';
import type { RelayStore, RelayStoreOptions, RelayStoreStats, Stored, StoredEvent } from '../delivery/relay-store.js';
import { PendingEvents } from '../relay/spool/pending-events.js';
import type { PendingEvent } from '../relay/spool/pending-events.js';
import { checkJetstreamOptions, JetstreamError } from './client.js';
import type { JetstreamOptions, JetstreamSettings } from './client.js';
import { Link, LinkError } from './connection.js';
import { Fetcher } from './fetcher.js';
import { Outbox } from './outbox.js';
import { ACK, ensureConsumer, ensureStream, forgetRequests, IN_PROGRESS, NAK } from './stream.js';
import type { Delivery, StreamFacts, StreamLimits } from './stream.js';

/**
 * What `jetstreamStore` takes.
 *
 * @example
 * const options: JetstreamStoreOptions = { servers: 'nats://nats.acme.example:4222', replicas: 3, required: true };
 */
export interface JetstreamStoreOptions extends JetstreamOptions {
  /** The most events that this relay holds at a time. If it is killed, they come to another relay after `ackWaitMs`. @default 256 */
  prefetch?: number | undefined;
  /**
   * How long the server waits for a sign of the relay that holds an event, in milliseconds, if the consumer is created. The relay gives a
   * sign three times in that time.
   * @default 30_000
   */
  ackWaitMs?: number | undefined;
  /** Whether `listen()` rejects if the server cannot be reached at the start. @default false: events are in memory meanwhile */
  required?: boolean | undefined;
}

/**
 * Keeps the events of relays in a stream of NATS JetStream (2.9 or later), which is a work queue: each relay adds what it accepts, and
 * sends what it fetches. An event is deleted from the stream when its fate is known. The events that a relay held when it was killed come
 * to another one, and count in `maybeSentTwice`.
 *
 * The limits of the relay, `maxSpoolBytes` and `maxAgeMs`, are those of a stream that is created. A stream that exists keeps its own.
 *
 * @param options By default the stream COSMOS_TELEMETRY of a server on this machine.
 * @returns The value of the option `store` of `createRelay`. `listen()` rejects with a JetstreamError: `stream_unfit` for a stream that is
 * no work queue, `credentials_unusable` for a file that cannot be used, and with `required` also `unreachable` and `unauthorized`.
 * @throws TypeError naming the option and its value; JetstreamError `client_missing` if the package `@nats-io/transport-node` is not
 * installed.
 * @example
 * const servers = ['nats://nats-0:4222', 'nats://nats-1:4222'];
 * const start = () => createRelay({ listen: '127.0.0.1:0', store: jetstreamStore({ servers, replicas: 3 }) }).listen();
 */
export function jetstreamStore(options: JetstreamStoreOptions = {}): (options: RelayStoreOptions) => Promise<RelayStore> {
  const { settings, options: checked } = checkJetstreamOptions<JetstreamStoreOptions>('options of jetstreamStore', options, {
    prefetch: integer(1, 10_000),
    ackWaitMs: milliseconds(1000, 3_600_000),
    required: ['true or false', (value) => typeof value === 'boolean'],
  });
  const { prefetch = 256, ackWaitMs = 30_000, required = false } = checked;
  return async (relay) => {
    const store = new JetstreamStore(relay, settings, prefetch, ackWaitMs);
    await store.open(required);
    return store;
  };
}

/** An event that this process fetched. */
interface FetchedEvent extends PendingEvent {
  readonly streamSeq: string;
  /** That of its latest delivery. */
  ackSubject: string;
}

/** Waits before the next dial. */
const FIRST_WAIT_MS = 250;
const MAX_WAIT_MS = 5000;

/** The wait before acknowledgements are repeated that the server did not confirm. */
const ACK_RETRY_MS = 1000;

/** The default limit of a close. */
const CLOSE_MS = 5000;

/** A relay gives a sign of its events so many times in the time that the server waits. */
const SIGNS = 3;

class JetstreamStore implements RelayStore {
  readonly #relay: RelayStoreOptions;
  readonly #settings: JetstreamSettings;
  readonly #prefetch: number;
  readonly #limits: StreamLimits;
  readonly #link: Link;
  readonly #outbox: Outbox;
  readonly #pending = new PendingEvents<FetchedEvent>();
  /** The events of `#pending`, by their number in the stream. */
  readonly #fetched = new Map<string, FetchedEvent>();
  /** Settled events whose acknowledgement the server has not confirmed, with its subject. */
  readonly #unconfirmed = new Map<string, string>();
  #facts: StreamFacts | undefined;
  #fetcher: Fetcher | undefined;
  #signs: Timer | undefined;
  #retry: Timer | undefined;
  #waitMs = FIRST_WAIT_MS;
  #nextSeq = 0;
  #maybeSentTwice = 0;
  #unreadable = 0;
  #lost = 0;
  #isAway = false;
  #closing: Promise<number> | undefined;
  #onConfirmed: (() => void) | undefined;

  constructor(relay: RelayStoreOptions, settings: JetstreamSettings, prefetch: number, ackWaitMs: number) {
    const { clock, maxAgeMs, maxBytes } = relay;
    this.#relay = relay;
    this.#settings = settings;
    this.#prefetch = prefetch;
    this.#limits = { maxBytes, maxAgeMs, ackWaitMs };
    this.#link = new Link({ settings, clock, onDown: this.#onDown });
    this.#outbox = new Outbox({ link: this.#link, settings, clock, maxBytes, maxAgeMs, facts: () => this.#facts });
  }

  /** @throws (rejects) JetstreamError */
  async open(isRequired: boolean): Promise<void> {
    const error = await this.#connect();
    if (error === undefined || (!isRequired && !(error instanceof JetstreamError))) return;
    await this.close(0);
    const { servers } = this.#settings;
    if (error instanceof JetstreamError) throw error;
    const at = `${servers.join(', ')} (${wordsOf(error)})`;
    throw error instanceof LinkError && error.reason === 'unauthorized'
      ? new JetstreamError('unauthorized', `NATS refuses the credentials, or they lack a permission: ${at}`, { cause: error })
      : new JetstreamError('unreachable', `no server of NATS with JetStream answers at ${at}`, { cause: error });
  }

  get length(): number {
    return this.#pending.length + this.#lost;
  }

  get ready(): number {
    return this.#pending.length;
  }

  get nextSeq(): number {
    return this.#nextSeq;
  }

  get oldestSeq(): number {
    return this.#pending.oldestSeq ?? this.#nextSeq;
  }

  append(target: string, id?: string): Promise<Stored | 'duplicate'> {
    return this.#closing === undefined ? this.#outbox.append(target, id) : Promise.resolve('full');
  }

  take(limit: number): StoredEvent[] {
    return this.#closing === undefined ? this.#pending.take(limit) : [];
  }

  putBack(events: readonly StoredEvent[]): void {
    this.#pending.putBack(events);
  }

  settle(events: readonly StoredEvent[]): void {
    this.#confirm(this.#pending.settle(events));
  }

  expire(): number {
    const { clock, maxAgeMs } = this.#relay;
    const expired = this.#pending.expire(clock.now(), maxAgeMs);
    this.#confirm(expired);
    return expired.length + this.#storedHere(this.#outbox.expire());
  }

  clear(): number {
    const all = [...this.#pending.all()];
    const waited = this.#pending.clear();
    this.#confirm(all);
    return waited + this.#storedHere(this.#outbox.clear());
  }

  close(withinMs = CLOSE_MS): Promise<number> {
    this.#closing ??= this.#close(withinMs);
    return this.#closing;
  }

  stats(): RelayStoreStats {
    return {
      waiting: this.length,
      bytes: 0,
      isDurable: this.#facts?.isDurable === true,
      recovered: 0,
      maybeSentTwice: this.#maybeSentTwice,
      tornLines: this.#unreadable,
      queue: { isReachable: this.#facts !== undefined, held: this.#outbox.held, duplicates: this.#outbox.duplicates },
    };
  }

  /** Events that never came out of the queue, but whose fate is known now: they count as those that did. */
  #storedHere(events: number): number {
    if (events > 0) this.#relay.onStored(events);
    return events;
  }

  /** @returns Why the queue cannot be used now; a further attempt follows unless the stream is unfit at the start. */
  async #connect(): Promise<unknown> {
    try {
      await this.#link.connect();
      const facts = await ensureStream(this.#link, this.#settings, this.#limits);
      const ackWaitMs = await ensureConsumer(this.#link, this.#settings, this.#limits);
      if (this.#closing === undefined && this.#link.isUp) this.#onUp(facts, ackWaitMs);
      return undefined;
    } catch (error) {
      this.#onFailed(error);
      return error;
    }
  }

  #onUp(facts: StreamFacts, ackWaitMs: number): void {
    const { clock, log } = this.#relay;
    const { connection, stream } = this.#settings;
    this.#facts = facts;
    this.#waitMs = FIRST_WAIT_MS;
    if (this.#isAway) log.warn('queue_reached', 'the queue can be reached again');
    this.#isAway = false;
    const { inboxPrefix } = connection as { inboxPrefix?: unknown };
    this.#fetcher = new Fetcher({
      link: this.#link,
      stream,
      inboxPrefix: typeof inboxPrefix === 'string' ? inboxPrefix : '_INBOX',
      clock,
      room: () => this.#prefetch - this.#fetched.size,
      atLeast: Math.ceil(this.#prefetch / 2),
      onDelivery: this.#onDelivery,
    });
    this.#confirmAgain();
    this.#outbox.flush();
    const giveSigns = (): void => {
      for (const { ackSubject } of this.#pending.all()) this.#link.publish(ackSubject, IN_PROGRESS);
      this.#signs = clock.setTimeout(giveSigns, ackWaitMs / SIGNS);
      this.#signs.unref();
    };
    giveSigns();
  }

  readonly #onDown = (): void => {
    const wasUp = this.#facts !== undefined;
    this.#stopFetching();
    if (wasUp) this.#onFailed(new LinkError('network'));
  };

  #stopFetching(): void {
    this.#facts = undefined;
    void this.#fetcher?.stop();
    this.#fetcher = undefined;
    if (this.#signs !== undefined) this.#relay.clock.clearTimeout(this.#signs);
    this.#signs = undefined;
  }

  #onFailed(error: unknown): void {
    const { clock, log } = this.#relay;
    if (this.#closing !== undefined) return;
    if (!this.#isAway) log.warn('queue_unreachable', `the queue cannot be used (${wordsOf(error)}): events are kept in memory`);
    this.#isAway = true;
    if (this.#retry !== undefined) return;
    // Relays that lost the same server do not return in step.
    const waitMs = this.#waitMs * (0.5 + Math.random() / 2);
    this.#waitMs = Math.min(MAX_WAIT_MS, 2 * this.#waitMs);
    this.#retry = clock.setTimeout(() => {
      this.#retry = undefined;
      if (this.#facts === undefined) void this.#connect();
    }, waitMs);
    this.#retry.unref();
  }

  readonly #onDelivery = (delivery: Delivery): void => {
    const { streamSeq, ackSubject } = delivery;
    if (this.#closing !== undefined) return this.#link.publish(ackSubject, NAK);
    // Its fate is known, and the server does not know that yet.
    if (this.#unconfirmed.has(streamSeq)) return void this.#acknowledge(streamSeq, ackSubject);
    const known = this.#fetched.get(streamSeq);
    if (known === undefined) this.#add(delivery);
    else known.ackSubject = ackSubject;
  };

  #add({ streamSeq, ackSubject, target, acceptedAtMs, mayBeSecond }: Delivery): void {
    const { admit, clock, onStored, onUnreadable } = this.#relay;
    const admitted = admit(target);
    if (admitted === undefined) {
      this.#unreadable += 1;
      void this.#acknowledge(streamSeq, ackSubject);
      onStored(1);
      onUnreadable(1);
      return;
    }
    const wallMs = clock.wallNow();
    const ageMs = Math.max(0, wallMs - (acceptedAtMs ?? wallMs));
    const event: FetchedEvent = {
      seq: this.#nextSeq,
      target: admitted,
      acceptedAtMs: acceptedAtMs ?? wallMs,
      sinceMs: clock.now() - ageMs,
      mayBeSecond,
      isWaiting: true,
      streamSeq,
      ackSubject,
    };
    this.#nextSeq += 1;
    if (mayBeSecond) this.#maybeSentTwice += 1;
    this.#fetched.set(streamSeq, event);
    this.#pending.add(event);
    onStored(1);
  }

  #confirm(events: readonly FetchedEvent[]): void {
    for (const { streamSeq, ackSubject } of events) {
      this.#fetched.delete(streamSeq);
      void this.#acknowledge(streamSeq, ackSubject);
    }
    this.#fetcher?.wake();
  }

  /** Has the server delete an event. Until it confirms that, the event may come again. Never rejects. */
  async #acknowledge(streamSeq: string, ackSubject: string): Promise<void> {
    const { clock } = this.#relay;
    this.#unconfirmed.set(streamSeq, ackSubject);
    if (!this.#link.isUp) return;
    try {
      await this.#link.request(ackSubject, ACK, this.#settings.publishTimeoutMs);
      this.#unconfirmed.delete(streamSeq);
      if (this.#unconfirmed.size === 0) this.#onConfirmed?.();
    } catch (error) {
      if (error instanceof LinkError && error.reason === 'timeout') this.#link.drop();
      // The consumer has no leader now.
      else if (this.#link.isUp && this.#closing === undefined) clock.setTimeout(this.#confirmAgain, ACK_RETRY_MS).unref();
    }
  }

  readonly #confirmAgain = (): void => {
    for (const [streamSeq, ackSubject] of this.#unconfirmed) void this.#acknowledge(streamSeq, ackSubject);
  };

  async #close(withinMs: number): Promise<number> {
    const { clock } = this.#relay;
    const startedAtMs = clock.now();
    if (this.#retry !== undefined) clock.clearTimeout(this.#retry);
    if (this.#signs !== undefined) clock.clearTimeout(this.#signs);
    const leftMs = (): number => Math.max(0, withinMs - (clock.now() - startedAtMs));
    if (this.#fetcher !== undefined) await settlesWithin(this.#withdraw(this.#fetcher), leftMs(), clock);
    // Other relays get them at once, in their order.
    const held = [...this.#pending.all()].sort((left, right) => left.seq - right.seq);
    for (const { ackSubject } of held) this.#link.publish(ackSubject, NAK);
    this.#lost = this.#storedHere(await this.#outbox.close(this.#link.isUp ? leftMs() : 0));
    await settlesWithin(Promise.all([this.#allConfirmed(), this.#link.flush()]), leftMs(), clock);
    this.#link.close();
    return this.#lost;
  }

  async #withdraw(fetcher: Fetcher): Promise<void> {
    await fetcher.stop();
    await forgetRequests(this.#link, this.#settings);
  }

  #allConfirmed(): Promise<void> {
    return new Promise((resolve) => {
      if (this.#unconfirmed.size === 0 || !this.#link.isUp) resolve();
      else this.#onConfirmed = resolve;
    });
  }
}

/** Why the queue cannot be used, without a text of the client: that may hold anything. */
function wordsOf(error: unknown): string {
  if (error instanceof JetstreamError) return error.message;
  return error instanceof LinkError ? `${error.reason}${error.why === undefined ? '' : `, ${error.why}`}` : 'unknown';
}
