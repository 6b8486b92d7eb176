/**
 * What a request asks for, by its target: an event with its declared fields, another path, or nothing that the relay answers. Pure
 * functions that never throw.
 */
import { COSMOS_ENDPOINT, NAME_PATTERN } from '../base/constants.js';
import { DECLARED_FIELDS, filterFields, NONE_DROPPED } from './declared-fields.js';
import type { DroppedField } from './declared-fields.js';
import { isOfDagFactory, parsePath } from './path-forms.js';

/** The longest target that is read, in bytes: the limit of common servers. */
export const MAX_TARGET_BYTES = 8192;

/** How targets are parsed. */
export interface TargetOptions {
  /** Whether every query, and every event type that has the form of one, is forwarded unchanged. */
  readonly isVerbatim: boolean;
  /** The longest target that can be forwarded, in bytes. */
  readonly maxForwardBytes: number;
  /** The same for the events of DAG Factory, which have an endpoint of their own. @default none: they are unknown paths */
  readonly maxDagFactoryBytes?: number | undefined;
  /** Whether events are forwarded as lines of NDJSON. @default as targets */
  readonly forwardsLines?: boolean | undefined;
}

/** A usage event: the target to forward, below the endpoint, and the fields it lost. */
export interface EventTarget {
  readonly kind: 'event';
  readonly target: string;
  readonly dropped: readonly DroppedField[];
}

/** What a target asks for. `why` is the name of an answer. */
export type ParsedTarget =
  | EventTarget
  | { readonly kind: 'path'; readonly path: string }
  | { readonly kind: 'refused'; readonly why: 'malformed' | 'absolute_form' | 'unknown_path' | 'unknown_event' | 'too_long' };

/** The path of Cosmos' own endpoint, which a client may leave out. */
const BASE = new URL(COSMOS_ENDPOINT).pathname;

/** The bytes of a target (RFC 3986). All others must be percent-encoded. */
const TARGET = /^[\w\-.~!$&'()*+,;=:@/?%]*$/;
const ABSOLUTE = /^[a-z][a-z\d+.-]*:/i;
const V3 = '/v3/';

const MALFORMED: ParsedTarget = { kind: 'refused', why: 'malformed' };
const UNKNOWN_PATH: ParsedTarget = { kind: 'refused', why: 'unknown_path' };
const UNKNOWN_EVENT: ParsedTarget = { kind: 'refused', why: 'unknown_event' };

/** Parses the target of a request. */
export function parseTarget(target: string, { isVerbatim, maxForwardBytes, maxDagFactoryBytes }: TargetOptions): ParsedTarget {
  if (target.length > MAX_TARGET_BYTES) return { kind: 'refused', why: 'too_long' };
  if (!target.startsWith('/')) return ABSOLUTE.test(target) ? { kind: 'refused', why: 'absolute_form' } : MALFORMED;
  if (!isWellFormed(target)) return MALFORMED;
  const queryAt = target.indexOf('?');
  const path = queryAt === -1 ? target : target.slice(0, queryAt);
  const query = queryAt === -1 ? undefined : target.slice(queryAt + 1);
  const own = path.startsWith(`${BASE}/`) ? path.slice(BASE.length) : path;
  if (own.startsWith(V3)) return withinLimit(parseV3(own, query, isVerbatim), maxForwardBytes);
  const ofPath = parsePath(own, isVerbatim);
  if (ofPath !== undefined) {
    const maxBytes = isOfDagFactory(own) ? maxDagFactoryBytes : maxForwardBytes;
    if (maxBytes === undefined) return UNKNOWN_PATH;
    if (query !== undefined) return MALFORMED;
    return withinLimit(
      ofPath === 'event' ? { kind: 'event', target: own, dropped: NONE_DROPPED } : { kind: 'refused', why: ofPath },
      maxBytes,
    );
  }
  return own === path ? { kind: 'path', path } : UNKNOWN_PATH;
}

/** Where batches are sent to. */
const BATCHES = `${V3}events`;

/** Whether a target is the one that takes batches. */
export function isBatchTarget(target: string): boolean {
  return target === BATCHES || target === BASE + BATCHES;
}

/**
 * Parses a target that an earlier process stored, maybe with another version or other options.
 *
 * @returns What may be forwarded today; undefined if nothing may.
 */
export function readmitTarget(target: string, options: TargetOptions): string | undefined {
  const parsed = parseTarget(target, options);
  return parsed.kind === 'event' ? parsed.target : undefined;
}

/** Whether a target has no bytes but those of a URL, and its percent-encoding is UTF-8. */
function isWellFormed(target: string): boolean {
  if (!TARGET.test(target)) return false;
  if (!target.includes('%')) return true;
  try {
    decodeURIComponent(target);
    return true;
  } catch {
    return false;
  }
}

function withinLimit(parsed: ParsedTarget, maxForwardBytes: number): ParsedTarget {
  return parsed.kind === 'event' && parsed.target.length > maxForwardBytes ? { kind: 'refused', why: 'too_long' } : parsed;
}

function parseV3(path: string, query: string | undefined, isVerbatim: boolean): ParsedTarget {
  const type = path.slice(V3.length);
  if (!NAME_PATTERN.test(type)) return UNKNOWN_PATH;
  if (isVerbatim) return unchanged(path, query);
  const fields = DECLARED_FIELDS.get(type);
  if (fields === undefined) return UNKNOWN_EVENT;
  const filtered = filterFields(fields, query ?? '');
  return { kind: 'event', target: filtered.query === '' ? path : `${path}?${filtered.query}`, dropped: filtered.dropped };
}

/** Refuses a bare `'` in the query: a URL would percent-encode it, so the event could not be forwarded unchanged. Python encodes it. */
function unchanged(path: string, query: string | undefined): ParsedTarget {
  if (query?.includes("'") === true) return MALFORMED;
  return { kind: 'event', target: query === undefined ? path : `${path}?${query}`, dropped: NONE_DROPPED };
}
