/*
 * Whose a task is, where its module does not say so; and a log line for a host that has no task of the product.
 */
import { ignoreRejection } from '../base/foreign-values.js';
import type { Log } from '../base/log.js';
import type { HostReader } from './host-reader.js';
import type { Task } from './host.js';

/** So many events without one of the product are no accident. */
const MANY = 100;

/** What ownership needs. */
interface OwnershipOptions {
  product: string;
  /** Whether a task may say `owned: true`. */
  readsOwned: boolean;
  owns: ((task: Task) => boolean) | undefined;
  reader: HostReader;
  log: Log;
}

/** Tells the product's tasks from others, beside their modules. */
export class Ownership {
  /** Whether an event of the product was seen. */
  hasMatched = false;
  #misses = 0;
  readonly #options: OwnershipOptions;

  constructor(options: OwnershipOptions) {
    this.#options = options;
  }

  /** Whether a task whose module is not the product's is its task all the same. */
  owns(task: object): boolean {
    const { readsOwned, owns, reader } = this.#options;
    if (readsOwned && ownedOf(task, reader) === true) return true;
    if (owns === undefined) return false;
    try {
      return ignoreRejection(owns(task)) === true;
    } catch {
      reader.unreadable('owns');
      return false;
    }
  }

  /** Called for each event that is not the product's. */
  missed(): void {
    if (this.hasMatched) return;
    this.#misses += 1;
    if (this.#misses !== 1 && this.#misses !== MANY) return;
    if (this.#misses === 1) this.#options.log.debug('not_owned', `an event of the host is not of this product; ${this.#rule}`);
    else this.#warn(`none of the first ${MANY} events of the host is of this product`);
  }

  /** Called when no event comes any more: a short program has few. */
  ended(): void {
    if (!this.hasMatched && this.#misses > 0 && this.#misses < MANY) this.#warn("none of the host's events was of this product");
  }

  #warn(what: string): void {
    this.#options.log.warn('nothing_owned', `${what}; ${this.#rule}`);
  }

  get #rule(): string {
    const { product } = this.#options;
    return `a task counts if its \`module\` starts with \`${product}.\`, if it says \`owned: true\`, or if \`owns\` says so`;
  }
}

function ownedOf(task: object, reader: HostReader): unknown {
  try {
    return ignoreRejection((task as Task).owned);
  } catch {
    return reader.unreadable('owned');
  }
}
