import { EventBus, keepUsable } from '../../src/bus/bus.js';
import { EventBuilder } from '../../src/delivery/event-builder.js';
import type { UsageEvent } from '../../src/delivery/transport.js';
import type { EventDefinition } from '../../src/events/definition.js';
import type { UsageMetrics } from '../../src/wire/python.js';
import { productEvents } from '../../src/events/product-events.js';
import type { EventDefinitions, StandardChoices } from '../../src/events/product-events.js';
import { Gate } from '../../src/opt-out/gate.js';
import { Ledger } from '../../src/base/ledger.js';
import type { TelemetryStats } from '../../src/base/ledger.js';
import { hostListeners } from '../../src/listeners/register.js';
import { ListenerRegistry } from '../../src/listeners/register.js';
import type { Task } from '../../src/listeners/host.js';
import { Log } from '../../src/base/log.js';
import { VirtualClock } from './virtual-clock.js';

/** One event as the consumer of the bus receives it. */
export interface TakenFromBus {
  definition: EventDefinition;
  metrics: UsageMetrics;
  packed: string | undefined;
}

/** Options of `FakeProduct`. */
export interface FakeProductOptions {
  product?: string;
  events?: readonly EventDefinition[];
  /** Whether telemetry is on at the start. @default true */
  open?: boolean;
  dagHash?: (dagId: string) => string | null;
  owns?: (task: Task) => boolean;
  /** @default what the product declares */
  definitions?: EventDefinitions;
  /** What the program chose for its standard events. @default what it has with `dagHash` and without other options */
  choices?: StandardChoices;
}

/** Bus, listeners and gate of a product without delivery, on a virtual clock. */
export class FakeProduct {
  readonly clock = new VirtualClock();
  readonly ledger = new Ledger();
  /** All log lines. */
  readonly lines: string[] = [];
  /** The events that reached the consumer. They count as pending. */
  readonly taken: TakenFromBus[] = [];
  readonly log: Log;
  readonly gate: Gate;
  readonly definitions: EventDefinitions;
  readonly bus: EventBus;
  readonly listeners: ReturnType<typeof hostListeners>['events'];
  readonly registry: ListenerRegistry;
  isOptedOut = false;

  constructor(options: FakeProductOptions = {}) {
    const { product = 'cosmos', events = [], open = true, dagHash = () => null, owns, choices = {} } = options;
    const { definitions = productEvents(product, 'airflow', events, { dagHash, ...choices }) } = options;
    const { clock, ledger, lines } = this;
    const write = (message: string) => {
      lines.push(message);
    };
    this.log = new Log({ debug: write, warn: write }, clock);
    this.gate = new Gate({ state: open ? 'open' : 'shut', watch: { optedOutNow: () => this.isOptedOut }, clock });
    const { log, gate } = this;
    this.definitions = definitions;
    this.bus = new EventBus({ definitions, gate, ledger, log });
    this.bus.attach((metrics, packed, definition, isChecked) => {
      ledger.published += 1;
      if (!isChecked) keepUsable(metrics, definition, ledger);
      this.taken.push({ definition, metrics, packed });
    });
    const listeners = hostListeners(product, { definitions, bus: this.bus, ledger, log, dagHash, owns });
    this.listeners = listeners.events;
    this.registry = new ListenerRegistry({ listeners: () => listeners, gate, ledger, log });
  }

  stats(): TelemetryStats {
    return this.ledger.snapshot(this.taken.length);
  }

  /** The newest event as a transport receives it. */
  built(standard: UsageMetrics = {}): UsageEvent | undefined {
    const last = this.taken.at(-1);
    if (last === undefined) return undefined;
    return new EventBuilder(standard, this.ledger).build({ seq: this.taken.length, timeMs: 0, built: undefined, ...last });
  }

  /** The metrics of the newest event, without undefined values. */
  lastMetrics(): UsageMetrics | undefined {
    const metrics: Record<string, unknown> | undefined = this.taken.at(-1)?.metrics;
    return metrics && (Object.fromEntries(Object.entries(metrics).filter(([, value]) => value !== undefined)) as UsageMetrics);
  }
}

export { settle as settled } from './virtual-clock.js';
