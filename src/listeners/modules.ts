/*
 * What the name of a task's module says. It is read in the host's hook.
 */
import { MAX_TEXT_LENGTH } from '../events/fields.js';

/** What the name of a module says. */
interface ModuleFacts {
  /** Whether it is a module of the product. */
  readonly isOwn: boolean;
  /** Its part after `<product>.operators.`, if that may be sent. */
  readonly mode: string | null;
}

const FOREIGN: ModuleFacts = { isOwn: false, mode: null };

/** Reads the names of modules. It remembers the last one: a DAG's tasks mostly share theirs. */
export class Modules {
  readonly #ownPrefix: string;
  readonly #ownOperators: string;
  readonly #words: readonly string[] | undefined;
  #last: unknown;
  #facts = FOREIGN;

  /** @param words The modes that may be sent. @default all */
  constructor(product: string, words: readonly string[] | undefined) {
    this.#ownPrefix = `${product}.`;
    this.#ownOperators = `${product}.operators.`;
    this.#words = words;
  }

  of(module: unknown): ModuleFacts {
    if (module === this.#last) return this.#facts;
    if (typeof module !== 'string' || !module.startsWith(this.#ownPrefix)) return FOREIGN;
    const facts = { isOwn: true, mode: this.#modeOf(module) };
    // A long text would take long to compare.
    if (module.length > MAX_TEXT_LENGTH) return facts;
    this.#facts = facts;
    this.#last = module;
    return facts;
  }

  #modeOf(module: string): string | null {
    if (!module.startsWith(this.#ownOperators)) return null;
    const end = module.indexOf('.', this.#ownOperators.length);
    const mode = module.slice(this.#ownOperators.length, end === -1 ? undefined : end);
    return this.#words === undefined || this.#words.includes(mode) ? mode : null;
  }
}
