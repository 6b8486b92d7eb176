/** Where every copy of `@opentelemetry/api` 1.x keeps what the host registered. */
const API_KEY = Symbol.for('opentelemetry.js.api.1');

/** What `@opentelemetry/core` sets by `suppressTracing`: its context keys are made by `Symbol.for` of their description. */
const SUPPRESS_KEY = Symbol.for('OpenTelemetry SDK Context Key SUPPRESS_TRACING');

interface Context {
  setValue(key: symbol, value: unknown): Context;
}

interface ContextManager {
  active(): Context;
  with<T>(context: Context, run: () => T): T;
}

/**
 * Runs something in a context in which OpenTelemetry starts no spans and adds no trace headers: telemetry about telemetry is
 * noise in the host's traces, and our wire carries no ids. Without OpenTelemetry it only runs it.
 *
 * @param run called exactly once, synchronously; what it throws is thrown
 */
export function untraced<T>(run: () => T): T {
  const api = (globalThis as { [API_KEY]?: { context?: ContextManager } })[API_KEY];
  if (api === undefined) return run();
  let started = false;
  let ran: { result: T } | undefined;
  const runOnce = (): T => {
    started = true;
    ran ??= { result: run() };
    return ran.result;
  };
  try {
    const manager = api.context;
    if (manager !== undefined) manager.with(manager.active().setValue(SUPPRESS_KEY, true), runOnce);
  } catch (error) {
    // Another version or a stub is the host's affair: the request matters more than its being traced.
    if (started && ran === undefined) throw error;
  }
  return runOnce();
}
