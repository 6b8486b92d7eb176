import { metadataFields } from '../events/dag-run.js';
import type { UsageMetrics } from '../events/fields.js';
import type { Ledger } from '../ledger.js';
import { decompressTelemetryMetadata, TelemetryMetadataError } from '../metadata.js';
import { WireFields } from './wire-fields.js';

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
