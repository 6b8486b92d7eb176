// The cost of encoding one event as a request target, compared with URLSearchParams and the same fields. Ours also checks each field.
import { taskInstanceFields } from '../../build/src/events/task-instance.js';
import { EventBuilder } from '../../build/src/delivery/event-builder.js';
import { Ledger } from '../../build/src/base/ledger.js';
import { freshEvent, PRODUCT, STANDARD } from '../harness/sample-event.mjs';
import { median } from '../harness/stats.mjs';

const EVENTS = 5000;
const REPEATS = 9;

const ENCODERS = {
  'ours: check and encode': () => {
    const definition = { type: 'task_instance', fields: taskInstanceFields(PRODUCT.name), description: '' };
    const builder = new EventBuilder(STANDARD, new Ledger());
    return (metrics, seq) =>
      builder.build({ seq, definition, metrics, packed: undefined, timeMs: 1e12 + seq, built: undefined }).requestTarget();
  },
  URLSearchParams: () => (metrics) => `/v3/task_instance?${new URLSearchParams(metrics).toString()}`,
};

/** It measures files of this clone that a build does not export. */
export const isOfThisClone = true;

export function plan({ quick }) {
  return Object.keys(ENCODERS).map((row) => ({ row, rounds: quick ? 1 : 5, params: { row } }));
}

export function measure({ row }) {
  const encode = ENCODERS[row]();
  // For URLSearchParams the standard fields are added before the measurement, because that is not part of the encoding.
  const given = (number) => (row.startsWith('ours') ? freshEvent(number) : { ...STANDARD, ...freshEvent(number) });
  const nsPerEvent = Array.from({ length: REPEATS }, () =>
    timeOf(
      encode,
      Array.from({ length: EVENTS }, (_, number) => given(number)),
    ),
  );
  return { nsPerEvent: median(nsPerEvent.slice(2)) };
}

function timeOf(encode, events) {
  const targets = [];
  const startedAtMs = performance.now();
  for (const [seq, event] of events.entries()) targets.push(encode(event, seq));
  const tookMs = performance.now() - startedAtMs;
  if (!targets.every((target) => target.includes('has_callback='))) throw new Error('an event was not encoded');
  return (tookMs * 1e6) / events.length;
}
