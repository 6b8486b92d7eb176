import type { EventDefinition } from '../events/definition.js';
import type { TakenEvent } from '../delivery/event-buffer.js';
import type { UsageEvent } from '../delivery/transport.js';
import type { StoredEvent } from './store.js';

/** An event that is under way through the dispatcher. */
export interface RelayedEvent extends TakenEvent {
  readonly stored: StoredEvent;
}

/** What it declares was looked at when it came in. */
const RELAYED: EventDefinition = { type: 'relayed', fields: {}, description: 'Sent when Cosmos has sent it.' };
const NO_METRICS = Object.freeze({});
const TYPE = /^\/v3\/([a-z0-9_]+)/;

/** A stored event as the dispatcher and its transports see it: built already, since it leaves as it came. */
export function relayed(stored: StoredEvent): RelayedEvent {
  const { seq, target } = stored;
  const built: UsageEvent = {
    id: String(seq),
    type: TYPE.exec(target)?.[1] ?? RELAYED.type,
    metrics: NO_METRICS,
    requestTarget: () => target,
  };
  return { seq, definition: RELAYED, metrics: NO_METRICS, packed: undefined, built, stored };
}
