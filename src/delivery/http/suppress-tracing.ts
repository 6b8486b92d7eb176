/** Keeps what is sent for telemetry out of the traces of a host that uses OpenTelemetry, without a dependency on it. */

/** Every copy of `@opentelemetry/api` 1.x keeps under this key what the host registered. */
const API_KEY = Symbol.for('opentelemetry.js.api.1');

/** The context key that `suppressTracing` of `@opentelemetry/core` sets. Its keys are `Symbol.for` of their description. */
const SUPPRESS_KEY = Symbol.for('OpenTelemetry SDK Context Key SUPPRESS_TRACING');

interface Context {
  setValue(key: symbol, value: unknown): Context;
}

interface ContextManager {
  active(): Context;
  with<T>(context: Context, run: () => T): T;
}

/**
 * Runs a function in a context in which OpenTelemetry starts no span and adds no trace header: requests of telemetry are noise in the
 * host's traces, and our wire carries no ids. Without OpenTelemetry it only runs the function.
 *
 * @param run called exactly once, synchronously; what it throws is thrown
 */
export function suppressTracing<T>(run: () => T): T {
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
    // An unknown version or a stub may throw. The request matters more than its span.
    if (started && ran === undefined) throw error;
  }
  return runOnce();
}
