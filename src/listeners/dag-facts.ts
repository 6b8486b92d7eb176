import { MAX_TEXT_LENGTH } from '../events/fields.js';
import { disarmed } from '../rejections.js';
import { isObject } from './host-reader.js';
import type { HostReader } from './host-reader.js';

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
      const task = disarmed(tasks[index]);
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
