/*
 * Reads the objects of a host on the host's own path: no property access throws into the host, and every value that cannot be used
 * is counted.
 */
import { ignoreRejection } from '../base/foreign-values.js';
import type { Ledger } from '../base/ledger.js';
import type { Fields } from '../events/definition.js';
import { MAX_TEXT_LENGTH } from '../events/fields.js';
import type { MetricValue } from '../wire/python.js';
import type { HostProblem } from './host.js';

/** Replaces a value that exists but cannot be used. It is counted, and its field is not sent. */
export const UNREADABLE: unique symbol = Symbol('unreadable');

/** Reads properties of a host's objects. It keeps only plain values of bounded length. */
export class HostReader {
  readonly #ledger: Ledger;

  constructor(ledger: Ledger) {
    this.#ledger = ledger;
  }

  /** A property as it is; `UNREADABLE` if reading it throws. */
  read(source: object, key: string): unknown {
    try {
      return ignoreRejection((source as Record<string, unknown>)[key]);
    } catch {
      return this.unreadable(key);
    }
  }

  /** Used after a property threw: reads each property by itself, so that only that one is lost. */
  readAll<T extends object>(source: object, values: T): T {
    for (const name of Object.keys(values) as (keyof T & string)[]) {
      ignoreRejection(values[name]);
      values[name] = this.read(source, name) as T[typeof name];
    }
    return values;
  }

  /** An item of a list as it is; `UNREADABLE` if reading it throws. */
  item(list: readonly unknown[], index: number): unknown {
    try {
      return ignoreRejection(list[index]);
    } catch {
      return this.unreadable(String(index));
    }
  }

  /** A property that is an object; else undefined. */
  object(source: object, key: string): object | undefined {
    const value = this.read(source, key);
    return isObject(value) ? value : undefined;
  }

  /** A value that a field can hold; else `UNREADABLE`. `name` is the property that it comes from. */
  plainValue(value: unknown, name: string): MetricValue | undefined | typeof UNREADABLE {
    if (typeof value === 'string') return value.length <= MAX_TEXT_LENGTH ? value : this.unreadable(name);
    if (value === null || value === undefined) return value;
    if (typeof value === 'number' || typeof value === 'boolean') return value;
    return value === UNREADABLE ? UNREADABLE : this.unreadable(name);
  }

  /** A value that is a list; else undefined, also for a revoked proxy, on which even `isArray` throws. */
  list(value: unknown): readonly unknown[] | undefined {
    try {
      return Array.isArray(value) ? value : undefined;
    } catch {
      return undefined;
    }
  }

  /** Counts one value that cannot be used. `name` is the property that it comes from. */
  unreadable(name: string): typeof UNREADABLE {
    this.#ledger.loseField('payload', name, 'unusable');
    return UNREADABLE;
  }
}

/** A payload lacks what its event needs. `name` is the path of the property. */
export function missing(type: string, name: string): HostProblem {
  return { from: 'payload', name, why: 'missing', type };
}

/** Whether a value may have properties. */
export function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null;
}

/** The metrics of an event while they are collected. A field whose value is undefined is not sent. */
export type Snapshot = Record<string, MetricValue | undefined>;

/**
 * An object with all field names of an event in the order of the wire, to be copied for each event. Storing a value under an existing
 * name costs a few nanoseconds; adding a name that was built at run time costs ten times as much.
 */
export function blankOf(fields: Fields): Readonly<Snapshot> {
  const blank: Snapshot = Object.fromEntries(Object.keys(fields).map((name) => [name, null]));
  // A parsed object has a compact layout, and so have its copies; an object that is built name by name has not.
  return JSON.parse(JSON.stringify(blank)) as Snapshot;
}

/** The value to store: undefined for one that cannot be used. */
export function unlessUnreadable(value: MetricValue | undefined | typeof UNREADABLE): MetricValue | undefined {
  return value === UNREADABLE ? undefined : value;
}
