import { COSMOS_ENDPOINT, NAME_PATTERN } from '../constants.js';
import { DECLARED, holds, sift, unquote } from './declared-fields.js';
import type { DroppedField } from './declared-fields.js';

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
  'cosmos_version', 'airflow_version', 'python_version', 'platform_system', 'platform_machine', 'event_type',
  'status', 'dag_hash', 'task_count', 'cosmos_task_count', 'execution_modes',
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
  const sifted = sift(fields, query ?? '');
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
