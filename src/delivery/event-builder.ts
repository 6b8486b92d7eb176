import { WIRE_VERSION } from '../constants.js';
import type { EventDefinition } from '../events/definition.js';
import type { UsageMetrics } from '../events/fields.js';
import type { Ledger } from '../ledger.js';
import { urlencode } from '../wire/query-string.js';
import { BuiltEvent } from './built-event.js';
import type { TakenEvent } from './event-buffer.js';
import type { UsageEvent } from './transport.js';
import { UnpackedMetadata } from './unpacked-metadata.js';
import type { Metadata } from './unpacked-metadata.js';
import { WireFields } from './wire-fields.js';
import type { Notice } from './wire-fields.js';

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
    return new BuiltEvent(`${this.#idPrefix}${seq}`, definition.type, target + (hasQuery ? query : query.slice(1)), () => this.#metrics(taken));
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
