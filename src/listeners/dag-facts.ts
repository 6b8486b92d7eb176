import { isObject } from './host-reader.js';
import type { HostReader } from './host-reader.js';

/** More tasks than this are no DAG but an attack on the host's time, such as a sparse array of four billion holes. */
const MAX_TASKS = 1_000_000;

/** What depends on a DAG's tasks alone. */
export interface DagFacts {
  taskCount: number;
  ownTaskCount: number;
  /** Sorted, joined by `__`; empty where no own module has a third part. */
  executionModes: string;
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
    if (!Array.isArray(tasks) || tasks.length > MAX_TASKS) return undefined;
    const known = this.#facts.get(tasks);
    if (known !== undefined && known.taskCount === tasks.length) return known;
    const facts = this.#count(tasks);
    this.#facts.set(tasks, facts);
    return facts;
  }

  #count(tasks: readonly unknown[]): DagFacts {
    let ownTaskCount = 0;
    // Few modules stand behind many tasks, so each is looked at once: false where it is not the product's own.
    const modes = new Map<string, string | false>();
    // By index and not by iterator: the host's array might bring an endless iterator of its own.
    const taskCount = tasks.length;
    for (let index = 0; index < taskCount; index += 1) {
      const task = tasks[index];
      const module = isObject(task) ? this.#reader.read(task, 'module') : undefined;
      if (typeof module !== 'string') continue;
      let mode = modes.get(module);
      if (mode === undefined) modes.set(module, (mode = module.startsWith(this.#ownPrefix) && (module.split('.')[2] ?? '')));
      if (mode !== false) ownTaskCount += 1;
    }
    const used = new Set(modes.values());
    const executionModes = [...used].filter((mode) => typeof mode === 'string' && mode !== '').sort(byCodeUnit).join('__');
    return { taskCount, ownTaskCount, executionModes };
  }
}

function byCodeUnit(left: string | false, right: string | false): number {
  return left < right ? -1 : 1;
}
