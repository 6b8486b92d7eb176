// Values that foreign code hands in: hosts, subscribers, loggers. Their promises must not end the process as unhandled rejections.

/**
 * Tells the type of a value without running its code.
 *
 * `process.getBuiltinModule`, and not an import: `import ... from 'node:util'` loads about ten more internal modules of Node at
 * the start of each host process.
 */
export const { types } = process.getBuiltinModule('node:util');

/**
 * Handles the rejection of a promise or thenable that nothing awaits: unhandled, it ends the process. Does nothing for any other
 * value. Never throws.
 */
export function onRejection(value: unknown, rejected: () => void): void {
  try {
    if (isThenable(value)) new Promise((resolve) => resolve(value)).catch(rejected);
  } catch {
    rejected();
  }
}

/**
 * Returns the value. If it is a promise, its rejection is ignored: a getter may create a promise each time it is read, and then
 * our read alone would end the process.
 */
export function ignoreRejection(value: unknown): unknown {
  // Not `instanceof`: it runs the traps of a proxy, and throws if the proxy is revoked.
  if (typeof value === 'object' && value !== null && types.isPromise(value)) onRejection(value, () => undefined);
  return value;
}

function isThenable(value: unknown): value is PromiseLike<unknown> {
  return typeof value === 'object' && value !== null && typeof (value as { then?: unknown }).then === 'function';
}
