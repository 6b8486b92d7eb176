// cosmos-telemetry, as `npm run build` gives it.
import { EventEmitter } from 'node:events';
import { createTelemetry } from '../../dist/index.js';
import { PRODUCT } from '../harness/sample-event.mjs';

const MINUTE_MS = 60_000;

/** Does all that a transport does but the request: the encoding is asked for, as a real one would. */
const encodesOnly = {
  send(events) {
    for (const event of events) event.requestTarget();
    return Promise.resolve({ kind: 'sent' });
  },
};

/** @param options.transport in the place of the one that encodes and sends nothing, where there is no endpoint */
export function open({ endpoint, concurrency, capacity, transport = encodesOnly, env = {} } = {}) {
  const telemetry = createTelemetry({
    product: PRODUCT,
    env,
    ...(endpoint === undefined ? { transport } : { endpoint }),
    ...(concurrency !== undefined && { concurrency, drainConcurrency: concurrency }),
    ...(capacity !== undefined && { maxPendingEvents: capacity }),
  });
  return {
    telemetry,
    publish: (event) => telemetry.publish('task_instance', event),
    settle: () => telemetry.drain({ deadlineMs: 10 * MINUTE_MS }),
    close: () => telemetry.close(),
  };
}

/** A host with our listeners attached. */
export function hostOf(telemetry) {
  const host = new EventEmitter();
  telemetry.register(host);
  return host;
}
