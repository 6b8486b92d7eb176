/**
 * Events as lines of NDJSON: what of a line may be forwarded, a line as the target of a GET, and the reverse. The store keeps either form
 * as its text: a target begins with `/`, and a line with `{`, so that an event keeps its id, its time and the kinds of its numbers.
 */
import { NAME_PATTERN } from '../base/constants.js';
import type { Field } from '../events/fields.js';
import { HASH_LETTER, isUuid, ndjsonLine, readNdjsonLine } from '../wire/ndjson.js';
import type { NdjsonProblem, ReadNdjsonEvent } from '../wire/ndjson.js';
import { pythonFloat, pythonStr, quote, quotePlus } from '../wire/python.js';
import { acceptsText, decode, DECLARED_FIELDS, ENCODED_TWICE, NONE, NONE_DROPPED, unquote } from './declared-fields.js';
import type { DeclaredFields, DroppedField } from './declared-fields.js';
import { isOfDagFactory, segmentsOf } from './path-forms.js';
import { readmitTarget } from './request-target.js';
import type { TargetOptions } from './request-target.js';

/** The longest line that is kept, in bytes. */
export const MAX_LINE_BYTES = 16_384;

type Value = string | number | boolean;

/** A line that may be forwarded, or why it may not. */
export type AdmittedLine =
  | { readonly id: string; readonly line: string; readonly dropped: readonly DroppedField[] }
  | { readonly id: string | undefined; readonly status: 400 | 404 | 413; readonly reason: NdjsonProblem | 'unknown_event' | 'too_large' };

/** Whether the text of a store is a line, and not a target. */
export function isLine(text: string): boolean {
  return text.startsWith('{');
}

/** Reads a line as a client sends it: only what is declared stays, unless the relay is verbatim. */
export function admitLine(received: string, options: TargetOptions): AdmittedLine {
  const reading = readNdjsonLine(received);
  if ('problem' in reading) return { id: idOf(received), status: 400, reason: reading.problem };
  const { event } = reading;
  const { id } = event;
  const fields = DECLARED_FIELDS.get(event.type);
  if (fields === undefined && !options.isVerbatim) return { id, status: 404, reason: 'unknown_event' };
  const { metrics, dropped, isChanged } = options.isVerbatim || fields === undefined ? unchanged(event) : filter(event, fields);
  // The letter that begins a hash is there already.
  const kindOf = (name: string) => (typeof metrics[name] === 'string' ? 'text' : kindIn(fields, name));
  // JSON allows space around an object. The store knows a line by its first character.
  const line = isChanged ? ndjsonLine({ ...event, metrics, kindOf }) : received.trim();
  return isTooLong(line, options) ? { id, status: 413, reason: 'too_large' } : { id, line, dropped };
}

/**
 * Parses the text of an event that an earlier process stored, maybe with another version or other options.
 *
 * @returns What may be forwarded today; undefined if nothing may.
 */
export function readmit(text: string, options: TargetOptions): string | undefined {
  if (!isLine(text)) return readmitTarget(text, options);
  const admitted = admitLine(text, options);
  return 'line' in admitted ? admitted.line : undefined;
}

/** The id in the text of an event; undefined for a target, which has none. */
export function idIn(text: string): string | undefined {
  if (!isLine(text)) return undefined;
  // As this package writes it.
  const id = text.startsWith(ID_FIRST) ? text.slice(ID_FIRST.length, ID_FIRST.length + ID_LENGTH) : '';
  return isUuid(id) ? id : idOf(text);
}

/** The target of the GET that says the same as a line that was admitted. */
export function targetOfLine(line: string): string {
  const reading = readNdjsonLine(line);
  if ('problem' in reading) return '/';
  const { type, metrics } = reading.event;
  const fields = DECLARED_FIELDS.get(type);
  let query = '';
  const add = (name: string, text: string) => (query += `${query === '' ? '' : '&'}${name}=${quotePlus(text)}`);
  for (const { 0: name, 1: value } of Object.entries(metrics)) add(name, pythonText(name, value, fields?.get(name), reading.event));
  // A line leaves out what has no value. Cosmos writes it.
  for (const name of fields?.nullable ?? []) if (!Object.hasOwn(metrics, name)) add(name, NONE);
  return `/v3/${type}${query === '' ? '' : `?${query}`}`;
}

/** An event that came by GET as a line. @param fields Fields that a line cannot have are added to it. */
export function lineOfTarget(target: string, id: string, timeMs: number, dropped: DroppedField[] = []): string {
  const { type, pairs } = readTarget(target);
  const fields = DECLARED_FIELDS.get(type);
  const metrics: Record<string, Value> = {};
  for (const { 0: name, 1: text } of pairs) {
    // Names that are declared have this form. A verbatim relay takes others, too.
    if (!NAME_PATTERN.test(name) || Object.hasOwn(metrics, name)) dropped.push({ name, why: 'undeclared' });
    else if (text !== NONE) metrics[name] = valueOf(text, fields?.get(name));
  }
  return ndjsonLine({ id, timeMs, type, metrics, kindOf: (name) => kindIn(fields, name) });
}

/** Whether an event that came by GET is forwarded as a line where the endpoint takes lines. DAG Factory has an endpoint of its own. */
export function becomesLine(target: string): boolean {
  return !isLine(target) && !isOfDagFactory(target);
}

function unchanged({ metrics }: ReadNdjsonEvent) {
  return { metrics, dropped: NONE_DROPPED, isChanged: false };
}

/** Keeps the declared fields with valid values. A number becomes one of the declared kind, however it is written. */
function filter(event: ReadNdjsonEvent, fields: DeclaredFields) {
  const metrics: Record<string, Value> = {};
  const dropped: DroppedField[] = [];
  let isChanged = false;
  for (const { 0: name, 1: value } of Object.entries(event.metrics)) {
    const field = fields.get(name);
    if (field === undefined) dropped.push({ name, why: 'undeclared' });
    else if (!acceptsValue(field, value)) dropped.push({ name, why: 'ill_typed' });
    else {
      metrics[name] = value;
      if (typeof value === 'number' && event.kindOf(name) !== field.kind) isChanged = true;
    }
  }
  return { metrics, dropped, isChanged: isChanged || dropped.length > 0 };
}

function acceptsValue(field: Field, value: Value): boolean {
  if (typeof value !== 'string') return field.accepts(value);
  if (field.kind === 'hash') return value.startsWith(HASH_LETTER) && field.accepts(value.slice(HASH_LETTER.length));
  return field.kind !== 'count' && field.kind !== 'duration' && field.kind !== 'boolean' && acceptsText(field, value);
}

/** The declared kind of a field. */
function kindIn(fields: DeclaredFields | undefined, name: string): string | undefined {
  return fields?.get(name)?.kind;
}

function isTooLong(line: string, { forwardsLines, maxForwardBytes }: TargetOptions): boolean {
  if (Buffer.byteLength(line) > MAX_LINE_BYTES) return true;
  // Percent-encoding takes three bytes for one, at most.
  return forwardsLines !== true && 3 * Buffer.byteLength(line) > maxForwardBytes && targetOfLine(line).length > maxForwardBytes;
}

/** A value as Python's `str` writes it. */
function pythonText(name: string, value: Value, field: Field | undefined, event: ReadNdjsonEvent): string {
  if (typeof value === 'number') return event.kindOf(name) === 'duration' ? pythonFloat(value) : pythonStr(value);
  if (typeof value === 'boolean') return pythonStr(value);
  if (field?.kind === 'hash') return value.slice(HASH_LETTER.length);
  return name === ENCODED_TWICE ? quote(value) : value;
}

/** The type of the event of a target, and its values as texts. */
export function readTarget(target: string): { type: string; pairs: (readonly [name: string, text: string])[] } {
  const segments = segmentsOf(target);
  if (segments !== undefined) {
    const pairs = segments.map(({ 0: name, 1: segment }) => [name, unquote(unquote(segment))] as const);
    return { type: pairs.find(([name]) => name === 'event_type')?.[1] ?? '', pairs: pairs.filter(([name]) => name !== 'event_type') };
  }
  const queryAt = target.indexOf('?');
  const type = target.slice('/v3/'.length, queryAt === -1 ? undefined : queryAt);
  const query = queryAt === -1 ? [] : target.slice(queryAt + 1).split('&');
  const pairs = query.map((pair) => {
    const equalsAt = pair.indexOf('=');
    const name = equalsAt === -1 ? pair : pair.slice(0, equalsAt);
    return [name, equalsAt === -1 ? '' : decode(name, pair.slice(equalsAt + 1))] as const;
  });
  return { type, pairs };
}

/** The value of a text that was checked when it was received. */
function valueOf(text: string, field: Field | undefined): Value {
  if (field?.kind === 'boolean') return text === 'True';
  return field?.kind === 'count' || field?.kind === 'duration' ? Number(text) : text;
}

const ID_FIRST = '{"id":"';
const ID_LENGTH = 36;

/** The id of a line that may be wrong otherwise. */
function idOf(line: string): string | undefined {
  try {
    const read: unknown = JSON.parse(line);
    const id: unknown = Object.hasOwn(Object(read) as object, 'id') ? (read as { id: unknown }).id : undefined;
    return typeof id === 'string' && isUuid(id) ? id : undefined;
  } catch {
    return undefined;
  }
}
