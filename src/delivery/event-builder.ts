import { metadataFields } from '../events/dag-run.js';
import type { EventDefinition, Fields } from '../events/definition.js';
import type { Field, UsageMetrics } from '../events/fields.js';
import type { Ledger, LossReason } from '../ledger.js';
import { decompressTelemetryMetadata, TelemetryMetadataError } from '../metadata.js';
import { WIRE_VERSION } from '../constants.js';
import { pythonFloat, pythonStr } from '../wire/python-values.js';
import { quotePlus, urlencode } from '../wire/query-string.js';
import type { TakenEvent } from './event-buffer.js';
import type { UsageEvent } from './transport.js';

/** How many packed texts are remembered: as many DAGs as a scheduler has in its hands at a time. */
const MAX_REMEMBERED = 64;

type FieldMap = ReadonlyMap<string, Field>;

/** Hears what is not kept. */
type Notice = (name: string, why: LossReason) => void;

/** What one packed text holds: only what may leave, and how much of it may not. Null where it cannot be read. */
type Unpacked = { readonly metrics: UsageMetrics; readonly dropped: number } | null;

/**
 * Turns what waits into what leaves: unpacks DAG metadata, merges, keeps only declared fields of their declared kinds. Runs off
 * the host's path.
 */
export class EventBuilder {
  readonly #standard: Readonly<UsageMetrics>;
  readonly #standardQuery: string;
  readonly #ledger: Ledger;
  readonly #idPrefix: string;
  readonly #fieldMaps = new Map<EventDefinition, FieldMap>();
  readonly #unpacked = new Map<string, Unpacked>();
  readonly #metadataFields = fieldMap(metadataFields);

  readonly #noticeOwn: Notice = (name, why) => this.#ledger.notice('event', name, why);
  readonly #noticeMetadata: Notice = (name, why) => this.#ledger.notice('metadata', name, why);

  /** @param idPrefix Tells this instance's event ids from those of another one in the same process. */
  constructor(standard: Readonly<UsageMetrics>, ledger: Ledger, idPrefix: string) {
    this.#standard = standard;
    this.#standardQuery = urlencode(standard);
    this.#ledger = ledger;
    this.#idPrefix = idPrefix;
  }

  /** The event as a transport sees it. */
  build({ seq, definition, metrics, packed }: TakenEvent): UsageEvent {
    const fields = this.#fieldsOf(definition);
    const own: UsageMetrics = {};
    this.#ledger.fieldsDropped += keepDeclared(fields, metrics, own, this.#noticeOwn);
    if (packed !== undefined) this.#addMetadata(definition.type === 'dag_run' ? packed : null, fields, own);
    return new BuiltEvent(`${this.#idPrefix}${seq}`, definition.type, { ...this.#standard, ...own }, {
      standardQuery: this.#standardQuery,
      own,
      fields,
    });
  }

  /** @param packed Null for events that declare no metadata: theirs is not read at all. */
  #addMetadata(packed: string | null, fields: FieldMap, own: UsageMetrics): void {
    const unpacked = packed === null ? null : this.#unpack(packed);
    if (unpacked === null) {
      this.#ledger.metadataUnreadable += 1;
      return;
    }
    this.#ledger.fieldsDropped += unpacked.dropped;
    for (const [name, value] of Object.entries(unpacked.metrics)) {
      // What an event declares itself is for its publisher to say, and never for what stood in a param.
      if (fields.has(name)) this.#ledger.loseField('metadata', name, 'taken');
      else own[name] = value;
    }
  }

  #unpack(packed: string): Unpacked {
    const known = this.#unpacked.get(packed);
    if (known !== undefined) return known;
    let unpacked: Unpacked = null;
    try {
      const metrics: UsageMetrics = {};
      const dropped = keepDeclared(this.#metadataFields, decompressTelemetryMetadata(packed), metrics, this.#noticeMetadata);
      unpacked = { metrics, dropped };
    } catch (error) {
      // Counted by the caller: unreadable metadata costs the metadata, never the event.
      this.#ledger.notice('metadata', '', error instanceof TelemetryMetadataError ? error.problem : 'not_object');
    }
    const oldest = this.#unpacked.size < MAX_REMEMBERED ? undefined : this.#unpacked.keys().next().value;
    if (oldest !== undefined) this.#unpacked.delete(oldest);
    this.#unpacked.set(packed, unpacked);
    return unpacked;
  }

  #fieldsOf(definition: EventDefinition): FieldMap {
    let fields = this.#fieldMaps.get(definition);
    if (fields === undefined) this.#fieldMaps.set(definition, (fields = fieldMap(definition.fields)));
    return fields;
  }
}

/** What an event needs to encode itself, besides what every transport may see. */
interface Encoding {
  standardQuery: string;
  own: Readonly<UsageMetrics>;
  fields: FieldMap;
}

class BuiltEvent implements UsageEvent {
  readonly id: string;
  readonly type: string;
  readonly metrics: Readonly<UsageMetrics>;
  readonly #encoding: Encoding;

  constructor(id: string, type: string, metrics: Readonly<UsageMetrics>, encoding: Encoding) {
    this.id = id;
    this.type = type;
    this.metrics = metrics;
    this.#encoding = encoding;
  }

  requestTarget(): string {
    const { standardQuery, own, fields } = this.#encoding;
    let query = standardQuery;
    // Not `for in`: a host that extends Object.prototype would see its extension leave the machine.
    for (const [name, value] of Object.entries(own)) {
      const isFloat = typeof value === 'number' && fields.get(name)?.kind === 'duration';
      // Declared names need no quoting, and numbers none but the plus sign of an exponent.
      query += `${query === '' ? '' : '&'}${name}=${quotePlus(isFloat ? pythonFloat(value) : pythonStr(value))}`;
    }
    return `/${WIRE_VERSION}/${this.type}?${query}`;
  }
}

/** Copies what is declared and of its kind. @returns How many values were not. */
function keepDeclared(fields: FieldMap, from: Readonly<Record<string, unknown>>, to: UsageMetrics, notice: Notice): number {
  let dropped = 0;
  for (const name of Object.keys(from)) {
    const value = from[name];
    if (value === undefined) continue;
    const field = fields.get(name);
    if (field !== undefined && accepts(field, value)) {
      to[name] = value as UsageMetrics[string];
      continue;
    }
    dropped += 1;
    notice(name, field === undefined ? 'undeclared' : 'ill_typed');
  }
  return dropped;
}

/** A field that was not made by a kind may throw: that is a no, and harms nothing else. */
function accepts(field: Field, value: unknown): boolean {
  try {
    return field.accepts(value);
  } catch {
    return false;
  }
}

function fieldMap(fields: Fields): FieldMap {
  return new Map(Object.entries(fields));
}
