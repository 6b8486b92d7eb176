import type { Gate } from '../gate.js';
import { decorate } from './decorated-transport.js';
import type { Transport } from './transport.js';

/**
 * Asks the gate before each retry, so that an opt-out that appears during a backoff is seen before anything leaves. Before the
 * first attempt the dispatcher has asked, just now, and a look at the environment costs as much as building the event.
 */
export function gated(inner: Transport, gate: Gate): Transport {
  // A retry hands in the list of the attempt before.
  const tried = new WeakSet<object>();
  return decorate(inner, (events, signal) => {
    if (tried.has(events) && !gate.checkAttempt()) return Promise.resolve({ kind: 'aborted' });
    tried.add(events);
    return inner.send(events, signal);
  });
}
