import { WIRE_VERSION } from '../base/constants.js';
import type { Ledger, LossReason } from '../base/ledger.js';
import { metadataFields } from '../events/dag-run.js';
import type { EventDefinition, Fields } from '../events/definition.js';
import type { Field } from '../events/fields.js';
import { decompressTelemetryMetadata, TelemetryMetadataError } from '../events/metadata.js';
import { pythonFloat, pythonStr, quotePlus, urlencode } from '../wire/python.js';
import type { MetricValue, UsageMetrics } from '../wire/python.js';
import type { TakenEvent } from './event-buffer.js';
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

/**
 * One declared field on its way out: its check, and its encoding, which is chosen once and not for each value. The last value is
 * remembered with what became of it, since hosts send the same few over and over.
 */
export class WireField {
  readonly name: string;
  readonly #field: Field;
  readonly #prefix: string;
  readonly #number: (value: number) => string;
  #lastValue: unknown;
  #lastPair: string | undefined;

  constructor(name: string, field: Field) {
    this.name = name;
    this.#field = field;
    this.#prefix = `&${quotePlus(name)}=`;
    this.#number = field.kind === 'duration' ? pythonFloat : pythonStr;
  }

  /**
   * `&name=value` as it stands in a query, or undefined where the value is not of the declared kind. A field that was not made by a
   * kind may throw: that is a no.
   */
  pair(value: unknown): string | undefined {
    if (value === this.#lastValue && this.#lastPair !== undefined) return this.#lastPair;
    try {
      return this.#field.accepts(value) ? this.#encode(value as MetricValue) : undefined;
    } catch {
      return undefined;
    }
  }

  #encode(value: MetricValue): string {
    // Not remembered: 0 and -0 are equal, and yet two texts. Its text is quoted for the plus sign of an exponent.
    if (typeof value === 'number') return this.#prefix + quotePlus(this.#number(value));
    this.#lastPair = this.#prefix + quotePlus(pythonStr(value));
    this.#lastValue = value;
    return this.#lastPair;
  }
}

/** Hears of a value that does not leave. */
export type Notice = (name: string, why: LossReason) => void;

/** The declared fields of an event on their way out. */
export class WireFields {
  readonly #byName: ReadonlyMap<string, WireField>;
  /** As they stood in the last event: the next one mostly has them in the same order, and needs no look-up then. */
  readonly #order: (WireField | undefined)[] = [];

  constructor(fields: Fields) {
    this.#byName = new Map(Object.entries(fields).map(([name, field]) => [name, new WireField(name, field)]));
  }

  has(name: string): boolean {
    return this.#byName.has(name);
  }

  /** `&name=value` of each value that is declared and of its kind, in the values' own order; the others are told of. */
  query(values: Readonly<Record<string, unknown>>, notice: Notice): string {
    const order = this.#order;
    let query = '';
    let place = 0;
    // A list of the names would cost five times as much. The question keeps out what a host has put into Object.prototype; inside of
    // `for in` the compiler knows the answer, but not that of `Object.hasOwn`.
    for (const name in values) {
      if (!Object.prototype.hasOwnProperty.call(values, name)) continue;
      const value: unknown = values[name];
      if (value === undefined) continue;
      let field = order[place];
      if (field?.name !== name) order[place] = field = this.#byName.get(name);
      place += 1;
      const pair = field?.pair(value);
      if (pair === undefined) notice(name, field === undefined ? 'undeclared' : 'ill_typed');
      else query += pair;
    }
    return query;
  }

  /** The same values by name. */
  pick(values: Readonly<Record<string, unknown>>): UsageMetrics {
    const picked: UsageMetrics = {};
    for (const name of Object.keys(values)) {
      if (values[name] !== undefined && this.#byName.get(name)?.pair(values[name]) !== undefined)
        picked[name] = values[name] as MetricValue;
    }
    return picked;
  }
}

/** How many packed texts are remembered: as many DAGs as a scheduler has in its hands at a time. */
const MAX_REMEMBERED = 64;

/** What one packed text adds to an event. */
export interface Metadata {
  readonly metrics: Readonly<UsageMetrics>;
  readonly query: string;
  /** How many of its values are undeclared or ill-typed. */
  readonly dropped: number;
  /** The names in it that the event declares itself. */
  readonly taken: readonly string[];
}

/** DAG metadata, unpacked once for each text: only what may leave. */
export class UnpackedMetadata {
  readonly #own: WireFields;
  readonly #ledger: Ledger;
  readonly #fields = new WireFields(metadataFields);
  readonly #known = new Map<string, Metadata | null>();

  /** @param own What an event declares itself is for its publisher to say, and never for what stood in a param. */
  constructor(own: WireFields, ledger: Ledger) {
    this.#own = own;
    this.#ledger = ledger;
  }

  /** @returns null where it cannot be read. */
  of(packed: string): Metadata | null {
    let metadata = this.#known.get(packed);
    if (metadata !== undefined) return metadata;
    metadata = this.#read(packed);
    const oldest = this.#known.size < MAX_REMEMBERED ? undefined : this.#known.keys().next().value;
    if (oldest !== undefined) this.#known.delete(oldest);
    this.#known.set(packed, metadata);
    return metadata;
  }

  #read(packed: string): Metadata | null {
    const ledger = this.#ledger;
    try {
      let dropped = 0;
      const taken: string[] = [];
      const metrics = decompressTelemetryMetadata(packed) as UsageMetrics;
      const query = this.#fields.query(metrics, (name, why) => {
        dropped += 1;
        ledger.notice('metadata', name, why);
      });
      const kept = this.#fields.pick(metrics);
      for (const name of Object.keys(kept)) {
        if (!this.#own.has(name)) continue;
        taken.push(name);
        delete kept[name];
      }
      return { metrics: kept, query: taken.length === 0 ? query : this.#fields.query(kept, () => undefined), dropped, taken };
    } catch (error) {
      // Counted by the caller: unreadable metadata costs the metadata, never the event.
      ledger.notice('metadata', '', error instanceof TelemetryMetadataError ? error.problem : 'not_object');
      return null;
    }
  }
}

/** What all events of one type have in common. */
interface Common {
  readonly fields: WireFields;
  /** Its request as far as it is always the same, and whether something of the query stands in it. */
  readonly target: string;
  readonly hasQuery: boolean;
  /** Undefined for events that declare no metadata: theirs is not read at all. */
  readonly metadata: UnpackedMetadata | undefined;
}

/**
 * Turns what waits into what leaves: unpacks DAG metadata, merges, keeps only declared fields of their declared kinds. Runs off
 * the host's path.
 */
export class EventBuilder {
  readonly #standard: Readonly<UsageMetrics>;
  readonly #ledger: Ledger;
  readonly #idPrefix: string;
  // Made at the first event of a type: a host that has opted out never gets so far.
  readonly #common = new Map<EventDefinition, Common>();
  readonly #notice: Notice = (name, why) => this.#ledger.loseField('event', name, why);

  /** @param idPrefix Tells this instance's event ids from those of another one in the same process. */
  constructor(standard: Readonly<UsageMetrics>, ledger: Ledger, idPrefix: string) {
    this.#standard = standard;
    this.#ledger = ledger;
    this.#idPrefix = idPrefix;
  }

  /** The event as a transport sees it. */
  build(taken: TakenEvent): UsageEvent {
    const { seq, definition, metrics, packed } = taken;
    const { fields, target, hasQuery, metadata } = this.#commonOf(definition);
    let query = fields.query(metrics, this.#notice);
    if (packed !== undefined) query += this.#account(metadata?.of(packed) ?? null);
    return new BuiltEvent(`${this.#idPrefix}${seq}`, definition.type, target + (hasQuery ? query : query.slice(1)), () =>
      this.#metrics(taken),
    );
  }

  /** @returns what the metadata adds to the query */
  #account(metadata: Metadata | null): string {
    const ledger = this.#ledger;
    if (metadata === null) {
      ledger.metadataUnreadable += 1;
      return '';
    }
    ledger.fieldsDropped += metadata.dropped;
    for (const name of metadata.taken) ledger.loseField('metadata', name, 'taken');
    return metadata.query;
  }

  #metrics({ definition, metrics, packed }: TakenEvent): UsageMetrics {
    const { fields, metadata } = this.#commonOf(definition);
    return { ...this.#standard, ...fields.pick(metrics), ...(packed === undefined ? null : metadata?.of(packed)?.metrics) };
  }

  #commonOf(definition: EventDefinition): Common {
    let common = this.#common.get(definition);
    if (common === undefined) {
      const { type } = definition;
      const fields = new WireFields(definition.fields);
      const query = urlencode(this.#standard);
      const metadata = type === 'dag_run' ? new UnpackedMetadata(fields, this.#ledger) : undefined;
      common = { fields, target: `/${WIRE_VERSION}/${type}?${query}`, hasQuery: query !== '', metadata };
      this.#common.set(definition, common);
    }
    return common;
  }
}
