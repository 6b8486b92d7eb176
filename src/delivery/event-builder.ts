import { metadataFields } from '../events/dag-run.js';
import type { EventDefinition, Fields } from '../events/definition.js';
import type { UsageMetrics } from '../events/fields.js';
import type { Ledger, LossReason } from '../ledger.js';
import { decompressTelemetryMetadata, TelemetryMetadataError } from '../metadata.js';
import { urlencode } from '../wire/query-string.js';
import { BuiltEvent, Kept } from './built-event.js';
import type { Standard } from './built-event.js';
import type { TakenEvent } from './event-buffer.js';
import type { UsageEvent } from './transport.js';
import { WireField } from './wire-field.js';

/** How many packed texts are remembered: as many DAGs as a scheduler has in its hands at a time. */
const MAX_REMEMBERED = 64;

type WireFields = ReadonlyMap<string, WireField>;

/** Hears what is not kept. */
type Notice = (name: string, why: LossReason) => void;

/** What one packed text holds: only what may leave, and how much of it may not. Null where it cannot be read. */
type Unpacked = { readonly kept: Kept; readonly dropped: number } | null;

/**
 * Turns what waits into what leaves: unpacks DAG metadata, merges, keeps only declared fields of their declared kinds. Runs off
 * the host's path.
 */
export class EventBuilder {
  readonly #standardMetrics: Readonly<UsageMetrics>;
  readonly #ledger: Ledger;
  readonly #idPrefix: string;
  readonly #wireFields = new Map<EventDefinition, WireFields>();
  readonly #unpacked = new Map<string, Unpacked>();
  // Made at the first event: a host that has opted out never gets so far.
  #standard: Standard | undefined;
  #metadataFields: WireFields | undefined;

  readonly #noticeOwn: Notice = (name, why) => this.#ledger.notice('event', name, why);
  readonly #noticeMetadata: Notice = (name, why) => this.#ledger.notice('metadata', name, why);

  /** @param idPrefix Tells this instance's event ids from those of another one in the same process. */
  constructor(standard: Readonly<UsageMetrics>, ledger: Ledger, idPrefix: string) {
    this.#standardMetrics = standard;
    this.#ledger = ledger;
    this.#idPrefix = idPrefix;
  }

  /** The event as a transport sees it. */
  build({ seq, definition, metrics, packed }: TakenEvent): UsageEvent {
    const fields = this.#fieldsOf(definition);
    const kept = new Kept();
    this.#ledger.fieldsDropped += keepDeclared(fields, metrics, kept, this.#noticeOwn);
    if (packed !== undefined) this.#addMetadata(definition.type === 'dag_run' ? packed : null, fields, kept);
    return new BuiltEvent(`${this.#idPrefix}${seq}`, definition.type, this.#standardPart(), kept);
  }

  /** @param packed Null for events that declare no metadata: theirs is not read at all. */
  #addMetadata(packed: string | null, fields: WireFields, to: Kept): void {
    const unpacked = packed === null ? null : this.#unpack(packed);
    if (unpacked === null) {
      this.#ledger.metadataUnreadable += 1;
      return;
    }
    this.#ledger.fieldsDropped += unpacked.dropped;
    for (const [index, field] of unpacked.kept.fields.entries()) {
      // What an event declares itself is for its publisher to say, and never for what stood in a param.
      if (fields.has(field.name)) this.#ledger.loseField('metadata', field.name, 'taken');
      else to.add(field, unpacked.kept.values[index] ?? null);
    }
  }

  #unpack(packed: string): Unpacked {
    const known = this.#unpacked.get(packed);
    if (known !== undefined) return known;
    let unpacked: Unpacked = null;
    try {
      const kept = new Kept();
      const dropped = keepDeclared((this.#metadataFields ??= wireFields(metadataFields)), decompressTelemetryMetadata(packed), kept, this.#noticeMetadata);
      unpacked = { kept, dropped };
    } catch (error) {
      // Counted by the caller: unreadable metadata costs the metadata, never the event.
      this.#ledger.notice('metadata', '', error instanceof TelemetryMetadataError ? error.problem : 'not_object');
    }
    const oldest = this.#unpacked.size < MAX_REMEMBERED ? undefined : this.#unpacked.keys().next().value;
    if (oldest !== undefined) this.#unpacked.delete(oldest);
    this.#unpacked.set(packed, unpacked);
    return unpacked;
  }

  #standardPart(): Standard {
    return (this.#standard ??= { metrics: this.#standardMetrics, query: urlencode(this.#standardMetrics) });
  }

  #fieldsOf(definition: EventDefinition): WireFields {
    let fields = this.#wireFields.get(definition);
    if (fields === undefined) this.#wireFields.set(definition, (fields = wireFields(definition.fields)));
    return fields;
  }
}

/** Keeps what is declared and of its kind. @returns How many values were not. */
function keepDeclared(fields: WireFields, from: Readonly<Record<string, unknown>>, to: Kept, notice: Notice): number {
  let dropped = 0;
  // Not `for in`: a host that extends Object.prototype would see its extension leave the machine.
  for (const name of Object.keys(from)) {
    const value = from[name];
    if (value === undefined) continue;
    const field = fields.get(name);
    if (field?.accepts(value) === true) {
      to.add(field, value);
      continue;
    }
    dropped += 1;
    notice(name, field === undefined ? 'undeclared' : 'ill_typed');
  }
  return dropped;
}

function wireFields(fields: Fields): WireFields {
  return new Map(Object.entries(fields).map(([name, field]) => [name, new WireField(name, field)]));
}
