import type { UsageEvent } from '../../src/delivery/transport.js';

/** An event as the emitter sends it. */
export function usageEvent(target = '/v3/dag_run?status=success'): UsageEvent {
  return { id: '1', type: 'dag_run', metrics: { status: 'success' }, requestTarget: () => target };
}
