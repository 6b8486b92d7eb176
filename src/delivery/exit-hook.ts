// What happens when the process has nothing else to do: one `beforeExit` listener for all emitters of this copy of the package.

const armedHooks = new Set<() => void>();

/** The one `beforeExit` listener of all emitters. It is attached only while a hook is set. */
function runHooks(): void {
  // Detached before any hook runs: a hook that writes to a stream would otherwise bring `beforeExit` back for ever.
  process.off('beforeExit', runHooks);
  const hooks = [...armedHooks];
  armedHooks.clear();
  for (const hook of hooks) hook();
}

/** Calls back once when the process has nothing else to do. The call clears the hook. */
export class ExitHook {
  readonly #callback: () => void;

  constructor(callback: () => void) {
    this.#callback = callback;
  }

  get isSet(): boolean {
    return armedHooks.has(this.#callback);
  }

  set(): void {
    if (armedHooks.size === 0) process.on('beforeExit', runHooks);
    armedHooks.add(this.#callback);
  }

  clear(): void {
    if (armedHooks.delete(this.#callback) && armedHooks.size === 0) process.off('beforeExit', runHooks);
  }
}
