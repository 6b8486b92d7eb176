const waiting = new Set<() => void>();

/**
 * Calls back when the process has nothing else to do. One `beforeExit` listener for all who wait, there only while somebody
 * does, and gone before anybody is called: a callback that writes to a stream would otherwise bring it back for ever.
 */
export function onceBeforeExit(callback: () => void): void {
  if (waiting.size === 0) process.on('beforeExit', callAll);
  waiting.add(callback);
}

/** Takes a callback back. */
export function notBeforeExit(callback: () => void): void {
  if (waiting.delete(callback) && waiting.size === 0) process.off('beforeExit', callAll);
}

function callAll(): void {
  process.off('beforeExit', callAll);
  const callbacks = [...waiting];
  waiting.clear();
  for (const callback of callbacks) callback();
}
