/**
 * The fields that a relay may forward, and whether the text of a value in a URL is one of its kind. Pure functions that never throw.
 */
import { COSMOS } from '../base/constants.js';
import type { Field } from '../events/fields.js';
import { standardEvents } from '../events/product-events.js';
import { standardFields } from '../events/standard-metrics.js';

/** A field that is not forwarded. */
export interface DroppedField {
  /** As received: bytes of a URL. */
  readonly name: string;
  readonly why: 'undeclared' | 'ill_typed' | 'duplicate';
}

/** No field was dropped. */
export const NONE_DROPPED: readonly DroppedField[] = [];

/** The host of Cosmos. */
export const HOST = 'airflow';

/** Cosmos percent-encodes this field once more than the others. */
export const ENCODED_TWICE = `${HOST}_version`;

/** What is said of one `name=value`. `why` is missing if it is valid. */
interface Verdict {
  /** Of its field in a set of fields: an event type has fewer than 32. 0 for an undeclared one. */
  readonly bit: number;
  readonly name: string;
  readonly why: Exclude<DroppedField['why'], 'duplicate'> | undefined;
}

/** Kinds whose values hardly come again. Remembered, they would drive out the others, and each keeps the query that it is a part of. */
const HARDLY_REPEATED: ReadonlySet<Field['kind'] | undefined> = new Set(['hash', 'duration'] as const);

/** How many verdicts an event type remembers. */
const MAX_VERDICTS = 1000;

/** The longest query of which verdicts are remembered, in bytes: its pairs keep all of it in memory. */
const MAX_REMEMBERED_QUERY = 1024;

/** The declared fields of an event type. Most pairs come again with the next event, so verdicts are remembered. */
export class DeclaredFields {
  readonly #fields: ReadonlyMap<string, { readonly field: Field; readonly bit: number }>;
  readonly #verdicts = new Map<string, Verdict>();
  /** The event's own fields that always have a value or Python's `None`. Its metadata may be missing. */
  readonly nullable: readonly string[];

  constructor(shared: Readonly<Record<string, Field>>, own: Readonly<Record<string, Field>>) {
    const fields = { ...shared, ...own };
    this.#fields = new Map(Object.entries(fields).map(([name, field], index) => [name, { field, bit: 1 << index }]));
    this.nullable = Object.keys(own).filter((name) => own[name]?.nullable === true && !own[name].optional);
  }

  get(name: string): Field | undefined {
    return this.#fields.get(name)?.field;
  }

  judge(pair: string, isRemembered: boolean): Verdict {
    const known = this.#verdicts.get(pair);
    if (known !== undefined) return known;
    const equalsAt = pair.indexOf('=');
    // Names are compared without decoding: Cosmos writes a declared name in one spelling only.
    const name = equalsAt === -1 ? pair : pair.slice(0, equalsAt);
    const declared = this.#fields.get(name);
    const isValid = declared !== undefined && acceptsText(declared.field, decode(name, equalsAt === -1 ? '' : pair.slice(equalsAt + 1)));
    const verdict: Verdict = {
      bit: declared?.bit ?? 0,
      name,
      why: declared === undefined ? 'undeclared' : isValid ? undefined : 'ill_typed',
    };
    if (isRemembered && !HARDLY_REPEATED.has(declared?.field.kind)) {
      if (this.#verdicts.size >= MAX_VERDICTS) this.#verdicts.clear();
      this.#verdicts.set(pair, verdict);
    }
    return verdict;
  }
}

/** The fields that `src/events/` declares for each event type of Cosmos, by name. */
export const DECLARED_FIELDS: ReadonlyMap<string, DeclaredFields> = new Map(
  standardEvents(COSMOS).map(({ type, fields, metadata }) => [
    type,
    new DeclaredFields({ ...metadata, ...standardFields(COSMOS, HOST) }, fields),
  ]),
);

/**
 * Keeps the declared fields with valid values, byte for byte and in their order. The first of several values of one field is kept.
 *
 * @param query Well-formed, without its question mark.
 */
export function filterFields(declared: DeclaredFields, query: string): { query: string; dropped: readonly DroppedField[] } {
  if (query === '') return { query, dropped: NONE_DROPPED };
  const kept: string[] = [];
  const dropped: DroppedField[] = [];
  let seen = 0;
  for (const pair of query.split('&')) {
    const { name, why, bit } = declared.judge(pair, query.length <= MAX_REMEMBERED_QUERY);
    if ((seen & bit) !== 0) dropped.push({ name, why: 'duplicate' });
    else if (why !== undefined) dropped.push({ name, why });
    else {
      seen |= bit;
      kept.push(pair);
    }
  }
  return dropped.length === 0 ? { query, dropped } : { query: kept.join('&'), dropped };
}

/** Python's `str(None)`: there is no value. Every field accepts it. */
export const NONE = 'None';

const INTEGER = /^\d{1,16}$/;
const FLOAT = /^\d{1,40}(?:\.\d{1,40})?(?:e[+-]?\d{1,3})?$/;

/** Whether a text is Python's `str()` of a valid value of the field. */
export function acceptsText(field: Field, text: string): boolean {
  if (text === NONE) return true;
  switch (field.kind) {
    case 'boolean':
      return text === 'True' || text === 'False';
    case 'count':
      return INTEGER.test(text) && field.accepts(Number(text));
    case 'duration':
      return FLOAT.test(text) && field.accepts(Number(text));
    case 'oneOf':
      // Platforms differ in case (`darwin`, `Darwin`). The list of values stays closed.
      return field.accepts(text) || field.values?.some((value) => value.toLowerCase() === text.toLowerCase()) === true;
    case 'identifier':
    case 'identifierSet':
    case 'command':
    case 'version':
    case 'hash':
      return field.accepts(text);
    default:
      return false;
  }
}

export function decode(name: string, raw: string): string {
  const text = unquote(raw.replaceAll('+', ' '));
  return name === ENCODED_TWICE ? unquote(text) : text;
}

/** Text that cannot be decoded is returned as it is; no field accepts it, since no kind of field allows a percent sign. */
export function unquote(text: string): string {
  if (!text.includes('%')) return text;
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
