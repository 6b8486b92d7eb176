import { ignoreRejection } from '../base/foreign-values.js';
import type { Ledger } from '../base/ledger.js';
import type { Fields } from '../events/definition.js';
import { MAX_TEXT_LENGTH } from '../events/fields.js';
import type { MetricValue } from '../wire/python.js';

/** In the place of a value that is there and cannot be used: it has been counted, and it stays out of the snapshot. */
export const LOST: unique symbol = Symbol('lost');

/**
 * Reads a host's objects on the host's own path: no property access escapes as an exception, and only plain values of bounded
 * length are kept. What cannot be used is counted, so that nothing disappears without a trace.
 */
export class HostReader {
  readonly #ledger: Ledger;

  constructor(ledger: Ledger) {
    this.#ledger = ledger;
  }

  /** A property as it is; `LOST` where asking for it throws. */
  read(source: object, key: string): unknown {
    try {
      return ignoreRejection((source as Record<string, unknown>)[key]);
    } catch {
      return this.lose(key);
    }
  }

  /** After one of an object's properties threw: each is asked for anew, so that the one costs no other. */
  readAll<T extends object>(source: object, values: T): T {
    for (const name of Object.keys(values) as (keyof T & string)[]) {
      ignoreRejection(values[name]);
      values[name] = this.read(source, name) as T[typeof name];
    }
    return values;
  }

  /** An item of a list as it is; `LOST` where asking for it throws. */
  item(list: readonly unknown[], index: number): unknown {
    try {
      return ignoreRejection(list[index]);
    } catch {
      return this.lose(String(index));
    }
  }

  /** A property that is an object, or nothing. */
  object(source: object, key: string): object | undefined {
    const value = this.read(source, key);
    return isObject(value) ? value : undefined;
  }

  /** A value that a field could hold, or `LOST`. `name` is the property it comes from. */
  plainValue(value: unknown, name: string): MetricValue | undefined | typeof LOST {
    if (typeof value === 'string') return value.length <= MAX_TEXT_LENGTH ? value : this.lose(name);
    if (value === null || value === undefined) return value;
    if (typeof value === 'number' || typeof value === 'boolean') return value;
    return value === LOST ? LOST : this.lose(name);
  }

  /** A value as a list; undefined where it is none, also where it is a revoked proxy, of which not even `isArray` can be asked. */
  list(value: unknown): readonly unknown[] | undefined {
    try {
      return Array.isArray(value) ? value : undefined;
    } catch {
      return undefined;
    }
  }

  /** Counts one value that cannot be used. `name` is the property it comes from. */
  lose(name: string): typeof LOST {
    this.#ledger.loseField('payload', name, 'unusable');
    return LOST;
  }
}

/** Whether a value can have properties worth reading. */
export function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null;
}

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
