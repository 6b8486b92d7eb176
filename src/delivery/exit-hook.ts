const waiting = new Set<() => void>();

/** One `beforeExit` listener serves all who wait, and it is there only while somebody does. */
function callAll(): void {
  // Gone before anybody is called: a callback that writes to a stream would otherwise bring it back for ever.
  process.off('beforeExit', callAll);
  const callbacks = [...waiting];
  waiting.clear();
  for (const callback of callbacks) callback();
}

/** One callback for the moment when the process has nothing else to do. It can be set and cleared, and is cleared when it is called. */
export class ExitHook {
  readonly #callback: () => void;

  constructor(callback: () => void) {
    this.#callback = callback;
  }

  get isSet(): boolean {
    return waiting.has(this.#callback);
  }

  set(): void {
    if (waiting.size === 0) process.on('beforeExit', callAll);
    waiting.add(this.#callback);
  }

  clear(): void {
    if (waiting.delete(this.#callback) && waiting.size === 0) process.off('beforeExit', callAll);
  }
}
