import { ignoreRejection } from '../base/foreign-values.js';
import type { EventBus } from '../bus/bus.js';
import type { Status } from '../events/dag-run.js';
import { isHash, MAX_TEXT_LENGTH } from '../events/fields.js';
import type { UsageMetrics } from '../wire/python.js';
import { isObject, LOST } from './host-reader.js';
import type { HostReader } from './host-reader.js';
import type { PayloadListener } from './host.js';

/** More tasks than this are no DAG but an attack on the host's time, such as a sparse array of four billion holes. */
const MAX_TASKS = 250_000;

/** Few modules stand behind many tasks. */
const MAX_KNOWN_MODULES = 256;

const SEPARATOR = '__';

/** What depends on a DAG's tasks alone. */
export interface DagFacts {
  taskCount: number;
  ownTaskCount: number;
  /** Sorted, joined by `__`; empty where no own module has a third part, undefined where it is longer than may be sent. */
  executionModes: string | undefined;
}

/**
 * Counts a DAG's tasks once and remembers the answer, keyed by the identity and the length of `dag.tasks`: a DAG runs a
 * thousand times with the same tasks, and the host waits for each count.
 */
export class DagFactsCache {
  readonly #facts = new WeakMap<object, DagFacts>();
  readonly #reader: HostReader;
  readonly #ownPrefix: string;

  constructor(product: string, reader: HostReader) {
    this.#reader = reader;
    this.#ownPrefix = `${product}.`;
  }

  /** Undefined where `tasks` is no list of a size that a DAG can have. */
  of(tasks: unknown): DagFacts | undefined {
    if (!Array.isArray(tasks)) return undefined;
    // Asked once: a proxy may answer anything, and something else the next time.
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
    const modes = new ExecutionModes();
    // By index and not by iterator: the host's array might bring an endless iterator of its own.
    for (let index = 0; index < taskCount; index += 1) {
      const task = ignoreRejection(tasks[index]);
      const module = isObject(task) ? this.#reader.read(task, 'module') : undefined;
      if (typeof module !== 'string' || !module.startsWith(this.#ownPrefix)) continue;
      ownTaskCount += 1;
      modes.add(module);
    }
    return { taskCount, ownTaskCount, executionModes: modes.joined() };
  }
}

/** The third parts of modules. It stops collecting once there are more than may be sent. */
class ExecutionModes {
  readonly #modules = new Set<string>();
  readonly #modes = new Set<string>();
  #length = -SEPARATOR.length;

  add(module: string): void {
    // Of a host's megabyte of text not even a hash is made, as a set would.
    const isShort = module.length <= MAX_TEXT_LENGTH;
    if (this.#length > MAX_TEXT_LENGTH || (isShort && this.#modules.has(module))) return;
    if (isShort && this.#modules.size < MAX_KNOWN_MODULES) this.#modules.add(module);
    const mode = module.split('.', 3)[2] ?? '';
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

/** What a DAG run listener needs. */
export interface DagRunListenerOptions {
  product: string;
  bus: EventBus;
  reader: HostReader;
  facts: DagFactsCache;
  dagHash: (dagId: string) => string | null;
  metadataParam: string;
}

/** Listens to the end of DAG runs: one builder for both ways to end. Nothing is published for a DAG with no own task. */
export function dagRunListener(status: Status, options: DagRunListenerOptions): PayloadListener {
  const { product, bus, reader, facts, dagHash, metadataParam } = options;
  const ownTaskCount = `${product}_task_count`;
  return (payload) => {
    const dagRun = isObject(payload) ? reader.object(payload, 'dagRun') : undefined;
    const dag = dagRun && reader.object(dagRun, 'dag');
    const dagFacts = dag && facts.of(reader.read(dag, 'tasks'));
    if (dagRun === undefined || dag === undefined || dagFacts === undefined) return 'invalid';
    if (dagFacts.ownTaskCount === 0) return undefined;
    const metrics: UsageMetrics = {};
    const hash = hashOf(dagRun);
    if (hash !== null) metrics['dag_hash'] = hash;
    metrics['status'] = status;
    metrics['task_count'] = dagFacts.taskCount;
    metrics[ownTaskCount] = dagFacts.ownTaskCount;
    if (dagFacts.executionModes === undefined) reader.lose('module');
    else metrics['execution_modes'] = dagFacts.executionModes;
    bus.publishOwned('dag_run', metrics, packedMetadataOf(dag));
    return undefined;
  };

  function hashOf(dagRun: object): string | null {
    const given = reader.read(dagRun, 'dagHash');
    if (isHash(given)) return given;
    const dagId = reader.read(dagRun, 'dagId');
    if (typeof dagId !== 'string') return null;
    try {
      const hash: unknown = dagHash(dagId);
      if (hash === null || isHash(hash)) return hash;
      ignoreRejection(hash);
    } catch {
      // The product's own function failed: the run is reported without a hash.
    }
    reader.lose('dagHash');
    return null;
  }

  /** The packed string itself: it is unpacked later, off the host's path. */
  function packedMetadataOf(dag: object): string | undefined {
    const params = reader.object(dag, 'params');
    const param = params && reader.read(params, metadataParam);
    if (!isObject(param)) return asPacked(param);
    // A Param object of Airflow: what the run was started with, else what the DAG was written with.
    const value = reader.read(param, 'value');
    return asPacked(typeof value === 'string' ? value : reader.read(param, 'default'));
  }
}

function asPacked(value: unknown): string | undefined {
  // Not a string and yet there: let the bus count it as unreadable, as it does with one that is too long.
  return value === undefined || value === null || value === LOST ? undefined : (value as string);
}
