/**
 * What a request asks for, by its target: an event with its declared fields, another path, or nothing that the relay answers. Pure
 * functions that never throw.
 */
import { COSMOS, COSMOS_ENDPOINT, NAME_PATTERN } from '../base/constants.js';
import type { Field } from '../events/fields.js';
import { standardEvents } from '../events/product-events.js';
import { standardFields } from '../events/standard-metrics.js';

/** The longest target that is read, in bytes: the limit of common servers. */
export const MAX_TARGET_BYTES = 8192;

/** How targets are parsed. */
export interface TargetOptions {
  /** Whether every query, and every event type that has the form of one, is forwarded unchanged. */
  readonly isVerbatim: boolean;
  /** The longest target that can be forwarded, in bytes. */
  readonly maxForwardBytes: number;
}

/** A field that is not forwarded. */
export interface DroppedField {
  /** As received: bytes of a URL. */
  readonly name: string;
  readonly why: 'undeclared' | 'ill_typed' | 'duplicate';
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
const V1_OR_V2 = /^\/v[12]\//;

const MALFORMED: ParsedTarget = { kind: 'refused', why: 'malformed' };
const UNKNOWN_PATH: ParsedTarget = { kind: 'refused', why: 'unknown_path' };
const UNKNOWN_EVENT: ParsedTarget = { kind: 'refused', why: 'unknown_event' };
const NONE_DROPPED: readonly DroppedField[] = [];

/** Parses the target of a request. */
export function parseTarget(target: string, { isVerbatim, maxForwardBytes }: TargetOptions): ParsedTarget {
  if (target.length > MAX_TARGET_BYTES) return { kind: 'refused', why: 'too_long' };
  if (!target.startsWith('/')) return ABSOLUTE.test(target) ? { kind: 'refused', why: 'absolute_form' } : MALFORMED;
  if (!isWellFormed(target)) return MALFORMED;
  const queryAt = target.indexOf('?');
  const path = queryAt === -1 ? target : target.slice(0, queryAt);
  const query = queryAt === -1 ? undefined : target.slice(queryAt + 1);
  const own = path.startsWith(`${BASE}/`) ? path.slice(BASE.length) : path;
  if (own.startsWith(V3)) return withinLimit(parseV3(own, query, isVerbatim), maxForwardBytes);
  if (V1_OR_V2.test(own)) return withinLimit(query === undefined ? parseV1OrV2(own, isVerbatim) : MALFORMED, maxForwardBytes);
  return own === path ? { kind: 'path', path } : UNKNOWN_PATH;
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

/** The path segments after the version, in their order. `/v1/` has all but the last. */
const PATH_FIELDS = [
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
] as const;
const TYPE_AT = PATH_FIELDS.indexOf('event_type');
const PATH_SEGMENT = /^[\w\-.~!$'()*+,:@%]{0,128}$/;

/** `.` and `..` in all their spellings (WHATWG URL): they would lead out of the endpoint's path. */
const DOT_SEGMENT = /^(?:\.|%2e){1,2}$/i;

/** Parses the path of Cosmos before 1.12, which holds the values. One bad value refuses the event: a path cannot lose a segment. */
function parseV1OrV2(path: string, isVerbatim: boolean): ParsedTarget {
  const [, version, ...segments] = path.split('/');
  if (segments.length !== PATH_FIELDS.length - (version === 'v1' ? 1 : 0)) return UNKNOWN_PATH;
  if (!segments.every((segment) => PATH_SEGMENT.test(segment) && !DOT_SEGMENT.test(segment))) return MALFORMED;
  const type = segments[TYPE_AT] ?? '';
  if (!NAME_PATTERN.test(type)) return MALFORMED;
  if (!isVerbatim) {
    const fields = DECLARED_FIELDS.get(type);
    if (fields === undefined) return UNKNOWN_EVENT;
    const isDeclared = segments.every((segment, index) => {
      const field = fields.get(PATH_FIELDS[index] ?? '');
      return index === TYPE_AT || (field !== undefined && acceptsText(field, unquote(unquote(segment))));
    });
    if (!isDeclared) return MALFORMED;
  }
  return { kind: 'event', target: path, dropped: NONE_DROPPED };
}

/** The host of Cosmos. */
const HOST = 'airflow';

/** Cosmos percent-encodes this field once more than the others. */
const ENCODED_TWICE = `${HOST}_version`;

/** What is said of one `name=value`. `why` is missing if it is valid. */
interface Verdict {
  /** Of its field in a set of fields: an event type has fewer than 32. 0 for an undeclared one. */
  readonly bit: number;
  readonly name: string;
  readonly why: Exclude<DroppedField['why'], 'duplicate'> | undefined;
}

/** How many verdicts an event type remembers. */
const MAX_VERDICTS = 1000;

/** The longest query of which verdicts are remembered, in bytes: its pairs keep all of it in memory. */
const MAX_REMEMBERED_QUERY = 1024;

/** The declared fields of an event type. Most pairs come again with the next event, so verdicts are remembered. */
class DeclaredFields {
  readonly #fields: ReadonlyMap<string, { readonly field: Field; readonly bit: number }>;
  readonly #verdicts = new Map<string, Verdict>();

  constructor(fields: Readonly<Record<string, Field>>) {
    this.#fields = new Map(Object.entries(fields).map(([name, field], index) => [name, { field, bit: 1 << index }]));
  }

  get(name: string): Field | undefined {
    return this.#fields.get(name)?.field;
  }

  judge(pair: string, isRemembered: boolean): Verdict {
    const known = this.#verdicts.get(pair);
    if (known !== undefined) return known;
    const equalsAt = pair.indexOf('=');
    // Names are compared without decoding: Cosmos writes a declared name in one spelling only.
    const name = equalsAt === -1 ? pair : pair.slice(0, equalsAt);
    const declared = this.#fields.get(name);
    const isValid = declared !== undefined && acceptsText(declared.field, decode(name, equalsAt === -1 ? '' : pair.slice(equalsAt + 1)));
    const verdict: Verdict = {
      bit: declared?.bit ?? 0,
      name,
      why: declared === undefined ? 'undeclared' : isValid ? undefined : 'ill_typed',
    };
    if (isRemembered) {
      if (this.#verdicts.size >= MAX_VERDICTS) this.#verdicts.clear();
      this.#verdicts.set(pair, verdict);
    }
    return verdict;
  }
}

/** The fields that `src/events/` declares for each event type of Cosmos, by name. */
const DECLARED_FIELDS: ReadonlyMap<string, DeclaredFields> = new Map(
  standardEvents(COSMOS).map(({ type, fields, metadata }) => [
    type,
    new DeclaredFields({ ...metadata, ...standardFields(COSMOS, HOST), ...fields }),
  ]),
);

/**
 * Keeps the declared fields with valid values, byte for byte and in their order. The first of several values of one field is kept.
 *
 * @param query Well-formed, without its question mark.
 */
function filterFields(declared: DeclaredFields, query: string): { query: string; dropped: readonly DroppedField[] } {
  if (query === '') return { query, dropped: NONE_DROPPED };
  const kept: string[] = [];
  const dropped: DroppedField[] = [];
  let seen = 0;
  for (const pair of query.split('&')) {
    const { name, why, bit } = declared.judge(pair, query.length <= MAX_REMEMBERED_QUERY);
    if ((seen & bit) !== 0) dropped.push({ name, why: 'duplicate' });
    else if (why !== undefined) dropped.push({ name, why });
    else {
      seen |= bit;
      kept.push(pair);
    }
  }
  return dropped.length === 0 ? { query, dropped } : { query: kept.join('&'), dropped };
}

/** Python's `str(None)`: there is no value. Every field accepts it. */
const NONE = 'None';

const INTEGER = /^\d{1,16}$/;
const FLOAT = /^\d{1,40}(?:\.\d{1,40})?(?:e[+-]?\d{1,3})?$/;

/** Whether a text is Python's `str()` of a valid value of the field. */
function acceptsText(field: Field, text: string): boolean {
  if (text === NONE) return true;
  switch (field.kind) {
    case 'boolean':
      return text === 'True' || text === 'False';
    case 'count':
      return INTEGER.test(text) && field.accepts(Number(text));
    case 'duration':
      return FLOAT.test(text) && field.accepts(Number(text));
    case 'oneOf':
      // Platforms differ in case (`darwin`, `Darwin`). The list of values stays closed.
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
  return name === ENCODED_TWICE ? unquote(text) : text;
}

/** Text that cannot be decoded is returned as it is; no field accepts it, since no kind of field allows a percent sign. */
function unquote(text: string): string {
  if (!text.includes('%')) return text;
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
