import { describe } from '../base/describe.js';
import type { MetricValue } from '../wire/python.js';

/** The closed list of what a field may hold. There is no kind for free text, and there will be none. */
export type FieldKind = 'oneOf' | 'boolean' | 'count' | 'duration' | 'identifier' | 'identifierSet' | 'command' | 'version' | 'hash';

/** Why a field exists, for the person observed. All of it goes into the privacy notice. */
export interface FieldNote<T extends MetricValue = never> {
  /** What the field says, as a sentence for people. */
  description: string;
  /** Why it is collected: the decision that it serves. */
  reason: string;
  /** A value as people meet it. @default one of the kind's own, which says little for an identifier */
  example?: T;
}

declare const valueType: unique symbol;

/**
 * One declared field: its type at compile time (`T`), its check at run time, its encoding (by `kind`), its place in the
 * privacy notice. Made by the functions of this file only.
 */
export interface Field<T extends MetricValue = MetricValue, Optional extends boolean = boolean> extends Readonly<FieldNote<T>> {
  readonly kind: FieldKind;
  readonly nullable: boolean;
  readonly optional: Optional;
  /** The allowed values of a `oneOf`. */
  readonly values?: readonly string[];
  /** Whether a value is of this kind and within its bounds. Never throws and never runs code of the value. */
  accepts(this: void, value: unknown): boolean;
  readonly [valueType]?: T;
}

/**
 * The longest text that any kind can accept, in UTF-16 units: 128 characters that each take two. What is longer is not even
 * kept in memory.
 */
export const MAX_TEXT_LENGTH = 256;

const IDENTIFIER = /^[\p{L}_][\p{L}\p{N}_.:-]{0,127}$/u;
const IDENTIFIER_SET = /^(?:[\p{L}_][\p{L}\p{N}_.:-]{0,255})?$/u;
const COMMAND = /^[A-Za-z0-9_-]+(?: [A-Za-z0-9_-]+)*$/;
const VERSION = /^[0-9A-Za-z][0-9A-Za-z.+!_-]{0,63}$/;
const HASH = /^[A-Za-z0-9_-]{8,128}$/;
const MAX_COMMAND_LENGTH = 128;
const MAX_COUNT = 2 ** 53;

function field<T extends MetricValue>(
  kind: FieldKind,
  note: FieldNote<T>,
  accepts: (value: unknown) => boolean,
  values?: readonly string[],
): Field<T, false> {
  for (const part of ['description', 'reason'] as const) {
    if (!saysSomething(note?.[part])) {
      throw new TypeError(`Expected \`${part}\` of a ${kind} field to say something, got ${describe(note?.[part])}.`);
    }
  }
  const { description, reason, example } = note;
  const shown = example !== undefined && { example };
  return { kind, description, reason, nullable: false, optional: false, accepts, ...shown, ...(values && { values }) };
}

/** One of a closed list of words. */
export function oneOf<const V extends string>(values: readonly V[], note: FieldNote<NoInfer<V>>): Field<V, false> {
  if (!Array.isArray(values) || values.length === 0 || !values.every(isText)) {
    throw new TypeError(
      `Expected \`values\` of a oneOf field to be a list of words of at most ${MAX_TEXT_LENGTH} characters, got ${describe(values)}.`,
    );
  }
  const allowed: ReadonlySet<unknown> = new Set(values);
  return field<V>('oneOf', note, (value) => allowed.has(value), [...values]);
}

/** `true` or `false`; `True` and `False` on the wire. */
export function boolean(note: FieldNote<boolean>): Field<boolean, false> {
  return field('boolean', note, (value) => typeof value === 'boolean');
}

/** A whole number from 0 to 2^53. */
export function count(note: FieldNote<number>): Field<number, false> {
  return field('count', note, (value) => Number.isInteger(value) && (value as number) >= 0 && (value as number) <= MAX_COUNT);
}

/** A time in seconds, finite and not negative; always a float on the wire, so that 7 leaves as `7.0`. */
export function duration(note: FieldNote<number>): Field<number, false> {
  return field('duration', note, (value) => Number.isFinite(value) && (value as number) >= 0);
}

/** A name in code (a class, a module part), 1 to 128 characters: letters, digits and `_ . : -`. */
export function identifier(note: FieldNote<string>): Field<string, false> {
  return field('identifier', note, (value) => isText(value) && IDENTIFIER.test(value));
}

/** Several identifiers joined by `__`, at most 256 characters; empty where there are none. */
export function identifierSet(note: FieldNote<string>): Field<string, false> {
  return field('identifierSet', note, (value) => isText(value) && IDENTIFIER_SET.test(value));
}

/** Words of a command line, at most 128 characters: letters, digits, `_`, `-`, single spaces. No values, no paths. */
export function command(note: FieldNote<string>): Field<string, false> {
  return field('command', note, (value) => isText(value) && value.length <= MAX_COMMAND_LENGTH && COMMAND.test(value));
}

/** A version number, at most 64 characters. */
export function version(note: FieldNote<string>): Field<string, false> {
  return field('version', note, isVersion);
}

/** A digest or another opaque id, 8 to 128 characters. Pseudonymous where its source can be guessed. */
export function hash(note: FieldNote<string>): Field<string, false> {
  return field('hash', note, isHash);
}

/** The same field, which may also be null (`None` on the wire). */
export function nullable<T extends MetricValue, O extends boolean>(inner: Field<T, O>): Field<T | null, O> {
  const { accepts } = inner;
  return { ...inner, nullable: true, accepts: (value) => value === null || accepts(value) };
}

/** The same field, which may also be left out. */
export function optional<T extends MetricValue>(inner: Field<T>): Field<T, true> {
  return { ...inner, optional: true };
}

/** Whether a value is a field that says what it is and why it is collected. */
export function isField(value: unknown): value is Field {
  if (typeof value !== 'object' || value === null) return false;
  const { accepts, kind, description, reason } = value as Partial<Record<keyof Field, unknown>>;
  return typeof accepts === 'function' && typeof kind === 'string' && saysSomething(description) && saysSomething(reason);
}

/** Whether a value is a text for people. */
export function saysSomething(value: unknown): value is string {
  return typeof value === 'string' && value.trim() !== '';
}

/** Whether a value can be a `version`. */
export function isVersion(value: unknown): value is string {
  return isText(value) && VERSION.test(value);
}

/** Whether a value can be a `hash`. */
export function isHash(value: unknown): value is string {
  return isText(value) && HASH.test(value);
}

/** The length is asked first, so that no pattern ever runs over a host's megabyte of text. */
function isText(value: unknown): value is string {
  return typeof value === 'string' && value.length <= MAX_TEXT_LENGTH;
}
