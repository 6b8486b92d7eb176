// The columns of a product's events, from the same declarations as its types, its checks and its privacy notice.
import { describe } from '../../base/describe.js';
import { checkDescriptionOptions } from '../../events/description.js';
import type { DescriptionOptions } from '../../events/description.js';
import type { Field, FieldKind } from '../../events/fields.js';
import { ndjsonKey } from '../../wire/ndjson.js';

/**
 * What a column holds: an id, a time, a text, a whole number, a number with a fraction, or true and false.
 *
 * @example
 * const type: NdjsonColumnType = 'count';
 */
export type NdjsonColumnType = 'uuid' | 'time' | 'text' | 'count' | 'double' | 'boolean';

/**
 * One column of a table of events.
 *
 * @example
 * const column: NdjsonColumn = { name: 'days', type: 'count', kind: 'count', description: 'How many days.', events: ['backfill'] };
 */
export interface NdjsonColumn {
  /** Its name, and the key in each line: `^[a-z][a-z0-9_]*$`. */
  readonly name: string;
  /** What it holds. All but `id`, `time` and `event` may be null. */
  readonly type: NdjsonColumnType;
  /** The kind of the field; undefined for `id`, `time` and `event`. */
  readonly kind: FieldKind | undefined;
  /** What it says, as in the privacy notice. */
  readonly description: string;
  /** The types of the events that may have it. */
  readonly events: readonly string[];
}

const TYPES: Readonly<Record<string, NdjsonColumnType>> = { boolean: 'boolean', count: 'count', duration: 'double' };

/**
 * The columns of one table for all events of a product: `id`, `time`, `event`, then each field in the order of the privacy notice. A field
 * that several events have is one column.
 *
 * @param description The description of the product, as `createTelemetry` takes it. With the host that your users have, the columns have
 * its version, too.
 * @throws TypeError for a wrong option, or a name that is a text in one event and a number in another: such events need a table each.
 * @example
 * const days = count({ description: 'How many days it covered.', reason: 'To know which sizes must stay fast.' });
 * const backfill = defineEvent('backfill', { days });
 * const columns = ndjsonColumns({ product: { name: 'acme' }, standardEvents: false, events: [backfill] });
 * console.log(columns.slice(0, 3).map(({ name, type }) => `${name} ${type}`).join()); // id uuid,time time,event text
 */
export function ndjsonColumns(description: DescriptionOptions): NdjsonColumn[] {
  const { everyEvent, definitions } = checkDescriptionOptions(description);
  const types = [...definitions.keys()];
  const columns = new Map<string, NdjsonColumn>();
  for (const { type, fields, metadata } of definitions.values()) {
    const all = { ...everyEvent, ...fields, ...metadata };
    for (const { 0: name, 1: field } of Object.entries(all)) {
      const key = ndjsonKey(name);
      if (key !== name && Object.hasOwn(all, key)) {
        throw new TypeError(
          `Expected event \`${type}\` to have one of the fields \`${name}\` and \`${key}\`, got both: both are column \`${key}\`.`,
        );
      }
      columns.set(key, merged(columns.get(key), columnOf(key, field, type)));
    }
  }
  return [
    {
      name: 'id',
      type: 'uuid',
      kind: undefined,
      description: 'A UUID made for this event. It is of no person and no machine.',
      events: types,
    },
    { name: 'time', type: 'time', kind: undefined, description: 'When the event was published, in UTC.', events: types },
    { name: 'event', type: 'text', kind: undefined, description: 'The event type.', events: types },
    ...columns.values(),
  ];
}

function columnOf(name: string, { kind, description }: Field, event: string): NdjsonColumn {
  const said = kind === 'hash' ? `${description} Each value begins with the letter h.` : description;
  return { name, type: Object.hasOwn(TYPES, kind) ? (TYPES[kind] ?? 'text') : 'text', kind, description: said, events: [event] };
}

/** @throws TypeError if no type of a column takes the values of both. */
function merged(one: NdjsonColumn | undefined, other: NdjsonColumn): NdjsonColumn {
  if (one === undefined) return other;
  const { name, events, description } = one;
  const areNumbers = [one, other].every(({ type }) => type === 'count' || type === 'double');
  if (one.type !== other.type && !areNumbers) {
    throw new TypeError(
      `Expected field \`${name}\` to be of one kind in all events, got ${describe(one.kind)} in \`${events.join('`, `')}\` and ` +
        `${describe(other.kind)} in \`${other.events.join('`, `')}\`.`,
    );
  }
  return {
    ...one,
    ...(one.type !== other.type && { type: 'double' }),
    description: description.includes(other.description)
      ? description
      : `${description} Of \`${other.events.join()}\`: ${other.description}`,
    events: [...events, ...other.events],
  };
}
