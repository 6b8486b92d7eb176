/*
 * Registers the listeners of a product at its hosts, and unregisters them.
 */
import { readOption } from '../base/check-options.js';
import { describe } from '../base/describe.js';
import { ignoreRejection } from '../base/foreign-values.js';
import { COSMOS } from '../base/constants.js';
import type { Ledger } from '../base/ledger.js';
import type { Log } from '../base/log.js';
import type { EventBus } from '../bus/bus.js';
import type { Status } from '../events/dag-run.js';
import { metadataParam } from '../events/metadata.js';
import type { EventDefinitions } from '../events/product-events.js';
import type { Gate } from '../opt-out/gate.js';
import { DagFactsCache, dagRunListener } from './dag-run.js';
import { Endings } from './endings.js';
import { HostReader, isObject, missing } from './host-reader.js';
import type { HostEmitter, HostEvents, HostProblem, PayloadListener, PayloadListeners, Task } from './host.js';
import { Lookups } from './lookups.js';
import { checkedMap, listenTo, translated } from './map.js';
import type { HostMap } from './map.js';
import { Ownership } from './ownership.js';
import { REPORT_PARTS, RUN_PARTS, TASK_PARTS, withNamesCompared } from './payload-names.js';
import type { CompareNames } from './payload-names.js';
import { REPORT_RUN, runListener } from './run.js';
import type { RunReport } from './run.js';
import { taskInstanceListener } from './task-instance.js';

/** What the listeners of a product share. @internal */
interface HostListenersOptions {
  definitions: EventDefinitions;
  bus: EventBus;
  ledger: Ledger;
  log: Log;
  dagHash: (dagId: string) => string | null;
  /** Whether a task is the product's, beside its module. */
  owns?: ((task: Task) => boolean) | undefined;
  /** Compares the names in the first payloads with those that are read. @default misspelt names are not looked for */
  compare?: CompareNames | undefined;
}

/** The listeners of one product: for the four events, and for a whole run. @internal */
export interface HostListeners {
  readonly events: PayloadListeners;
  readonly run: PayloadListener;
  /** Called when no event comes any more. */
  readonly ended: () => void;
}

/** Makes the listeners of one product. Of an event that the program leaves out, nothing is read. @internal */
export function hostListeners(
  product: string,
  { definitions, bus, ledger, log, dagHash, owns, compare }: HostListenersOptions,
): HostListeners {
  const reader = new HostReader(ledger);
  const isCosmos = product === COSMOS;
  const ownership = new Ownership({ product, readsOwned: !isCosmos, owns, reader, log });
  const shared = { product, bus, reader, ownership, endings: isCosmos ? undefined : new Endings(reader, ledger) };
  const fieldsOf = (event: string) => definitions.get(event)?.fields ?? {};
  const declared = definitions.get('dag_run');
  const facts = new DagFactsCache(product, reader, ownership, declared?.fields['execution_modes']?.values);
  const dagRun = declared && { ...shared, facts, dagHash, metadataParam: metadataParam(product), definition: declared };
  const task = definitions.get('task_instance');
  const taskInstance = task && { ...shared, fields: task.fields };
  const onRun = (status: Status) => (dagRun ? dagRunListener(status, dagRun) : LEFT_OUT);
  const onTask = (status: Status) => (taskInstance ? taskInstanceListener(status, taskInstance) : LEFT_OUT);
  const events = {
    'dag_run.success': onRun('success'),
    'dag_run.failed': onRun('failed'),
    'task_instance.success': onTask('success'),
    'task_instance.failed': onTask('failed'),
  };
  const run = runListener(events, {
    reader,
    refuse: (problem) => refuse(problem, REPORT_RUN, { ledger, log }),
    sends: (event, status) => fieldsOf(event)['status']?.accepts(status) === true,
  });
  // Objects of Airflow have many more names than those that are read.
  const listeners = { events, run, ended: () => ownership.ended() };
  return isCosmos || compare === undefined ? listeners : compared(listeners, compare);
}

/** The listeners with a look at the names of their first payloads. */
function compared({ events, run, ended }: HostListeners, compare: CompareNames): HostListeners {
  const looking = (listener: PayloadListener, parts: typeof RUN_PARTS) =>
    listener === LEFT_OUT ? listener : withNamesCompared(listener, parts, compare);
  return {
    events: {
      'dag_run.success': looking(events['dag_run.success'], RUN_PARTS),
      'dag_run.failed': looking(events['dag_run.failed'], RUN_PARTS),
      'task_instance.success': looking(events['task_instance.success'], TASK_PARTS),
      'task_instance.failed': looking(events['task_instance.failed'], TASK_PARTS),
    },
    run: looking(run, REPORT_PARTS),
    ended,
  };
}

/** Counts an event of a host that is not usable. `of` is what a person knows it by. */
function refuse({ from, name, why, type, of: known }: HostProblem, of: string, { ledger, log }: { ledger: Ledger; log: Log }): void {
  ledger.refuse('invalid', type);
  ledger.notice(from, name, why, type, { of: known ?? of });
  log.debug('invalid', 'an event of a host was not usable');
}

const LEFT_OUT: PayloadListener = () => undefined;

/**
 * Other names for events of a host.
 * @example
 * const names: EventNames = { 'dag_run.success': 'run:done', 'dag_run.failed': 'run:broken' };
 */
export type EventNames = { readonly [K in keyof HostEvents]?: string | undefined };

/**
 * How to listen to a host: under other names, or through functions that translate.
 *
 * @example
 * const options: RegisterOptions = { events: { 'dag_run.success': 'run:done', 'dag_run.failed': 'run:broken' } };
 */
export interface RegisterOptions<F extends object = HostMap, E extends EventNames = EventNames> {
  /** The host's own names for its events. @default the names of `HostEvents` */
  events?: E | undefined;
  /** Translates the host's own events. Only these are listened to then. @default none */
  map?: F | undefined;
}

/** What a registry needs. @internal */
interface ListenerRegistryOptions {
  /** Makes the listeners; called for the first host. */
  listeners: () => HostListeners;
  gate: Gate;
  ledger: Ledger;
  log: Log;
  /** What async functions of a `map` still look up. @default look-ups of its own */
  lookups?: Lookups | undefined;
}

/** What a problem of `report` is told of, if its event is not known. */
const REPORT = 'report()';

type HostHandler = (...args: unknown[]) => void;
type Methods = readonly [add: string, remove: string];

const METHODS: readonly Methods[] = [
  ['on', 'off'],
  ['addListener', 'removeListener'],
  ['addEventListener', 'removeEventListener'],
];

/** How a host is registered. */
interface Registration {
  readonly undo: () => void;
  readonly map: HostMap | undefined;
}

/** The registered hosts, each with the function that unregisters it. @internal */
export class ListenerRegistry {
  readonly #hosts = new Map<object, Registration>();
  readonly #options: ListenerRegistryOptions;
  readonly #lookups: Lookups;
  readonly #takeReport: (report: unknown) => void;
  readonly #takeRun: (run: unknown) => void;
  #listeners: HostListeners | undefined;
  #isClosed = false;

  constructor(options: ListenerRegistryOptions) {
    this.#options = options;
    const { ledger, log } = options;
    this.#lookups = options.lookups ?? new Lookups({ ledger, log, max: Infinity, publishLate: (publish) => publish() });
    this.#takeReport = this.#guarded((report) => {
      const problem = listenTo(report, this.#made().events);
      return problem?.from === 'payload' ? { ...problem, of: (report as { event: string }).event } : problem;
    }, REPORT);
    this.#takeRun = this.#guarded((run) => this.#made().run(run), REPORT_RUN, missing('dag_run', 'payload'));
  }

  /**
   * Listens to a host. A registered host stays as it is.
   *
   * @returns A function that unregisters the host. It never throws.
   * @throws TypeError for a host without a pair of methods to listen with, or for invalid event names or functions.
   */
  register(host: HostEmitter, names: EventNames = {}, map?: HostMap): () => void {
    const methods = methodsOf(host);
    const handlers = map === undefined ? this.#handlers(names, methods[0] === 'addEventListener') : this.#translators(map);
    this.#options.gate.check();
    if (this.#options.gate.state === 'shut') return () => undefined;
    const { log } = this.#options;
    if (this.#isClosed) {
      log.warn('registered_late', 'register() has no effect after close()');
      return () => undefined;
    }
    const known = this.#hosts.get(host);
    if (known !== undefined) {
      if (known.map !== map) log.warn('registered_before', 'a host is registered with another `map`, which stays: unregister it first');
      return known.undo;
    }
    const added: [string, HostHandler][] = [];
    const undo = () => {
      // An old function that is called again leaves a newer registration alone.
      if (this.#hosts.get(host)?.undo === undo) this.#hosts.delete(host);
      for (const { 0: name, 1: handler } of added.splice(0)) this.#remove(host, methods[1], name, handler);
    };
    // Stored before the host's methods are called: code that they call must find the host registered.
    this.#hosts.set(host, { undo, map });
    try {
      for (const { 0: name, 1: handler } of handlers) {
        // Noted first: a host that throws may still have added the handler.
        added.push([name, handler]);
        call(host, methods[0], name, handler);
      }
    } catch (error) {
      undo();
      throw error;
    }
    // The host called `undo` or `close` while it added handlers: remove those that it added afterwards.
    if (this.#hosts.get(host)?.undo !== undo) for (const { 0: name, 1: handler } of handlers) this.#remove(host, methods[1], name, handler);
    return undo;
  }

  /** Takes one event of a host, as its listeners do. */
  report(event: unknown, payload: unknown): void {
    this.#takeReport({ event, payload });
  }

  /** Takes a run with all its tasks. */
  reportRun(run: RunReport): void {
    this.#takeRun(run);
  }

  /** Unregisters all hosts and accepts no new one. */
  close(): void {
    if (!this.#isClosed && this.#options.gate.check()) this.#listeners?.ended();
    this.#isClosed = true;
    for (const { undo } of this.#hosts.values()) undo();
  }

  #handlers(names: EventNames, isEventTarget: boolean): [string, HostHandler][] {
    const listeners = this.#made().events;
    if (!isObject(names)) throw new TypeError(`Expected \`events\` to be an object of event names, got ${describe(names)}.`);
    const unknown = Object.keys(names).find((name) => !Object.hasOwn(listeners, name));
    if (unknown !== undefined) throw new TypeError(`Expected \`events\` to rename known events, got ${describe(unknown)}.`);
    const taken = new Set<string>();
    return (Object.keys(listeners) as (keyof HostEvents)[]).map((event) => {
      const name = readOption(names, event, `events['${event}']`) ?? event;
      if (typeof name !== 'string' || name === '') {
        throw new TypeError(`Expected \`events['${event}']\` to be an event name, got ${describe(name)}.`);
      }
      // With one name for two events a run would be counted both as a success and as a failure.
      if (taken.has(name)) throw new TypeError(`Expected \`events\` to give each event a name of its own, got ${describe(name)} twice.`);
      taken.add(name);
      const unreadable = missing(event.split('.', 1)[0] ?? '', 'payload');
      return [name, this.#guarded(isEventTarget ? detailOf(listeners[event]) : listeners[event], name, unreadable)];
    });
  }

  #translators(map: HostMap): [string, HostHandler][] {
    return checkedMap(map).map(({ 0: name, 1: translate }) => {
      const take = this.#guarded((report) => listenTo(report, this.#made().events), name);
      const failed = () => refuse({ from: 'host', name: '', why: 'rejected' }, name, this.#options);
      const use = { lookups: this.#lookups, take, failed };
      const handle = this.#guarded((args) => translated(map, translate, args as unknown[], use), name);
      return [name, (...args) => handle(args)];
    });
  }

  #made(): HostListeners {
    return (this.#listeners ??= this.#options.listeners());
  }

  /** Asks the gate first. Nothing that a listener throws reaches the host. `of` is what a person knows the event by. */
  #guarded(listener: PayloadListener, of: string, unreadable: HostProblem = missing('', 'payload')): HostHandler {
    const { gate } = this.#options;
    return (payload) => {
      if (!gate.accepts()) return;
      let problem: HostProblem | undefined = unreadable;
      try {
        problem = listener(payload);
      } catch {
        // The payload cannot be read at all, such as a revoked proxy.
      }
      if (problem !== undefined) refuse(problem, of, this.#options);
    };
  }

  #remove(host: object, method: string, name: string, handler: HostHandler): void {
    try {
      call(host, method, name, handler);
    } catch {
      this.#options.log.warn('unregister_failed', 'a host threw when a listener was removed');
    }
  }
}

function detailOf(listener: PayloadListener): PayloadListener {
  return (event) => listener(ignoreRejection((event as CustomEvent<unknown>).detail));
}

function methodsOf(host: unknown): Methods {
  const found = (isObject(host) || typeof host === 'function') && METHODS.find((pair) => pair.every((name) => hasMethod(host, name)));
  if (!found)
    throw new TypeError(`Expected \`host\` to have on/off, addListener/removeListener or addEventListener, got ${describe(host)}.`);
  return found;
}

function hasMethod(host: object, name: string): boolean {
  try {
    return typeof (host as Record<string, unknown>)[name] === 'function';
  } catch {
    return false;
  }
}

function call(host: object, method: string, name: string, handler: HostHandler): void {
  (host as Record<string, (name: string, handler: HostHandler) => void>)[method]?.(name, handler);
}
