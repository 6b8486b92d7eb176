import { types } from './builtins.js';

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
