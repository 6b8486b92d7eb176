/** Publishes the events of a host to the work queue: the relays that share it send them on. */
import { integer } from '../base/check-options.js';
import { systemClock } from '../base/clock.js';
import type { SendSignal } from '../base/platform-types.js';
import { CONNECT_REASON, steering } from '../delivery/transport.js';
import type { EventOutcome, SendOutcome, Transport, UsageEvent } from '../delivery/transport.js';
import { checkJetstreamOptions, JetstreamError } from './client.js';
import type { JetstreamOptions, JetstreamSettings } from './client.js';
import { Link, LinkError } from './connection.js';
import { publishEvent } from './stream.js';
import type { Published } from './stream.js';

/**
 * What `jetstreamTransport` takes. `replicas` and `syncsAlways` say nothing here: the relay creates the stream.
 *
 * @example
 * const options: JetstreamTransportOptions = { servers: 'nats://nats.acme.example:4222', maxBatchSize: 64 };
 */
export interface JetstreamTransportOptions extends JetstreamOptions {
  /** The most events that are published at the same time. @default 256 */
  maxBatchSize?: number | undefined;
}

/**
 * Publishes each event to the stream of `jetstreamStore`, as a message of its own, many at a time. The stream must be there: a relay
 * creates it.
 *
 * An event that the stream confirmed is `sent`, with `handedOver`, since a relay delivers it later. An event without a confirmation is
 * `retryable`: each one has an id, and the server drops a repeat within two minutes. A repeat that comes later, or after a restart of the
 * server, may be delivered twice.
 *
 * It connects with the first event, and again after the connection is lost. An idle connection does not hold the process.
 *
 * @param options By default the stream COSMOS_TELEMETRY of a server on this machine.
 * @throws TypeError naming the option and its value; JetstreamError `client_missing` if the package `@nats-io/transport-node` is not
 * installed.
 * @example
 * const product = { name: 'acme', version: '1.2.0' };
 * const start = () => createTelemetry({ product, transport: retrying(jetstreamTransport({ servers: 'nats://127.0.0.1:4222' })) });
 */
export function jetstreamTransport(options: JetstreamTransportOptions = {}): Transport {
  const { settings, options: checked } = checkJetstreamOptions<JetstreamTransportOptions>('options of jetstreamTransport', options, {
    maxBatchSize: integer(1, 10_000),
  });
  return new JetstreamTransport(settings, checked.maxBatchSize ?? 256);
}

const SENT: EventOutcome = { kind: 'sent', handedOver: true };
const ABORTED: EventOutcome = { kind: 'aborted' };
const NOT_CONNECTED = { kind: 'retryable', reason: CONNECT_REASON } as const satisfies EventOutcome;
const UNAUTHORIZED: EventOutcome = { kind: 'rejected', reason: 'unauthorized' };
const UNUSABLE: EventOutcome = { kind: 'rejected', reason: 'credentials_unusable' };

/** The outcome of an event, by what became of its publish. A repeat is safe: the event has an id. */
const OUTCOMES: Readonly<Record<Published, EventOutcome>> = {
  stored: SENT,
  duplicate: SENT,
  full: { kind: 'retryable', reason: 'stream_full' },
  connect: NOT_CONNECTED,
  timeout: { kind: 'retryable', reason: 'timeout', cause: 'slow' },
  network: { kind: 'retryable', reason: 'network', cause: 'reset' },
  no_stream: { kind: 'retryable', reason: 'no_stream' },
  stream_error: { kind: 'retryable', reason: 'stream_error' },
  too_large: { kind: 'refused', reason: 'too_large' },
  unauthorized: UNAUTHORIZED,
};

class JetstreamTransport implements Transport {
  readonly maxBatchSize: number;
  readonly [steering]: { letGo: () => void };
  readonly #settings: JetstreamSettings;
  readonly #link: Link;
  readonly #aborts = new Aborts();

  constructor(settings: JetstreamSettings, maxBatchSize: number) {
    this.maxBatchSize = maxBatchSize;
    this.#settings = settings;
    this.#link = new Link({ settings, clock: systemClock });
    this[steering] = { letGo: () => this.#link.endDial() };
  }

  async send(events: readonly UsageEvent[], signal: SendSignal): Promise<SendOutcome> {
    if (signal.aborted) return ABORTED;
    const aborts = this.#aborts.enter(signal);
    try {
      const failure = await Promise.race([this.#connect(), aborts]);
      if (failure !== undefined) return failure;
      const outcomes = await Promise.all(events.map((event) => Promise.race([this.#publish(event), aborts])));
      return outcomes.every((outcome) => outcome === SENT) ? SENT : { kind: 'partial', outcomes };
    } finally {
      this.#aborts.leave(signal);
      if (this.#aborts.isEmpty && this.#link.holdsWhenIdle) this.#link.drop();
    }
  }

  close(): void {
    this.#link.close();
  }

  /** @returns Why nothing can be sent; undefined if something can. */
  async #connect(): Promise<EventOutcome | undefined> {
    try {
      await this.#link.connect();
      return undefined;
    } catch (error) {
      if (error instanceof JetstreamError) return UNUSABLE;
      if (!(error instanceof LinkError)) return NOT_CONNECTED;
      if (error.reason === 'unauthorized') return UNAUTHORIZED;
      return error.why === undefined ? NOT_CONNECTED : { ...NOT_CONNECTED, cause: error.why };
    }
  }

  async #publish(event: UsageEvent): Promise<EventOutcome> {
    const { id, timeMs } = event;
    const acceptedAtMs = timeMs ?? systemClock.wallNow();
    const published = await publishEvent(this.#link, this.#settings, {
      id,
      target: event.requestTarget(),
      acceptedAtMs,
      mayBeSecond: false,
    });
    // A connection that is dead does not say so.
    if (published === 'timeout') this.#link.drop();
    return OUTCOMES[published];
  }
}

/** The sends under one signal. */
class Abort {
  sends = 0;
  readonly aborted: Promise<EventOutcome>;
  onAbort: () => void = () => undefined;

  constructor(signal: SendSignal) {
    this.aborted = new Promise((resolve) => {
      this.onAbort = () => resolve(ABORTED);
    });
    signal.addEventListener('abort', this.onAbort);
  }
}

/** One listener for each signal, however many sends it is for. */
class Aborts {
  readonly #bySignal = new Map<SendSignal, Abort>();

  get isEmpty(): boolean {
    return this.#bySignal.size === 0;
  }

  /** @returns Fulfils with `aborted` when the signal does. */
  enter(signal: SendSignal): Promise<EventOutcome> {
    let entry = this.#bySignal.get(signal);
    if (entry === undefined) {
      entry = new Abort(signal);
      this.#bySignal.set(signal, entry);
    }
    entry.sends += 1;
    return entry.aborted;
  }

  leave(signal: SendSignal): void {
    const entry = this.#bySignal.get(signal);
    if (entry === undefined) return;
    entry.sends -= 1;
    if (entry.sends > 0) return;
    signal.removeEventListener('abort', entry.onAbort);
    this.#bySignal.delete(signal);
  }
}
