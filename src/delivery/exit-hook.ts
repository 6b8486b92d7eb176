const waiting = new Set<() => void>();

/**
 * Calls back when the process has nothing else to do. One `beforeExit` listener for all who wait, there only while somebody
 * does, and gone before anybody is called: a callback that writes to a stream would otherwise bring it back for ever.
 */
function onceBeforeExit(callback: () => void): void {
  if (waiting.size === 0) process.on('beforeExit', callAll);
  waiting.add(callback);
}

/** Takes a callback back. */
function notBeforeExit(callback: () => void): void {
  if (waiting.delete(callback) && waiting.size === 0) process.off('beforeExit', callAll);
}

function callAll(): void {
  process.off('beforeExit', callAll);
  const callbacks = [...waiting];
  waiting.clear();
  for (const callback of callbacks) callback();
}

/** One callback that can be set and cleared. */
export class ExitHook {
  readonly #callback: () => void;
  #isSet = false;

  constructor(callback: () => void) {
    this.#callback = callback;
  }

  get isSet(): boolean {
    return this.#isSet;
  }

  set(): void {
    if (this.#isSet) return;
    this.#isSet = true;
    onceBeforeExit(this.#fire);
  }

  clear(): void {
    this.#isSet = false;
    notBeforeExit(this.#fire);
  }

  readonly #fire = (): void => {
    this.#isSet = false;
    this.#callback();
  };
}
