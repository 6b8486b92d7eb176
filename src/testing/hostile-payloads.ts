// Payloads of host events that break what the host's types promise.
import { holes, hostileFunctions, hostileGetters, hostileMetadata, hostileValues, named, throwingProxy } from './hostile-values.js';
import type { NamedValue } from './hostile-values.js';
import {
  DAG_RUN_EVENTS,
  fieldPaths,
  metadataParam,
  TASK_INSTANCE_EVENTS,
  validPackedMetadata,
  validPayload,
  validTask,
} from './valid-payloads.js';
import type { HostEventName } from './valid-payloads.js';

/**
 * One payload that a host could emit.
 *
 * @example
 * const isValid = ({ name }: HostilePayload) => name.startsWith('valid');
 */
export interface HostilePayload {
  /** Unique name: the field and its fault. A payload whose name begins with `valid` has no fault and must arrive. */
  readonly name: string;
  /** The events whose listeners read the faulty field. For any other event, the payload belongs to the wrong family of events. */
  readonly events: readonly HostEventName[];
  /** Makes a new payload. Changes to one payload do not affect the next. */
  readonly make: (event: HostEventName) => unknown;
}

/**
 * Options of `hostilePayloads`.
 *
 * @example
 * const options: HostilePayloadOptions = { product: 'acme' };
 */
export interface HostilePayloadOptions {
  /** The product to which tasks and metadata belong. @default 'cosmos' @example 'acme' */
  product?: string | undefined;
}

const ALL_EVENTS: readonly HostEventName[] = [...DAG_RUN_EVENTS, ...TASK_INSTANCE_EVENTS];

/** A number of tasks that shows a listener whose cost per task is too high. */
const MANY_TASKS = 100_000;

/**
 * Makes about 3,000 payloads that break what the host's types promise: each field missing, of a wrong type, or behind a getter that
 * throws; proxies, promises, zip bombs, huge and sparse lists; and `valid` payloads for comparison. Emit each one to your listeners. No
 * listener may throw, cause an unhandled rejection, or miss the next valid event.
 *
 * No payload has a getter with an endless loop: a listener has no defence against one. The function itself never throws.
 *
 * @param options By default product `cosmos`.
 * @example
 * import { EventEmitter } from 'node:events';
 * const host = new EventEmitter();
 * const telemetry = createTelemetry({ product: { name: 'acme', version: '1.2.0' }, transport: recordingTransport() });
 * telemetry.register(host);
 * for (const { events, make } of hostilePayloads({ product: 'acme' }).slice(0, 100)) {
 *   for (const event of events) host.emit(event, make(event));
 * }
 */
export function hostilePayloads({ product = 'cosmos' }: HostilePayloadOptions = {}): readonly HostilePayload[] {
  return [
    ...validOnes(product),
    ...hostileValues().map(({ name, make }) => ({ name: `payload: ${name}`, events: ALL_EVENTS, make })),
    ...fieldFaults(DAG_RUN_EVENTS, product),
    ...fieldFaults(TASK_INSTANCE_EVENTS, product),
    ...hostileFunctions().map(({ name, make }) => {
      const path = ['taskInstance', 'task', 'profileConfig', 'getProfileType'];
      return faulty(`getProfileType: ${name}`, TASK_INSTANCE_EVENTS, product, path, () => ({ value: make() }));
    }),
    ...hostileMetadata(validPackedMetadata()).map(({ name, make }) =>
      faulty(`metadata: ${name}`, DAG_RUN_EVENTS, product, ['dagRun', 'dag', 'params', metadataParam(product)], () => ({ value: make() })),
    ),
    ...hostileTasks(product).map(({ name, make }) =>
      faulty(`tasks: ${name}`, DAG_RUN_EVENTS, product, ['dagRun', 'dag', 'tasks'], () => ({ value: make() })),
    ),
  ];
}

function validOnes(product: string): HostilePayload[] {
  const shapes: Record<string, (payload: unknown) => unknown> = {
    valid: (payload) => payload,
    'valid: deeply frozen': (payload) => rebuild(payload, (members) => Object.freeze(members)),
    'valid: without prototypes': (payload) => rebuild(payload, (members) => Object.assign(Object.create(null) as object, members)),
    'valid: accessors of a class': (payload) => rebuild(payload, withAccessors),
    'valid: fields nobody asked for': (payload) => rebuild(payload, (members) => ({ ...members, extra: throwingProxy() })),
  };
  return Object.entries(shapes).map(([name, shape]) => ({
    name,
    events: ALL_EVENTS,
    make: (event) => shape(validPayload(event, product)),
  }));
}

/** Replaces each field by each hostile value and each hostile getter. */
function fieldFaults(events: readonly [HostEventName, HostEventName], product: string): HostilePayload[] {
  return fieldPaths(events[0], product).flatMap((path) => {
    const field = path.join('.');
    return [
      faulty(`${field}: missing`, events, product, path, () => undefined),
      ...hostileValues().map(({ name, make }) => faulty(`${field}: ${name}`, events, product, path, () => ({ value: make() }))),
      ...hostileGetters().map(({ name, makeGetter }) =>
        faulty(`${field}: ${name}`, events, product, path, (proper) => ({ get: makeGetter(proper) })),
      ),
    ];
  });
}

/** A valid payload with one property replaced, or deleted if `replace` returns undefined. */
function faulty(
  name: string,
  events: readonly [HostEventName, HostEventName],
  product: string,
  path: readonly string[],
  replace: (proper: unknown) => PropertyDescriptor | undefined,
): HostilePayload {
  return {
    name,
    events,
    make: (event) => {
      const payload = validPayload(events.includes(event) ? event : events[0], product);
      let holder = payload;
      for (const key of path.slice(0, -1)) holder = holder[key] as Record<string, unknown>;
      const last = path.at(-1) ?? '';
      const descriptor = replace(holder[last]);
      if (descriptor === undefined) delete holder[last];
      else Object.defineProperty(holder, last, { enumerable: true, configurable: true, ...descriptor });
      return payload;
    },
  };
}

function hostileTasks(product: string): readonly NamedValue[] {
  const modules = (count: number, module: (index: number) => string): unknown[] =>
    Array.from({ length: count }, (_, index) => ({ ...validTask(product), module: module(index) }));
  return named({
    '100,000 of them': () => holes(MANY_TASKS).fill(validTask(product)),
    '100,000 of other modules': () => modules(MANY_TASKS, () => 'airflow.operators.bash'),
    '100,000 execution modes': () => modules(MANY_TASKS, (index) => `${product}.operators.mode${index}`),
    'one huge module': () => modules(1, () => `${product}.operators.${'x'.repeat(1024 * 1024)}`),
    'a module of a million parts': () => modules(1, () => `${product}${'.x'.repeat(1_000_000)}`),
    'nulls among them': () => [null, validTask(product), undefined, validTask(product)],
    'holes among them': () => Object.assign(holes(1000), { 500: validTask(product) }),
    'four billion holes': () => holes(2 ** 32 - 1),
    'one that throws': () => [validTask(product), throwingProxy(), validTask(product)],
    'in a Set': () => new Set([validTask(product)]),
    'in a generator': () => [validTask(product)].values(),
    'in a promise': () => Promise.resolve([validTask(product)]),
    frozen: () => Object.freeze([validTask(product)]),
    'an iterator that throws': () => Object.assign([validTask(product)], { [Symbol.iterator]: throwingProxy(Object) }),
    'each in a list of its own': () => [[validTask(product)], [[validTask(product)]]],
  });
}

/** Copies a tree of plain objects and lists, and passes each object through `shape`. */
function rebuild(value: unknown, shape: (members: Record<string, unknown>) => object): unknown {
  if (Array.isArray(value)) return value.map((element) => rebuild(element, shape));
  if (typeof value !== 'object' || value === null || value instanceof Error) return value;
  return shape(Object.fromEntries(Object.entries(value).map(([key, member]) => [key, rebuild(member, shape)])));
}

/** Moves the members to getters of the prototype: they can be read but are not in `Object.keys`. */
function withAccessors(members: Record<string, unknown>): object {
  const prototype = {};
  for (const [key, member] of Object.entries(members)) Object.defineProperty(prototype, key, { get: () => member });
  return Object.create(prototype) as object;
}
