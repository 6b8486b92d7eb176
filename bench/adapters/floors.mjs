// The minimum work of a bus with a bounded buffer on the host's path: eventemitter3 and an array.
import { EventEmitter } from 'eventemitter3';

const SLOTS = 16_384;

function client(listener, empty = () => {}) {
  const bus = new EventEmitter().on('task_instance', listener);
  const settle = () => Promise.resolve(empty());
  return { publish: (event) => bus.emit('task_instance', event), settle, close: settle };
}

/** A ring buffer; `settle` empties it, as the other clients have delivered their events by then. */
function ring(keep, slots) {
  const kept = Array.from({ length: slots });
  let next = 0;
  const push = (event) => {
    kept[next] = keep(event);
    next = next + 1 === slots ? 0 : next + 1;
  };
  return client(push, () => {
    kept.fill(undefined);
    next = 0;
  });
}

/** One listener that does nothing. */
export const openBare = () => client(() => {});

/** A ring that keeps the event itself, so a later change by the caller changes what is sent. */
export const openRing = ({ capacity = SLOTS } = {}) => ring((event) => event, capacity);

/** A ring that keeps a copy: the minimum cost of a snapshot. */
export const openCopyRing = ({ capacity = SLOTS } = {}) => ring((event) => ({ ...event }), capacity);
