import { metadataFields } from '../events/dag-run.js';
import type { Fields } from '../events/definition.js';
import type { Field } from '../events/fields.js';
import { builtInEvents } from '../events/product-events.js';
import { standardFields } from '../events/standard-metrics.js';
import { COSMOS } from '../settings/opt-outs.js';

/** The orchestrator around Cosmos, whose version is quoted once more than the others. */
const HOST = 'airflow';
const QUOTED_TWICE = `${HOST}_version`;

/** Python's `str()` of nothing: it says that there is no value, so every field may hold it. */
const NONE = 'None';

const INTEGER = /^\d{1,16}$/;
const FLOAT = /^\d{1,40}(?:\.\d{1,40})?(?:e[+-]?\d{1,3})?$/;

/** A field that does not go on. */
export interface DroppedField {
  /** As it came: bytes of a URL. */
  readonly name: string;
  readonly why: 'undeclared' | 'ill_typed' | 'duplicate';
}

/** What is left of a query. */
export interface Sifted {
  /** The declared fields, byte for byte and in the order in which they came. */
  readonly query: string;
  readonly dropped: readonly DroppedField[];
}

/** The fields that an event of Cosmos may carry, by event type and name: what `src/events/` declares. */
export const DECLARED: ReadonlyMap<string, ReadonlyMap<string, Field>> = new Map(
  builtInEvents(COSMOS).map(({ type, fields }) => {
    const metadata: Fields = type === 'dag_run' ? metadataFields : {};
    return [type, new Map(Object.entries({ ...metadata, ...standardFields(COSMOS, HOST), ...fields }))];
  }),
);

const NOTHING_DROPPED: readonly DroppedField[] = [];

/**
 * Keeps the declared fields whose values are of their kinds.
 *
 * @param query A query whose percent-encoding is sound; without its question mark.
 */
export function sift(fields: ReadonlyMap<string, Field>, query: string): Sifted {
  if (query === '') return { query, dropped: NOTHING_DROPPED };
  const kept: string[] = [];
  const dropped: DroppedField[] = [];
  const seen = new Set<string>();
  for (const pair of query.split('&')) {
    const equalsAt = pair.indexOf('=');
    // Names are compared as they came: another spelling of a declared name is none of Cosmos'.
    const name = equalsAt === -1 ? pair : pair.slice(0, equalsAt);
    const field = fields.get(name);
    if (field === undefined) dropped.push({ name, why: 'undeclared' });
    else if (seen.has(name)) dropped.push({ name, why: 'duplicate' });
    else if (!holds(field, decode(name, equalsAt === -1 ? '' : pair.slice(equalsAt + 1)))) dropped.push({ name, why: 'ill_typed' });
    else {
      seen.add(name);
      kept.push(pair);
    }
  }
  return dropped.length === 0 ? { query, dropped } : { query: kept.join('&'), dropped };
}

/** Whether a text is what Python writes for a value of this field. */
export function holds(field: Field, text: string): boolean {
  if (text === NONE) return true;
  switch (field.kind) {
    case 'boolean':
      return text === 'True' || text === 'False';
    case 'count':
      return INTEGER.test(text) && field.accepts(Number(text));
    case 'duration':
      return FLOAT.test(text) && field.accepts(Number(text));
    case 'oneOf':
      // Systems differ in the case in which they name themselves, and the list stays closed either way.
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

function decode(name: string, raw: string): string {
  const text = unquote(raw.replaceAll('+', ' '));
  return name === QUOTED_TWICE ? unquote(text) : text;
}

/** What cannot be read stays as it is, and is of no kind then: no kind accepts a percent sign. */
export function unquote(text: string): string {
  if (!text.includes('%')) return text;
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
