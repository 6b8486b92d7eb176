import { COSMOS_ENDPOINT, NAME_PATTERN } from '../base/constants.js';
import { metadataFields } from '../events/dag-run.js';
import type { Fields } from '../events/definition.js';
import type { Field } from '../events/fields.js';
import { builtInEvents } from '../events/product-events.js';
import { standardFields } from '../events/standard-metrics.js';
import { COSMOS } from '../opt-out/variables.js';

/** The orchestrator around Cosmos, whose version is quoted once more than the others. */
const HOST = 'airflow';
const QUOTED_TWICE = `${HOST}_version`;

/** Python's `str()` of nothing: it says that there is no value, so every field may hold it. */
const NONE = 'None';

const INTEGER = /^\d{1,16}$/;
const FLOAT = /^\d{1,40}(?:\.\d{1,40})?(?:e[+-]?\d{1,3})?$/;

/** A field that does not go on. */
export interface DroppedField {
  /** As it came: bytes of a URL. */
  readonly name: string;
  readonly why: 'undeclared' | 'ill_typed' | 'duplicate';
}

/** What is left of a query. */
export interface Sifted {
  /** The declared fields, byte for byte and in the order in which they came. */
  readonly query: string;
  readonly dropped: readonly DroppedField[];
}

/** The fields that an event of Cosmos may carry, by event type and name: what `src/events/` declares. */
export const DECLARED: ReadonlyMap<string, ReadonlyMap<string, Field>> = new Map(
  builtInEvents(COSMOS).map(({ type, fields }) => {
    const metadata: Fields = type === 'dag_run' ? metadataFields : {};
    return [type, new Map(Object.entries({ ...metadata, ...standardFields(COSMOS, HOST), ...fields }))];
  }),
);

const NOTHING_DROPPED: readonly DroppedField[] = [];

/**
 * Keeps the declared fields whose values are of their kinds.
 *
 * @param query A query whose percent-encoding is sound; without its question mark.
 */
export function filterFields(fields: ReadonlyMap<string, Field>, query: string): Sifted {
  if (query === '') return { query, dropped: NOTHING_DROPPED };
  const kept: string[] = [];
  const dropped: DroppedField[] = [];
  const seen = new Set<string>();
  for (const pair of query.split('&')) {
    const equalsAt = pair.indexOf('=');
    // Names are compared as they came: another spelling of a declared name is none of Cosmos'.
    const name = equalsAt === -1 ? pair : pair.slice(0, equalsAt);
    const field = fields.get(name);
    if (field === undefined) dropped.push({ name, why: 'undeclared' });
    else if (seen.has(name)) dropped.push({ name, why: 'duplicate' });
    else if (!holds(field, decode(name, equalsAt === -1 ? '' : pair.slice(equalsAt + 1)))) dropped.push({ name, why: 'ill_typed' });
    else {
      seen.add(name);
      kept.push(pair);
    }
  }
  return dropped.length === 0 ? { query, dropped } : { query: kept.join('&'), dropped };
}

/** Whether a text is what Python writes for a value of this field. */
export function holds(field: Field, text: string): boolean {
  if (text === NONE) return true;
  switch (field.kind) {
    case 'boolean':
      return text === 'True' || text === 'False';
    case 'count':
      return INTEGER.test(text) && field.accepts(Number(text));
    case 'duration':
      return FLOAT.test(text) && field.accepts(Number(text));
    case 'oneOf':
      // Systems differ in the case in which they name themselves, and the list stays closed either way.
      return field.accepts(text) || field.values?.some((value) => value.toLowerCase() === text.toLowerCase()) === true;
    case 'identifier':
    case 'identifierSet':
    case 'command':
    case 'version':
    case 'hash':
      return field.accepts(text);
    default:
      return false;
  }
}

function decode(name: string, raw: string): string {
  const text = unquote(raw.replaceAll('+', ' '));
  return name === QUOTED_TWICE ? unquote(text) : text;
}

/** What cannot be read stays as it is, and is of no kind then: no kind accepts a percent sign. */
export function unquote(text: string): string {
  if (!text.includes('%')) return text;
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/** The longest target that is read, in bytes: what common servers accept. */
export const MAX_TARGET_BYTES = 8192;

/** What a target asks for. */
export type Route =
  | { readonly kind: 'event'; readonly target: string; readonly dropped: readonly DroppedField[] }
  | { readonly kind: 'path'; readonly path: string }
  | { readonly kind: 'refused'; readonly why: 'malformed' | 'absolute_form' | 'unknown_path' | 'unknown_event' | 'too_long' };

/** Cosmos puts the path of its own endpoint before the versions, and who is told another endpoint may leave it out. */
const BASE = new URL(COSMOS_ENDPOINT).pathname;

/** Bytes that may stand in a target (RFC 3986); what else there is must be percent-encoded. */
const TARGET = /^[\w\-.~!$&'()*+,;=:@/?%]*$/;
const ABSOLUTE = /^[a-z][a-z\d+.-]*:/i;
const V3 = '/v3/';
const OLD = /^\/v[12]\//;

/** What stood in the path before there was a query, and in which order. */
const OLD_FIELDS = [
  'cosmos_version',
  'airflow_version',
  'python_version',
  'platform_system',
  'platform_machine',
  'event_type',
  'status',
  'dag_hash',
  'task_count',
  'cosmos_task_count',
  'execution_modes',
] as const; // prettier-ignore
const TYPE_AT = OLD_FIELDS.indexOf('event_type');
const OLD_SEGMENT = /^[\w\-.~!$'()*+,:@%]{0,128}$/;

/** A step to where one is or up, in all its spellings (WHATWG URL): it would lead out of the endpoint's own path. */
const DOTS = /^(?:\.|%2e){1,2}$/i;

const MALFORMED: Route = { kind: 'refused', why: 'malformed' };
const UNKNOWN_PATH: Route = { kind: 'refused', why: 'unknown_path' };
const UNKNOWN_EVENT: Route = { kind: 'refused', why: 'unknown_event' };
const NOTHING: readonly DroppedField[] = [];

/** How targets are read. */
export interface RouteOptions {
  /** Whether every query goes on as it came, and every event type of the right shape. */
  readonly isVerbatim: boolean;
  /** The longest target that can be forwarded, in bytes. */
  readonly maxForwardBytes: number;
}

/** Finds out what a request's target asks for. Pure, and never throws. */
export function route(target: string, { isVerbatim, maxForwardBytes }: RouteOptions): Route {
  if (target.length > MAX_TARGET_BYTES) return { kind: 'refused', why: 'too_long' };
  if (!target.startsWith('/')) return ABSOLUTE.test(target) ? { kind: 'refused', why: 'absolute_form' } : MALFORMED;
  if (!isSound(target)) return MALFORMED;
  const queryAt = target.indexOf('?');
  const path = queryAt === -1 ? target : target.slice(0, queryAt);
  const query = queryAt === -1 ? undefined : target.slice(queryAt + 1);
  const own = path.startsWith(`${BASE}/`) ? path.slice(BASE.length) : path;
  if (own.startsWith(V3)) return limited(current(own, query, isVerbatim), maxForwardBytes);
  if (OLD.test(own)) return limited(query === undefined ? old(own, isVerbatim) : MALFORMED, maxForwardBytes);
  return own === path ? { kind: 'path', path } : UNKNOWN_PATH;
}

/** What of a target that was kept may go on today: it may be of another version, or with another setting. Undefined where nothing may. */
export function admitted(target: string, options: RouteOptions): string | undefined {
  const found = route(target, options);
  return found.kind === 'event' ? found.target : undefined;
}

function limited(found: Route, maxForwardBytes: number): Route {
  return found.kind === 'event' && found.target.length > maxForwardBytes ? { kind: 'refused', why: 'too_long' } : found;
}

function current(path: string, query: string | undefined, isVerbatim: boolean): Route {
  const type = path.slice(V3.length);
  if (!NAME_PATTERN.test(type)) return UNKNOWN_PATH;
  if (isVerbatim) return asItCame(path, query);
  const fields = DECLARED.get(type);
  if (fields === undefined) return UNKNOWN_EVENT;
  const sifted = filterFields(fields, query ?? '');
  return { kind: 'event', target: sifted.query === '' ? path : `${path}?${sifted.query}`, dropped: sifted.dropped };
}

/** The one byte that a URL would encode on its way, in a query: no event could go on as it came. Python encodes it. */
function asItCame(path: string, query: string | undefined): Route {
  if (query?.includes("'") === true) return MALFORMED;
  return { kind: 'event', target: query === undefined ? path : `${path}?${query}`, dropped: NOTHING };
}

/** Older versions of Cosmos, which put their values into the path: all of them are known, or none of it goes on. */
function old(path: string, isVerbatim: boolean): Route {
  const [, wire, ...segments] = path.split('/');
  if (segments.length !== OLD_FIELDS.length - (wire === 'v1' ? 1 : 0)) return UNKNOWN_PATH;
  if (!segments.every((segment) => OLD_SEGMENT.test(segment) && !DOTS.test(segment))) return MALFORMED;
  const type = segments[TYPE_AT] ?? '';
  if (!NAME_PATTERN.test(type)) return MALFORMED;
  if (!isVerbatim) {
    const fields = DECLARED.get(type);
    if (fields === undefined) return UNKNOWN_EVENT;
    const isKnown = segments.every((segment, index) => {
      const field = fields.get(OLD_FIELDS[index] ?? '');
      return index === TYPE_AT || (field !== undefined && holds(field, unquote(unquote(segment))));
    });
    if (!isKnown) return MALFORMED;
  }
  return { kind: 'event', target: path, dropped: NOTHING };
}

/** Whether it is made of the bytes that a target may have, and its percent-encoding of UTF-8. */
function isSound(target: string): boolean {
  if (!TARGET.test(target)) return false;
  if (!target.includes('%')) return true;
  try {
    decodeURIComponent(target);
    return true;
  } catch {
    return false;
  }
}
