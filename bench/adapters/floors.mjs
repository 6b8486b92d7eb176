// The least that a bus with a bounded buffer can do on the host's path, by eventemitter3 and an array.
import { EventEmitter } from 'eventemitter3';

const SLOTS = 16_384;

function client(listener, empty = () => {}) {
  const bus = new EventEmitter().on('task_instance', listener);
  const settle = () => Promise.resolve(empty());
  return { publish: (event) => bus.emit('task_instance', event), settle, close: settle };
}

/** Emptied when it is settled: what others have delivered by then does not wait here either. */
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

/** A ring that keeps the event itself: whoever changes it later changes what is sent. */
export const openRing = ({ capacity = SLOTS } = {}) => ring((event) => event, capacity);

/** A ring that keeps a copy: what a snapshot costs at the least. */
export const openCopyRing = ({ capacity = SLOTS } = {}) => ring((event) => ({ ...event }), capacity);
