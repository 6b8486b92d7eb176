import type { Fields } from './events/definition.js';
import { MAX_TEXT_LENGTH } from './events/fields.js';
import type { UsageMetrics } from './events/fields.js';
import type { Ledger } from './ledger.js';
import { disarm } from './rejections.js';

/** No event declares as many fields; one with more names is rid of the undeclared ones before it waits. */
const MAX_NAMES = 64;

/**
 * A shallow copy without what could never leave but would hold memory while the event waits, or end the process as a rejection
 * that nobody sees to. It runs on the host's path, for each publish.
 *
 * @returns undefined for metrics that are no plain object, or that cannot be looked at.
 */
export function plainCopy(metrics: object, fields: Fields, ledger: Ledger): UsageMetrics | undefined {
  let copy: UsageMetrics;
  try {
    if (typeof metrics !== 'object' || metrics === null || Array.isArray(metrics) || ArrayBuffer.isView(metrics)) return undefined;
    copy = { ...(metrics as UsageMetrics) };
  } catch {
    // A getter that throws, or a revoked proxy, of which not even `isArray` can be asked.
    return undefined;
  }
  let names = 0;
  for (const name in copy) {
    names += 1;
    if (isPlain(copy[name])) continue;
    disarm(copy[name]);
    remove(copy, name, ledger);
  }
  // Few undeclared names cost less to keep until the event is built than to look for in each event.
  if (names > MAX_NAMES) for (const name of Object.keys(copy)) if (!Object.hasOwn(fields, name)) remove(copy, name, ledger);
  return copy;
}

/** A field that does not leave is not there, for whoever looks. */
export function withoutBlanks(snapshot: UsageMetrics): UsageMetrics {
  const values: Record<string, unknown> = snapshot;
  for (const name of Object.keys(values)) if (values[name] === undefined) delete values[name];
  return snapshot;
}

function remove(copy: UsageMetrics, name: string, ledger: Ledger): void {
  // A name that is not the copy's own stands in a prototype that somebody in the host has extended.
  if (!Object.hasOwn(copy, name)) return;
  if (copy[name] !== undefined) ledger.loseField('event', name, 'unusable');
  delete copy[name];
}

function isPlain(value: unknown): boolean {
  // First what is told by a glance at the value itself: this is asked of each field of each event.
  if (value === true || value === false || value === null) return true;
  if (typeof value === 'string') return value.length <= MAX_TEXT_LENGTH;
  return typeof value === 'number' || value === undefined;
}
