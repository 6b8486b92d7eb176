import type { Fields } from '../events/definition.js';
import type { MetricValue } from '../events/fields.js';
import { LOST } from './host-reader.js';

/** A snapshot under way; a name without a value stands for a field that does not leave. */
export type Snapshot = Record<string, MetricValue | undefined>;

/**
 * An object with all names of an event in the order of the wire, to be copied for each event. Storing a value under a name that
 * the object has costs a few nanoseconds; adding a name that was put together for a product costs ten times as much.
 */
export function blankOf(fields: Fields): Readonly<Snapshot> {
  const blank: Snapshot = Object.fromEntries(Object.keys(fields).map((name) => [name, null]));
  // What is parsed is laid out in one piece, and so are its copies; what is put together name by name is not.
  return JSON.parse(JSON.stringify(blank)) as Snapshot;
}

/** The value to store: nothing where it could not be used. */
export function unlessLost(value: MetricValue | undefined | typeof LOST): MetricValue | undefined {
  return value === LOST ? undefined : value;
}
