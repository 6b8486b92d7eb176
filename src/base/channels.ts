/*
 * What becomes of events, told on channels of `node:diagnostics_channel` to whoever subscribes. Where nobody does, it costs one property
 * read an event.
 */
import { optionalFact } from './machine.js';

/**
 * A message of the channels `cosmos-telemetry:published`, `cosmos-telemetry:sent`, `cosmos-telemetry:failed` and
 * `cosmos-telemetry:dropped`. It holds no value of an event. The messages of one turn of the event loop that differ in the number only are
 * one message.
 *
 * The sums of `events` are the counts of `TelemetryStats`, for events since the subscription. Node makes an exception of a subscriber an
 * uncaught exception of the process.
 *
 * @example
 * import { subscribe, unsubscribe } from 'node:diagnostics_channel';
 * const onDropped = (message: unknown) => console.log((message as ChannelMessage).reason); // closed
 * subscribe('cosmos-telemetry:dropped', onDropped);
 * const telemetry = createTelemetry({ product: { name: 'acme', version: '1.2.0' }, endpoint: 'https://telemetry.acme.example' });
 * await telemetry.close();
 * telemetry.report('dag_run.success', { dagRun: { dagId: 'nightly', dag: { tasks: [{ owned: true }] } } });
 * await Promise.resolve();
 * unsubscribe('cosmos-telemetry:dropped', onDropped);
 */
export interface ChannelMessage {
  /** The name of the product. Several clients of a process share the channels. */
  readonly product: string;
  /** The event type; empty if it is not declared. */
  readonly type: string;
  /** Why it failed or was dropped: a key of `TelemetryStats.reasons`. Left out for `published` and `sent`. */
  readonly reason?: string;
  /** How many events, at least 1. */
  readonly events: number;
}

/** What may become of an event. */
export type Fate = 'published' | 'sent' | 'failed' | 'dropped';

/** The part of a channel of Node that is used. */
interface NodeChannel {
  readonly hasSubscribers: boolean;
  publish(message: unknown): void;
}

/** The channels of one client. */
export class Channels {
  readonly published: NodeChannel;
  readonly sent: NodeChannel;
  readonly failed: NodeChannel;
  readonly dropped: NodeChannel;
  readonly #product: string;
  /** The messages of this turn, in order. Foreign code must not run on the host's path, or within our accounts. */
  readonly #waiting = new Map<string, { fate: Fate; message: ChannelMessage }>();

  constructor(product: string, open: (name: string) => NodeChannel) {
    this.#product = product;
    this.published = open('cosmos-telemetry:published');
    this.sent = open('cosmos-telemetry:sent');
    this.failed = open('cosmos-telemetry:failed');
    this.dropped = open('cosmos-telemetry:dropped');
  }

  /** Tells it later in this turn. Ask `hasSubscribers` first. */
  tell(fate: Fate, type: string, reason?: string): void {
    if (this.#waiting.size === 0) void Promise.resolve().then(() => this.#publish());
    const key = `${fate} ${type} ${reason ?? ''}`;
    const events = (this.#waiting.get(key)?.message.events ?? 0) + 1;
    this.#waiting.set(key, { fate, message: { product: this.#product, type, ...(reason !== undefined && { reason }), events } });
  }

  #publish(): void {
    const told = [...this.#waiting.values()];
    this.#waiting.clear();
    for (const { fate, message } of told) this[fate].publish(Object.freeze(message));
  }
}

/** The channels of this process; undefined if it has none. */
export function openChannels(product: string): Channels | undefined {
  return optionalFact(() => {
    const { channel } = process.getBuiltinModule('node:diagnostics_channel');
    return new Channels(product, (name) => channel(name));
  }, undefined);
}
