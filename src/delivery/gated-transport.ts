import type { Gate } from '../gate.js';
import { decorate } from './decorated-transport.js';
import type { Transport } from './transport.js';

/**
 * Asks the gate before each attempt, retries included, so that an opt-out that appears during a backoff is seen before
 * anything leaves.
 */
export function gated(inner: Transport, gate: Gate): Transport {
  return decorate(inner, (events, signal) => (gate.checkAttempt() ? inner.send(events, signal) : Promise.resolve({ kind: 'aborted' })));
}
