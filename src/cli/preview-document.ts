import type { EventDefinitions } from '../events/product-events.js';
import type { HostEvents } from '../host.js';
import { shorten } from '../settings/rules.js';
import { CliFailure, EXIT } from './failure.js';

/** One event that somebody wants to see: one that a host emits, or one that a program publishes itself. */
export type PreviewItem =
  | { readonly kind: 'host'; readonly event: keyof HostEvents; readonly payload: unknown }
  | { readonly kind: 'published'; readonly event: string; readonly metrics: unknown; readonly packedMetadata?: string };

/** Every name: the compiler refuses this list when one is missing. */
const HOST_EVENTS: Readonly<Record<keyof HostEvents, true>> = {
  'dag_run.success': true,
  'dag_run.failed': true,
  'task_instance.success': true,
  'task_instance.failed': true,
};

const FORM = '{"event": "dag_run.success", "payload": {...}}';

/**
 * Reads a document: one event or a list of events.
 *
 * @param source How messages name it.
 * @throws CliFailure naming it, and which of its events is wrong.
 */
export function parseDocument(text: string, source: string, definitions: EventDefinitions): PreviewItem[] {
  const value = parseJson(text, source);
  const list: readonly unknown[] = Array.isArray(value) ? value : [value];
  if (list.length === 0) throw new CliFailure(`${source} holds no event: ${FORM} or a list of such is expected`);
  return list.map((item, index) => toItem(item, list.length === 1 ? source : `${source}, event ${index + 1},`, definitions));
}

function parseJson(text: string, source: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    // The parser's message may hold what stands in the file, so only the place is taken from it.
    const position = error instanceof Error ? /at position (\d+)/.exec(error.message)?.[1] : undefined;
    const line = position === undefined ? undefined : text.slice(0, Number(position)).split('\n').length;
    throw new CliFailure(`${source} is not JSON${line === undefined ? '' : ` (line ${line})`}`);
  }
}

function toItem(item: unknown, source: string, definitions: EventDefinitions): PreviewItem {
  if (typeof item !== 'object' || item === null || Array.isArray(item)) throw new CliFailure(`${source} is no event: ${FORM} is expected`);
  const { event, payload, metrics, packedMetadata, ...rest } = item as Record<string, unknown>;
  if (typeof event !== 'string') throw new CliFailure(`${source} has no "event": ${FORM} is expected`);
  const [unknownKey] = Object.keys(rest);
  if (unknownKey !== undefined) throw new CliFailure(`${source} has an unknown key "${shorten(unknownKey)}"`);
  if (isHostEvent(event)) {
    if (payload === undefined) throw new CliFailure(`${source} has no "payload", which ${event} needs`);
    return { kind: 'host', event, payload };
  }
  if (!definitions.has(event)) throw unknownEvent(`${source} has an unknown event`, event, [...Object.keys(HOST_EVENTS), ...definitions.keys()]);
  if (metrics === undefined) throw new CliFailure(`${source} has no "metrics", which ${event} needs`);
  if (packedMetadata !== undefined && typeof packedMetadata !== 'string') throw new CliFailure(`${source} has "packedMetadata" that is no text`);
  return { kind: 'published', event, metrics, ...(packedMetadata !== undefined && { packedMetadata }) };
}

function isHostEvent(event: string): event is keyof HostEvents {
  return Object.hasOwn(HOST_EVENTS, event);
}

/** @returns What to throw for an event that there is not; the ones that there are stand in it. */
export function unknownEvent(start: string, event: string, known: readonly string[]): CliFailure {
  return new CliFailure(`${start} "${shorten(event)}"; known: ${known.join(', ')}`, EXIT.usage);
}
