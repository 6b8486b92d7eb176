/*
 * The listener for DAG runs, and the cache of what depends on a DAG's tasks alone.
 */
import { ignoreRejection } from '../base/foreign-values.js';
import type { EventBus } from '../bus/bus.js';
import type { Status } from '../events/dag-run.js';
import { isHash, MAX_TEXT_LENGTH } from '../events/fields.js';
import type { DeclaredEvent } from '../events/product-events.js';
import type { UsageMetrics } from '../wire/python.js';
import { isObject, missing, UNREADABLE } from './host-reader.js';
import type { Endings } from './endings.js';
import type { HostReader } from './host-reader.js';
import type { HostProblem, PayloadListener } from './host.js';
import type { Ownership } from './ownership.js';
import { addRunFacts } from './workflow-facts.js';

/** What a DAG run listener needs. */
interface DagRunListenerOptions {
  product: string;
  bus: EventBus;
  reader: HostReader;
  facts: DagFactsCache;
  dagHash: (dagId: string) => string | null;
  metadataParam: string;
  /** The event as the product declares it. Nothing else of a run is read. */
  definition: DeclaredEvent;
  ownership: Ownership;
  /** Undefined for `cosmos`: its events say success or failure alone. */
  endings: Endings | undefined;
}

/** Publishes an event when a DAG run ends with this status, unless the DAG has no task of the product. */
export function dagRunListener(status: Status, options: DagRunListenerOptions): PayloadListener {
  const { product, bus, reader, facts, dagHash, metadataParam, definition, ownership, endings } = options;
  const ownTaskCount = `${product}_task_count`;
  const { fields, metadata } = definition;
  const sendsHash = Object.hasOwn(fields, 'dag_hash');
  const sendsModes = Object.hasOwn(fields, 'execution_modes');
  const sendsFacts = Object.hasOwn(fields, 'duration');

  return (payload) => {
    const dagRun = isObject(payload) ? dagRunOf(payload, reader) : undefined;
    const dag = isObject(dagRun) ? dagOf(dagRun, reader) : undefined;
    const dagFacts = isObject(dag) ? facts.of(tasksOf(dag, reader)) : undefined;
    if (!isObject(dagRun) || !isObject(dag) || dagFacts === undefined) return lackOf(payload, dagRun, dag);
    if (dagFacts.ownTaskCount === 0) {
      ownership.missed();
      return undefined;
    }
    ownership.hasMatched = true;
    const ending = endings?.of('dag_run', status, dagRun, fields);
    if (endings !== undefined && ending === undefined) return undefined;
    const metrics: UsageMetrics = {};
    const hash = sendsHash ? hashOf(dagRun) : null;
    if (hash !== null) metrics['dag_hash'] = hash;
    metrics['status'] = ending?.status ?? status;
    metrics['task_count'] = dagFacts.taskCount;
    metrics[ownTaskCount] = dagFacts.ownTaskCount;
    if (sendsFacts) addRunFacts(metrics, dagRun, reader);
    if (sendsFacts && ending?.duration !== undefined) metrics['duration'] = ending.duration;
    if (sendsModes && dagFacts.executionModes === undefined) reader.unreadable('module');
    else if (sendsModes) metrics['execution_modes'] = dagFacts.executionModes as string;
    bus.publishOwned('dag_run', metrics, metadata ? packedMetadataOf(dag) : undefined);
    return undefined;
  };

  function hashOf(dagRun: object): string | null {
    const given = dagHashOf(dagRun, reader);
    if (isHash(given)) return given;
    const dagId = dagIdOf(dagRun, reader);
    if (typeof dagId !== 'string') return null;
    try {
      const hash: unknown = dagHash(dagId);
      if (hash === null || isHash(hash)) return hash;
      ignoreRejection(hash);
    } catch {
      // The product's own function threw: the event has no hash.
    }
    reader.unreadable('dagHash');
    return null;
  }

  /** The packed string. It is unpacked later, off the host's path. */
  function packedMetadataOf(dag: object): string | undefined {
    const params = paramsOf(dag, reader);
    const param = isObject(params) ? reader.read(params, metadataParam) : undefined;
    if (!isObject(param)) return asPacked(param);
    // A Param object of Airflow: the value that the run was started with, else the default of the DAG.
    const value = reader.read(param, 'value');
    return asPacked(typeof value === 'string' ? value : reader.read(param, 'default'));
  }
}

function lackOf(payload: unknown, dagRun: unknown, dag: unknown): HostProblem {
  if (!isObject(payload)) return missing('dag_run', 'payload');
  return missing('dag_run', isObject(dagRun) ? (isObject(dag) ? 'dagRun.dag.tasks' : 'dagRun.dag') : 'dagRun');
}

/**
 * The run of a payload; `UNREADABLE` if reading it throws, as in all functions below. They read by names in the code, as in
 * `task-instance.ts`.
 */
function dagRunOf(payload: object, reader: HostReader): unknown {
  try {
    return ignoreRejection((payload as { dagRun?: unknown }).dagRun);
  } catch {
    return reader.unreadable('dagRun');
  }
}

function dagOf(dagRun: object, reader: HostReader): unknown {
  try {
    return ignoreRejection((dagRun as { dag?: unknown }).dag);
  } catch {
    return reader.unreadable('dag');
  }
}

function tasksOf(dag: object, reader: HostReader): unknown {
  try {
    return ignoreRejection((dag as { tasks?: unknown }).tasks);
  } catch {
    return reader.unreadable('tasks');
  }
}

function paramsOf(dag: object, reader: HostReader): unknown {
  try {
    return ignoreRejection((dag as { params?: unknown }).params);
  } catch {
    return reader.unreadable('params');
  }
}

function dagHashOf(dagRun: object, reader: HostReader): unknown {
  try {
    return ignoreRejection((dagRun as { dagHash?: unknown }).dagHash);
  } catch {
    return reader.unreadable('dagHash');
  }
}

function dagIdOf(dagRun: object, reader: HostReader): unknown {
  try {
    return ignoreRejection((dagRun as { dagId?: unknown }).dagId);
  } catch {
    return reader.unreadable('dagId');
  }
}

function asPacked(value: unknown): string | undefined {
  // A value that is no string goes to the bus, too, which counts it as unreadable metadata.
  return value === undefined || value === null || value === UNREADABLE ? undefined : (value as string);
}

/** A longer list is no DAG but an attack on the host's time, such as a sparse array of four billion holes. */
export const MAX_TASKS = 250_000;

/** What depends on a DAG's tasks alone. */
interface DagFacts {
  taskCount: number;
  ownTaskCount: number;
  /** Sorted, joined by `__`; empty if no own module has a third part, undefined if the text is longer than a field may be. */
  executionModes: string | undefined;
}

/**
 * Counts a DAG's tasks once and keeps the result, keyed by the identity and the length of `dag.tasks`: a DAG runs a thousand times
 * with the same tasks, and the host waits for each count.
 */
export class DagFactsCache {
  readonly #facts = new WeakMap<object, DagFacts>();
  readonly #reader: HostReader;
  readonly #ownPrefix: string;
  readonly #ownership: Ownership | undefined;
  readonly #words: ReadonlySet<string> | undefined;

  /** @param words The execution modes that may be sent. @default all */
  constructor(product: string, reader: HostReader, ownership?: Ownership, words?: readonly string[]) {
    this.#ownership = ownership;
    this.#reader = reader;
    this.#ownPrefix = `${product}.`;
    this.#words = words && new Set(words);
  }

  /** Undefined if `tasks` is no list, or longer than a DAG can be. */
  of(tasks: unknown): DagFacts | undefined {
    if (!Array.isArray(tasks)) return undefined;
    // Read once: a proxy may give another length each time.
    const taskCount: unknown = tasks.length;
    if (typeof taskCount !== 'number' || !(taskCount <= MAX_TASKS)) return undefined;
    const known = this.#facts.get(tasks);
    if (known !== undefined && known.taskCount === taskCount) return known;
    const facts = this.#count(tasks, taskCount);
    this.#facts.set(tasks, facts);
    return facts;
  }

  #count(tasks: readonly unknown[], taskCount: number): DagFacts {
    let ownTaskCount = 0;
    const modes = new ExecutionModes(this.#words);
    // By index: the host's array may have its own, endless iterator.
    for (let index = 0; index < taskCount; index += 1) {
      const task = ignoreRejection(tasks[index]);
      const module = isObject(task) ? this.#reader.read(task, 'module') : undefined;
      const isOwnModule = typeof module === 'string' && module.startsWith(this.#ownPrefix);
      if (!isOwnModule && !(isObject(task) && this.#ownership?.owns(task) === true)) continue;
      ownTaskCount += 1;
      if (isOwnModule) modes.add(module);
    }
    return { taskCount, ownTaskCount, executionModes: modes.joined() };
  }
}

const SEPARATOR = '__';

/** Many tasks share few modules. */
const MAX_KNOWN_MODULES = 256;

/** Collects the third parts of modules, until they are longer than a field may be. */
class ExecutionModes {
  readonly #modules = new Set<string>();
  readonly #modes = new Set<string>();
  readonly #words: ReadonlySet<string> | undefined;
  #length = -SEPARATOR.length;

  constructor(words: ReadonlySet<string> | undefined) {
    this.#words = words;
  }

  add(module: string): void {
    // A longer text is not looked up: a set would hash all of it, and it may be a megabyte.
    const isShort = module.length <= MAX_TEXT_LENGTH;
    if (this.#length > MAX_TEXT_LENGTH || (isShort && this.#modules.has(module))) return;
    if (isShort && this.#modules.size < MAX_KNOWN_MODULES) this.#modules.add(module);
    const mode = module.split('.', 3)[2] ?? '';
    if (this.#words?.has(mode) === false) return;
    if (mode === '' || (mode.length <= MAX_TEXT_LENGTH && this.#modes.has(mode))) return;
    this.#length += SEPARATOR.length + mode.length;
    if (this.#length <= MAX_TEXT_LENGTH) this.#modes.add(mode);
  }

  joined(): string | undefined {
    return this.#length > MAX_TEXT_LENGTH ? undefined : [...this.#modes].sort(byCodeUnit).join(SEPARATOR);
  }
}

function byCodeUnit(left: string, right: string): number {
  return left < right ? -1 : 1;
}
