/*
 * Turns a waiting event into what is sent: checks each field against its declaration, and merges the DAG metadata. It is encoded when a
 * transport asks for it. All of it happens off the host's path.
 */
import { WIRE_VERSION } from '../base/constants.js';
import { bare } from '../base/foreign-values.js';
import type { Ledger, LossReason } from '../base/ledger.js';
import type { Fields } from '../events/definition.js';
import type { CommonValues } from '../events/description.js';
import type { Field, FieldKind } from '../events/fields.js';
import { decompressTelemetryMetadata, TelemetryMetadataError } from '../events/metadata.js';
import type { DeclaredEvent } from '../events/product-events.js';
import { pythonFloat, pythonStr, quotePlus, urlencode } from '../wire/python.js';
import type { MetricValue, UsageMetrics } from '../wire/python.js';
import type { TakenEvent } from './event-buffer.js';
import { eventParts } from './transport.js';
import type { EventParts, UsageEvent } from './transport.js';

/** What all events of one type share. */
interface Shared {
  readonly fields: WireFields;
  readonly onLoss: OnLoss;
  /** The part of the request target that is always the same. */
  readonly prefix: string;
  /** Whether `prefix` contains a part of the query. */
  readonly hasQuery: boolean;
  /** The metrics of every event. */
  readonly base: Readonly<UsageMetrics>;
  /** Undefined for events that declare no metadata: theirs is not read. */
  readonly metadata: MetadataReader | undefined;
  /**
   * Whether a transport has asked for a request target. It will ask for the next one, too, and to check and encode in one pass takes a
   * tenth less time.
   */
  isAsked: boolean;
  /** The declarations of all that the event may hold. */
  readonly declared: Fields;
}

/** Builds the events that transports send: declared fields of the declared kinds only, with the DAG metadata unpacked. */
export class EventBuilder {
  readonly #standard: Readonly<UsageMetrics>;
  readonly #ledger: Ledger;
  readonly #everyEvent: Fields;
  readonly #common: CommonValues | undefined;
  // Filled at the first event of a type: a host that has opted out never needs it.
  readonly #shared = new Map<DeclaredEvent, Shared>();

  /**
   * @param common What the product adds to every event, after the standard metrics.
   * @param everyEvent The declarations of the standard metrics and of `common`.
   */
  constructor(standard: Readonly<UsageMetrics>, ledger: Ledger, common?: CommonValues, everyEvent: Fields = {}) {
    this.#standard = standard;
    this.#ledger = ledger;
    this.#everyEvent = everyEvent;
    this.#common = common;
  }

  /** What the event may not hold is removed from its metrics, which are ours. */
  build(taken: TakenEvent): UsageEvent {
    const { definition, metrics, packed } = taken;
    const shared = this.#sharedOf(definition);
    const { fields, metadata } = shared;
    const missing = this.#ledger.isObserved ? fields.missing(metrics) : [];
    const query = fields.check(metrics, shared.onLoss, shared.isAsked);
    for (const name of missing) this.#ledger.notice('event', name, 'missing', definition.type);
    const unpacked = packed === undefined ? undefined : metadata === undefined ? this.#undeclared() : metadata.read(packed);
    if (unpacked !== undefined) this.#countLosses(unpacked);
    return new BuiltEvent(taken, shared, unpacked, shared.isAsked ? query : undefined);
  }

  /** Metadata for an event that declares none. */
  #undeclared(): null {
    this.#ledger.notice('metadata', '', 'undeclared');
    return null;
  }

  /** The losses of a packed text are counted with each event. */
  #countLosses(metadata: Metadata | null): void {
    const ledger = this.#ledger;
    if (metadata === null) {
      ledger.metadataUnreadable += 1;
      return;
    }
    ledger.fieldsDropped += metadata.dropped;
    for (const name of metadata.taken) ledger.loseField('metadata', name, 'taken');
  }

  /** The part of the query that every event has. */
  #everyQuery(): string {
    const query = urlencode(this.#standard);
    const common = this.#common && new WireFields(this.#common.fields).check({ ...this.#common.values }, nothing, true);
    return query === '' ? (common ?? '').slice(1) : query + (common ?? '');
  }

  #sharedOf(definition: DeclaredEvent): Shared {
    let shared = this.#shared.get(definition);
    if (shared === undefined) {
      const { type, metadata: declared } = definition;
      const fields = new WireFields(definition.fields);
      const query = this.#everyQuery();
      const metadata = declared && new MetadataReader(declared, fields, this.#ledger);
      const base = { ...this.#standard, ...this.#common?.values };
      const all = bare({ ...this.#everyEvent, ...declared, ...definition.fields });
      const onLoss: OnLoss = (name, why) => this.#ledger.loseField('event', name, why, type);
      const prefix = `/${WIRE_VERSION}/${type}?${query}`;
      shared = { fields, onLoss, prefix, hasQuery: query !== '', base, metadata, declared: all, isAsked: false };
      this.#shared.set(definition, shared);
    }
    return shared;
  }
}

/** The random bytes of an id, version and variant included, and their length as text: `7xxx-vxxx-xxxxxxxxxxxx`. */
const RANDOM_BYTES = 10;
const RANDOM_LENGTH = 22;

/** Random bytes are drawn for so many ids at once: each draw asks the system. */
const IDS_PER_DRAW = 128;

const DASH = 0x2d;
const DIGITS = '0123456789abcdef';

let random = '';
let randomUsed = 0;
let lastTimeMs = -1;
let lastTimeDigits = '';

/** The random parts of many ids. One text for all: an id of many small texts takes four times the memory. */
function drawRandom(): string {
  // Named here: a host that sends nothing loads no cryptography.
  const bytes = process.getBuiltinModule('node:crypto').randomBytes(IDS_PER_DRAW * RANDOM_BYTES);
  const text = Buffer.allocUnsafe(IDS_PER_DRAW * RANDOM_LENGTH);
  let end = 0;
  for (let index = 0; index < bytes.length; index += 1) {
    const byte = bytes[index] ?? 0;
    const place = index % RANDOM_BYTES;
    if (place === 2 || place === 4) text[end++] = DASH;
    const set = place === 0 ? 0x70 | (byte & 0x0f) : place === 2 ? 0x80 | (byte & 0x3f) : byte;
    text[end++] = DIGITS.charCodeAt(set >> 4);
    text[end++] = DIGITS.charCodeAt(set & 15);
  }
  return text.toString('latin1');
}

/** A UUIDv7 (RFC 9562): the time, and 74 random bits that are the event's own. */
export function uuidOf(timeMs: number): string {
  if (randomUsed === random.length) {
    random = drawRandom();
    randomUsed = 0;
  }
  if (timeMs !== lastTimeMs) {
    const digits = Math.max(0, Math.trunc(timeMs)).toString(16).padStart(12, '0').slice(-12);
    lastTimeDigits = `${digits.slice(0, 8)}-${digits.slice(8)}-`;
    lastTimeMs = timeMs;
  }
  const at = randomUsed;
  randomUsed += RANDOM_LENGTH;
  return lastTimeDigits + random.slice(at, randomUsed);
}

/** The key that `console.log` and `util.inspect` look up. A registered symbol, so that `node:util` need not be loaded. */
const inspected = Symbol.for('nodejs.util.inspect.custom');

/** One event as a transport gets it. */
class BuiltEvent implements UsageEvent {
  readonly id: string;
  readonly timeMs: number;
  readonly type: string;
  declare readonly metrics: Readonly<UsageMetrics>;
  // Collected at the first access, because most transports need the request target only. It is an own property all the same:
  // transports copy events, write them as JSON and post them to workers.
  static readonly #ownMetrics = {
    configurable: true,
    enumerable: true,
    get(this: BuiltEvent) {
      return (this.#metrics ??= this.#collect());
    },
  };
  /** `Object.defineProperty` reads inherited properties, too. It takes three times as long with a descriptor that inherits none. */
  static readonly #bareMetrics = bare(this.#ownMetrics);
  readonly #id: string;
  readonly #taken: TakenEvent;
  readonly #shared: Shared;
  readonly #metadata: Metadata | null | undefined;
  readonly #query: string | undefined;
  #target: string | undefined;
  #metrics: Readonly<UsageMetrics> | undefined;

  /** @param query The event's own fields, if they are encoded already. */
  constructor(taken: TakenEvent, shared: Shared, metadata: Metadata | null | undefined, query: string | undefined) {
    this.id = this.#id = uuidOf(taken.timeMs);
    this.timeMs = taken.timeMs;
    this.type = taken.definition.type;
    this.#taken = taken;
    this.#shared = shared;
    this.#metadata = metadata;
    this.#query = query;
    const plain = BuiltEvent.#ownMetrics;
    Object.defineProperty(this, 'metrics', 'set' in plain || 'value' in plain || 'writable' in plain ? BuiltEvent.#bareMetrics : plain);
  }

  requestTarget(): string {
    return (this.#target ??= this.#encode());
  }

  kindOf(name: string): FieldKind | undefined {
    return this.#shared.declared[name]?.kind;
  }

  get [eventParts](): EventParts | undefined {
    // A transport may hand on an object that has this one as its prototype.
    if (!(#shared in this) || this.#metrics !== undefined) return undefined;
    const { definition, metrics, timeMs } = this.#taken;
    // As JavaScript lets a transport set them.
    if (this.id !== this.#id || this.type !== definition.type || this.timeMs !== timeMs) return undefined;
    return { base: this.#shared.base, own: metrics, metadata: this.#metadata?.metrics, of: this };
  }

  #encode(): string {
    const { fields, prefix, hasQuery } = this.#shared;
    this.#shared.isAsked = true;
    const query = (this.#query ?? fields.check(this.#taken.metrics, nothing, true)) + (this.#metadata?.query ?? '');
    // A query begins without an ampersand.
    return prefix + (hasQuery ? query : query.slice(1));
  }

  #collect(): UsageMetrics {
    const { base, fields } = this.#shared;
    return { ...base, ...fields.pick(this.#taken.metrics), ...this.#metadata?.metrics };
  }

  /** Shows the metrics when the event is printed: without it `[Getter]` would be shown. */
  [inspected](): Pick<UsageEvent, 'id' | 'timeMs' | 'type' | 'metrics'> {
    const { id, timeMs, type, metrics } = this;
    return { id, timeMs, type, metrics };
  }
}

/** Called for a value that is not sent. */
type OnLoss = (name: string, why: LossReason) => void;

/** For values that were checked before. */
const nothing: OnLoss = () => undefined;

/** The declared fields of an event, with their encoding. */
class WireFields {
  readonly #byName: ReadonlyMap<string, WireField>;
  /** The fields in the order of the last event. The next event mostly has the same order and then needs no look-up. */
  readonly #order: (WireField | undefined)[] = [];
  readonly #required: readonly string[];

  constructor(fields: Fields) {
    this.#byName = new Map(Object.entries(fields).map(({ 0: name, 1: field }) => [name, new WireField(name, field)]));
    this.#required = Object.keys(fields).filter((name) => fields[name]?.optional !== true);
  }

  has(name: string): boolean {
    return this.#byName.has(name);
  }

  /**
   * Removes what is not declared or not of its kind; `onLoss` is called for each.
   *
   * @returns If `encodes`, `&name=value` of each value that stays, in the order of `values`; else an empty text.
   */
  check(values: Record<string, unknown>, onLoss: OnLoss, encodes: boolean): string {
    const order = this.#order;
    let query = '';
    let place = 0;
    // A list of the names would cost five times as much as `for in`. The check excludes what a host has added to Object.prototype.
    // Inside `for in` the compiler knows the result of `hasOwnProperty`, but not that of `Object.hasOwn`.
    for (const name in values) {
      if (!Object.prototype.hasOwnProperty.call(values, name)) continue;
      const value: unknown = values[name];
      if (value === undefined) continue;
      // A list that is too short would give what `Object.prototype` holds at that index.
      let field = place < order.length ? order[place] : undefined;
      if (field?.name !== name) order[place] = field = this.#byName.get(name);
      place += 1;
      if (field?.accepts(value) === true) {
        if (encodes) query += field.pair(value as MetricValue);
        continue;
      }
      delete values[name];
      onLoss(name, field === undefined ? 'undeclared' : 'ill_typed');
    }
    return query;
  }

  /** The required fields without a value. */
  missing(values: Readonly<Record<string, unknown>>): string[] {
    return this.#required.filter((name) => !Object.hasOwn(values, name) || values[name] === undefined);
  }

  /** The values, without names whose value is undefined. They are checked. */
  pick(values: Readonly<UsageMetrics>): UsageMetrics {
    const picked: UsageMetrics = {};
    for (const { 0: name, 1: value } of Object.entries(values)) if (value !== undefined) picked[name] = value;
    return picked;
  }
}

/**
 * One declared field: its check, and its encoding, which is chosen once and not for each value. It remembers the last value and the last
 * encoding, because hosts send the same few values again and again.
 */
class WireField {
  readonly name: string;
  readonly #field: Field;
  readonly #prefix: string;
  readonly #number: (value: number) => string;
  #lastAccepted: unknown;
  #lastValue: unknown;
  #lastPair: string | undefined;

  constructor(name: string, field: Field) {
    this.name = name;
    this.#field = field;
    this.#prefix = `&${quotePlus(name)}=`;
    this.#number = field.kind === 'duration' ? pythonFloat : pythonStr;
  }

  /** Whether a value is of the declared kind. A hand-made field may throw: that counts as no. Undefined is of no kind. */
  accepts(value: unknown): boolean {
    if (value === this.#lastAccepted && value !== undefined) return true;
    try {
      if (!this.#field.accepts(value)) return false;
    } catch {
      return false;
    }
    // Numbers are not remembered: 0 and -0 are equal.
    if (typeof value !== 'number') this.#lastAccepted = value;
    return true;
  }

  /** `&name=value`, encoded. */
  pair(value: MetricValue): string {
    // Numbers are not remembered: 0 and -0 are equal but have two texts. They are quoted because an exponent may have a plus sign.
    if (typeof value === 'number') return this.#prefix + quotePlus(this.#number(value));
    if (value !== this.#lastValue || this.#lastPair === undefined) {
      this.#lastPair = this.#prefix + quotePlus(pythonStr(value));
      this.#lastValue = value;
    }
    return this.#lastPair;
  }
}

/** What one packed text adds to an event. */
interface Metadata {
  readonly metrics: Readonly<UsageMetrics>;
  readonly query: string;
  /** How many of its values are undeclared or ill-typed. */
  readonly dropped: number;
  /** Its names that the event itself declares. */
  readonly taken: readonly string[];
}

/** How many packed texts are remembered: about as many DAGs as a scheduler handles at a time. */
const MAX_REMEMBERED = 64;

/** Reads packed DAG metadata, each text once: the result has only what may be sent. */
class MetadataReader {
  readonly #own: WireFields;
  readonly #ledger: Ledger;
  readonly #fields: WireFields;
  readonly #known = new Map<string, Metadata | null>();

  /** @param own The event's own fields: only its publisher may set these, never the metadata. */
  constructor(declared: Fields, own: WireFields, ledger: Ledger) {
    this.#fields = new WireFields(declared);
    this.#own = own;
    this.#ledger = ledger;
  }

  /** @returns null if the text cannot be read. */
  read(packed: string): Metadata | null {
    let metadata = this.#known.get(packed);
    if (metadata !== undefined) return metadata;
    metadata = this.#unpack(packed);
    const oldest = this.#known.size < MAX_REMEMBERED ? undefined : this.#known.keys().next().value;
    if (oldest !== undefined) this.#known.delete(oldest);
    this.#known.set(packed, metadata);
    return metadata;
  }

  #unpack(packed: string): Metadata | null {
    const ledger = this.#ledger;
    try {
      let dropped = 0;
      const taken: string[] = [];
      const metrics = decompressTelemetryMetadata(packed) as UsageMetrics;
      const tell: OnLoss = (name, why) => {
        dropped += 1;
        ledger.notice('metadata', name, why);
      };
      this.#fields.check(metrics, tell, false);
      for (const name of Object.keys(metrics)) {
        if (!this.#own.has(name)) continue;
        taken.push(name);
        delete metrics[name];
      }
      return { metrics, query: this.#fields.check(metrics, nothing, true), dropped, taken };
    } catch (error) {
      // The builder counts it with each event: unreadable metadata costs the metadata, never the event.
      ledger.notice('metadata', '', error instanceof TelemetryMetadataError ? error.problem : 'not_object');
      return null;
    }
  }
}
