// What happens when the process has nothing else to do: one `beforeExit` listener for all emitters of this copy of the package, and a look
// at what keeps the process alive.
import type { Clock } from '../base/clock.js';
import { Heartbeat } from './pacing.js';

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

/** How often it is looked whether only we keep the process alive. */
const LOOK_MS = 40;

/** What an {@link EndWatch} asks and does. */
interface EndWatchOptions {
  /** Whether anything of ours could keep the process alive. */
  isNeeded: () => boolean;
  /** Whether nothing else keeps it alive. */
  hasEnded: () => boolean;
  onEnd: () => void;
}

/** Notices the end of a host for which `beforeExit` does not come: a connect or a query under way cannot be unref'd. */
export class EndWatch {
  readonly #options: EndWatchOptions;
  readonly #looks: Heartbeat;

  constructor(clock: Clock, options: EndWatchOptions) {
    this.#options = options;
    this.#looks = new Heartbeat(clock, () => this.#look(), LOOK_MS);
  }

  /** Looks from now on, until it is no longer needed. */
  start(): void {
    this.#looks.keepGoing();
  }

  stop(): void {
    this.#looks.stop();
  }

  #look(): void {
    const { isNeeded, hasEnded, onEnd } = this.#options;
    if (!isNeeded()) return;
    if (hasEnded()) onEnd();
    this.start();
  }
}
