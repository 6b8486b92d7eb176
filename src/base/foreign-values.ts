/*
 * `import ... from 'node:util'` has Node load all that the module offers, some ten internal modules among it; this does not. It
 * counts, since a host pays for it at each start of a process. What is needed seldom is asked for in the same way where it is used.
 */

/** Tells what a value is without asking it. */
export const { types } = process.getBuiltinModule('node:util');

/**
 * Sees to a promise that foreign code gave where none was asked for, or that nobody awaits: left alone, its rejection would end
 * the process. Does nothing for any other value. Never throws.
 */
export function onRejection(value: unknown, rejected: () => void): void {
  try {
    if (isThenable(value)) new Promise((resolve) => resolve(value)).catch(rejected);
  } catch {
    rejected();
  }
}

function isThenable(value: unknown): value is PromiseLike<unknown> {
  return typeof value === 'object' && value !== null && typeof (value as { then?: unknown }).then === 'function';
}

/**
 * The same for a value that was read where a plain one belongs: a getter may make a promise each time it is asked, so that our
 * own question would end the host.
 */
export function disarm(value: unknown): void {
  // Not `instanceof`, which asks a proxy and throws where that is revoked.
  if (types.isPromise(value)) onRejection(value, () => undefined);
}

/** The value itself, disarmed. */
export function disarmed(value: unknown): unknown {
  if (typeof value === 'object' && value !== null) disarm(value);
  return value;
}
