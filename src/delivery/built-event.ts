import type { UsageMetrics } from '../events/fields.js';
import type { UsageEvent } from './transport.js';

/** What `console.log` and `util.inspect` ask for. Its registered name saves a load of `node:util`. */
const inspected = Symbol.for('nodejs.util.inspect.custom');

/** One event as a transport sees it. */
export class BuiltEvent implements UsageEvent {
  readonly id: string;
  readonly type: string;
  declare readonly metrics: Readonly<UsageMetrics>;
  // Collected when somebody asks, since most transports want the request alone, and yet the event's own: transports copy events,
  // write them as JSON, and post them to workers.
  static readonly #ownMetrics: PropertyDescriptor & ThisType<BuiltEvent> = {
    configurable: true,
    enumerable: true,
    get() {
      return (this.#metrics ??= this.#collect());
    },
  };
  readonly #target: string;
  readonly #collect: () => UsageMetrics;
  #metrics: Readonly<UsageMetrics> | undefined;

  constructor(id: string, type: string, target: string, collect: () => UsageMetrics) {
    this.id = id;
    this.type = type;
    this.#target = target;
    this.#collect = collect;
    Object.defineProperty(this, 'metrics', BuiltEvent.#ownMetrics);
  }

  requestTarget(): string {
    return this.#target;
  }

  /** For whoever prints an event to see what is in it: a getter would be shown as one. */
  [inspected](): Pick<UsageEvent, 'id' | 'type' | 'metrics'> {
    const { id, type, metrics } = this;
    return { id, type, metrics };
  }
}
