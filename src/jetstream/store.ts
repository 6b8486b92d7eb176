/** The store of a relay on a work queue of NATS JetStream, which several relays share: any of them may end at any moment. */
import { integer, milliseconds } from '../base/check-options.js';
import type { Timer } from '../base/clock.js';
import { settlesWithin } from '../base/clock.js';
import type { RelayStore, RelayStoreOptions, RelayStoreStats, Stored, StoredEvent } from '../delivery/relay-store.js';
import { PendingEvents } from '../relay/spool/pending-events.js';
import type { PendingEvent } from '../relay/spool/pending-events.js';
import { Acknowledgements } from './acknowledgements.js';
import { ageOf } from './age.js';
import { checkJetstreamOptions, JetstreamError } from './client.js';
import type { JetstreamOptions, JetstreamSettings } from './client.js';
import { Link, LinkError } from './connection.js';
import type { LinkFailure } from './connection.js';
import { Fetcher } from './fetcher.js';
import { Outbox } from './outbox.js';
import { ensureConsumer, ensureStream, forgetRequests, IN_PROGRESS, NAK } from './stream.js';
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
  readonly key: string;
  /** That of its latest delivery; undefined if its stream was deleted. */
  ackSubject: string | undefined;
}

/** Waits before the next dial. */
const FIRST_WAIT_MS = 250;
const MAX_WAIT_MS = 5000;

/** A queue that is lost again sooner is no success: the waits grow on. */
const STABLE_MS = 10_000;

/** The default limit of a close. */
const CLOSE_MS = 5000;

/** A relay gives a sign of its events so many times in the time that the server waits. */
const SIGNS = 3;

class JetstreamStore implements RelayStore {
  readonly #relay: RelayStoreOptions;
  readonly #settings: JetstreamSettings;
  readonly #prefetch: number;
  readonly #limits: Omit<StreamLimits, 'firstSeq'>;
  readonly #link: Link;
  readonly #outbox: Outbox;
  readonly #pending = new PendingEvents<FetchedEvent>();
  readonly #acks: Acknowledgements;
  /** The events of `#pending`, by their keys. */
  readonly #fetched = new Map<string, FetchedEvent>();
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
  /** By the monotonic clock. */
  #upSinceMs = 0;
  /** When the stream was made, as the server says. */
  #created: string | undefined;
  #closing: Promise<number> | undefined;

  constructor(relay: RelayStoreOptions, settings: JetstreamSettings, prefetch: number, ackWaitMs: number) {
    const { clock, maxAgeMs, maxBytes } = relay;
    this.#relay = relay;
    this.#settings = settings;
    this.#prefetch = prefetch;
    this.#limits = { maxBytes, maxAgeMs, ackWaitMs };
    this.#link = new Link({ settings, clock, onDown: this.#onDown });
    this.#acks = new Acknowledgements(this.#link, clock, settings.publishTimeoutMs);
    this.#outbox = new Outbox({
      link: this.#link,
      settings,
      clock,
      maxBytes,
      maxAgeMs,
      facts: () => this.#facts,
      onStreamLost: this.#onStreamLost,
      onTooLarge: this.#onTooLarge,
    });
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
      queue: {
        isReachable: this.#facts !== undefined,
        held: this.#outbox.held,
        duplicates: this.#outbox.duplicates,
        maxFetched: this.#prefetch,
      },
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
      // More than any stream of this name has stored until now.
      const firstSeq = Math.trunc(this.#relay.clock.wallNow() * 1000);
      const facts = await ensureStream(this.#link, this.#settings, { ...this.#limits, firstSeq });
      const ackWaitMs = await ensureConsumer(this.#link, this.#settings, this.#limits);
      if (!this.#link.isUp) throw new LinkError('network');
      this.#onUp(facts, ackWaitMs);
      return undefined;
    } catch (error) {
      // A connection that is dead does not say so.
      if (error instanceof LinkError && error.reason === 'timeout') this.#link.drop();
      this.#onFailed(error);
      return error;
    }
  }

  #onUp(facts: StreamFacts, ackWaitMs: number): void {
    const { clock, log } = this.#relay;
    const { connection, stream } = this.#settings;
    this.#facts = facts;
    this.#upSinceMs = clock.now();
    if (this.#created !== undefined && this.#created !== facts.created) this.#onOtherStream();
    this.#created = facts.created;
    if (this.#isAway) log.warn('queue_reached', 'the queue can be reached again');
    this.#isAway = false;
    this.#acks.repeat();
    this.#outbox.flush();
    if (this.#closing !== undefined) return;
    const { inboxPrefix } = connection as { inboxPrefix?: unknown };
    this.#fetcher = new Fetcher({
      link: this.#link,
      stream,
      inboxPrefix: typeof inboxPrefix === 'string' ? inboxPrefix : '_INBOX',
      clock,
      room: () => this.#prefetch - this.#fetched.size,
      atLeast: Math.ceil(this.#prefetch / 2),
      onDelivery: this.#onDelivery,
      onStreamLost: this.#onStreamLost,
    });
    const giveSigns = (): void => {
      for (const { ackSubject } of this.#pending.all()) if (ackSubject !== undefined) this.#link.publish(ackSubject, IN_PROGRESS);
      this.#signs = clock.setTimeout(giveSigns, ackWaitMs / SIGNS);
      this.#signs.unref();
    };
    giveSigns();
  }

  readonly #onDown = (): void => this.#leave('network');

  /** Nobody takes events or requests for them: the stream or its consumer is gone, or has no leader now. Both are looked for, and made. */
  readonly #onStreamLost = (): void => this.#leave('no_stream');

  #leave(reason: LinkFailure): void {
    if (this.#facts === undefined) return;
    if (this.#relay.clock.now() - this.#upSinceMs >= STABLE_MS) this.#waitMs = FIRST_WAIT_MS;
    this.#stopFetching();
    this.#onFailed(new LinkError(reason));
  }

  /** The stream was deleted, and its events with it: those that are here are all that is left, and are sent. */
  #onOtherStream(): void {
    this.#relay.log.warn('queue_replaced', 'the stream was deleted and made anew: events that waited in it are lost');
    this.#acks.forget();
    for (const event of this.#fetched.values()) event.ackSubject = undefined;
    this.#fetched.clear();
  }

  readonly #onTooLarge = (): void => {
    this.#relay.log.warn('event_too_large', 'an event is larger than a message of the queue may be: it is dropped');
    this.#unreadable += 1;
    this.#relay.onStored(1);
    this.#relay.onUnreadable(1);
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
    if (this.#closing !== undefined && this.#outbox.isEmpty) return;
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
    const { key, ackSubject } = delivery;
    if (this.#closing !== undefined) return this.#link.publish(ackSubject, NAK);
    // Its fate is known, and the server does not know that yet.
    if (this.#acks.has(key)) return this.#acks.send(key, ackSubject);
    const known = this.#fetched.get(key);
    if (known === undefined) this.#add(delivery);
    else known.ackSubject = ackSubject;
  };

  #add(delivery: Delivery): void {
    const { key, id, ackSubject, target, mayBeSecond } = delivery;
    const { admit, clock, onStored, onUnreadable } = this.#relay;
    const admitted = admit(target);
    if (admitted === undefined) {
      this.#unreadable += 1;
      this.#acks.send(key, ackSubject);
      onStored(1);
      onUnreadable(1);
      return;
    }
    const wallMs = clock.wallNow();
    const ageMs = ageOf(delivery, wallMs, this.#relay.maxAgeMs, this.#facts?.maxAgeMs);
    const event: FetchedEvent = {
      seq: this.#nextSeq,
      target: admitted,
      acceptedAtMs: Math.round(wallMs - ageMs),
      sinceMs: clock.now() - ageMs,
      mayBeSecond,
      isWaiting: true,
      key,
      id,
      ackSubject,
    };
    this.#nextSeq += 1;
    if (mayBeSecond) this.#maybeSentTwice += 1;
    this.#fetched.set(key, event);
    this.#pending.add(event);
    onStored(1);
  }

  #confirm(events: readonly FetchedEvent[]): void {
    for (const { key, ackSubject } of events) {
      if (ackSubject === undefined) continue;
      this.#fetched.delete(key);
      this.#acks.send(key, ackSubject);
    }
    this.#fetcher?.wake();
  }

  async #close(withinMs: number): Promise<number> {
    const { clock } = this.#relay;
    const startedAtMs = clock.now();
    if (this.#signs !== undefined) clock.clearTimeout(this.#signs);
    const leftMs = (): number => Math.max(0, withinMs - (clock.now() - startedAtMs));
    if (this.#fetcher !== undefined) await settlesWithin(this.#withdraw(this.#fetcher), leftMs(), clock);
    // Other relays get them at once, in their order.
    const held = [...this.#pending.all()].sort((left, right) => left.seq - right.seq);
    for (const { ackSubject } of held) if (ackSubject !== undefined) this.#link.publish(ackSubject, NAK);
    // Their stream is gone, and they with this process.
    const orphans = this.#pending.removeIf(({ ackSubject }) => ackSubject === undefined).length;
    // The queue may come back in time for the events that are in memory alone.
    this.#waitMs = FIRST_WAIT_MS;
    if (this.#facts === undefined && !this.#outbox.isEmpty) void this.#connect();
    this.#lost = orphans + this.#storedHere(await this.#outbox.close(leftMs()));
    await settlesWithin(Promise.all([this.#acks.end(), this.#link.flush()]), leftMs(), clock);
    if (this.#retry !== undefined) clock.clearTimeout(this.#retry);
    this.#link.close();
    return this.#lost;
  }

  async #withdraw(fetcher: Fetcher): Promise<void> {
    await fetcher.stop();
    await forgetRequests(this.#link, this.#settings);
  }
}

/** Why the queue cannot be used, without a text of the client: that may hold anything. */
function wordsOf(error: unknown): string {
  if (error instanceof JetstreamError) return error.message;
  return error instanceof LinkError ? `${error.reason}${error.why === undefined ? '' : `, ${error.why}`}` : 'unknown';
}
