// The kinds of fields. Each kind checks its values, so that a field can hold no free text.
import { describe } from '../base/describe.js';
import { given } from '../base/foreign-values.js';
import type { MetricValue } from '../wire/python.js';

/**
 * What a field may hold. The list is closed: there is no kind for free text, and there will be none.
 *
 * @example
 * const kind: FieldKind = count({ description: 'How many days it covered.', reason: 'To know which sizes must stay fast.' }).kind;
 * console.log(kind); // count
 */
export type FieldKind = 'oneOf' | 'boolean' | 'count' | 'duration' | 'identifier' | 'identifierSet' | 'command' | 'version' | 'hash';

/**
 * What a field says and why it exists. The privacy notice shows all of it.
 *
 * @example
 * const note: FieldNote<number> = { description: 'How many days.', reason: 'To know which sizes must stay fast.', example: 30 };
 */
export interface FieldNote<T extends MetricValue = never> {
  /** What the field says, as a sentence for the privacy notice. */
  description: string;
  /** Why it is collected: the decision that it serves. @example 'To know which databases need a better mapping.' */
  reason: string;
  /** A typical value. @default a value of the kind, which says little for an identifier */
  example?: T | undefined;
}

declare const valueType: unique symbol;

/**
 * One declared field: its type at compile time (`T`), its check at run time, its encoding (by `kind`) and its text in the privacy
 * notice. Only the functions of this file make fields.
 *
 * @example
 * const days: Field<number, false> = count({ description: 'How many days.', reason: 'To know which sizes must stay fast.' });
 * console.log(days.accepts(30), days.accepts(-1)); // true false
 */
export interface Field<T extends MetricValue = MetricValue, Optional extends boolean = boolean> extends Readonly<FieldNote<T>> {
  /** What it may hold. */
  readonly kind: FieldKind;
  /** Whether null is a value. */
  readonly nullable: boolean;
  /** Whether it may be omitted. */
  readonly optional: Optional;
  /** The allowed values of a `oneOf`, or the words of a closed `identifierSet`. */
  readonly values?: readonly string[];
  /** Whether a value is of this kind and within its bounds. It never throws and never runs code of the value. */
  accepts(this: void, value: unknown): boolean;
  readonly [valueType]?: T;
}

/**
 * The longest text that any kind can accept, in UTF-16 units: 128 characters of two units each. A longer text is not kept in
 * memory.
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
    const text: unknown = isObject(note) ? given(note, part) : undefined;
    if (!saysSomething(text)) {
      throw new TypeError(`Expected \`${part}\` of a field of kind ${kind} to say something, got ${describe(text)}.`);
    }
  }
  const { description, reason } = note;
  const example = given(note, 'example');
  const shown = example !== undefined && { example };
  return { kind, description, reason, nullable: false, optional: false, accepts, ...shown, ...(values && { values }) };
}

function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null;
}

/**
 * One word of a closed list.
 *
 * @param values The words, at least one.
 * @param note What the field says, and why it is collected.
 * @throws TypeError for a list that is empty or has something else than words of at most 256 characters, or an empty description or reason.
 * @example
 * const layer = oneOf(['staging', 'marts'], { description: 'Which layer was built.', reason: 'To know which layer must stay fast.' });
 * console.log(layer.accepts('marts'), layer.accepts('orders')); // true false
 */
export function oneOf<const V extends string>(values: readonly V[], note: FieldNote<NoInfer<V>>): Field<V, false> {
  if (!Array.isArray(values) || values.length === 0 || !values.every(isText)) {
    throw new TypeError(
      `Expected \`values\` of a oneOf field to be a list of words of at most ${MAX_TEXT_LENGTH} characters, got ${describe(values)}.`,
    );
  }
  const allowed: ReadonlySet<unknown> = new Set(values);
  return field<V>('oneOf', note, (value) => allowed.has(value), [...values]);
}

/**
 * `true` or `false`, sent as `True` or `False`.
 *
 * @param note What the field says, and why it is collected.
 * @throws TypeError for an empty description or reason.
 * @example
 * const cached = boolean({ description: 'Whether the cache was used.', reason: 'To know whether the cache is worth its code.' });
 * console.log(cached.accepts(true), cached.accepts('yes')); // true false
 */
export function boolean(note: FieldNote<boolean>): Field<boolean, false> {
  return field('boolean', note, (value) => typeof value === 'boolean');
}

/**
 * A whole number from 0 to 2^53.
 *
 * @param note What the field says, and why it is collected.
 * @throws TypeError for an empty description or reason.
 * @example
 * const days = count({ description: 'How many days it covered.', reason: 'To know which sizes must stay fast.' });
 * console.log(days.accepts(30), days.accepts(0.5)); // true false
 */
export function count(note: FieldNote<number>): Field<number, false> {
  return field('count', note, (value) => Number.isInteger(value) && (value as number) >= 0 && (value as number) <= MAX_COUNT);
}

/**
 * A time in seconds, finite and not negative. It is always sent as a float: 7 as `7.0`.
 *
 * @param note What the field says, and why it is collected.
 * @throws TypeError for an empty description or reason.
 * @example
 * const took = duration({ description: 'How long it took.', reason: 'To know which steps are slow.' });
 * console.log(took.accepts(0.5), took.accepts(-1)); // true false
 */
export function duration(note: FieldNote<number>): Field<number, false> {
  return field('duration', note, (value) => Number.isFinite(value) && (value as number) >= 0);
}

/**
 * A name from code, such as a class or a part of a module, of 1 to 128 characters: letters, digits and `_ . : -`.
 *
 * @param note What the field says, and why it is collected.
 * @throws TypeError for an empty description or reason.
 * @example
 * const operator = identifier({ description: 'The class of the operator.', reason: 'To know which operators are used.' });
 * console.log(operator.accepts('AcmeRun'), operator.accepts('SELECT 1')); // true false
 */
export function identifier(note: FieldNote<string>): Field<string, false> {
  return field('identifier', note, (value) => isText(value) && IDENTIFIER.test(value));
}

/**
 * Identifiers joined by `__`, at most 256 characters. It may be empty.
 *
 * @param note What the field says, and why it is collected.
 * @throws TypeError for an empty description or reason.
 * @example
 * const modes = identifierSet({ description: 'How tasks ran.', reason: 'To know which modes are used.' });
 * console.log(modes.accepts('container__local'), modes.accepts('a b')); // true false
 */
export function identifierSet(note: FieldNote<string>): Field<string, false> {
  return field('identifierSet', note, (value) => isText(value) && IDENTIFIER_SET.test(value));
}

/**
 * Words of a closed list joined by `__`, each at most once. It may be empty.
 *
 * @param words Identifiers without `__`.
 */
export function wordSet(words: readonly string[], note: FieldNote<string>): Field<string, false> {
  const allowed: ReadonlySet<string> = new Set(words);
  const accepts = (value: unknown) => {
    if (!isText(value)) return false;
    const parts = value === '' ? [] : value.split('__');
    return parts.every((part) => allowed.has(part)) && new Set(parts).size === parts.length;
  };
  return field('identifierSet', note, accepts, [...words]);
}

/**
 * Words of a command line, at most 128 characters: letters, digits, `_`, `-` and single spaces; no values and no paths.
 *
 * @param note What the field says, and why it is collected.
 * @throws TypeError for an empty description or reason.
 * @example
 * const dbtCommand = command({ description: 'The command.', reason: 'To know which commands are used.' });
 * console.log(dbtCommand.accepts('run --full-refresh'), dbtCommand.accepts('run --vars {}')); // true false
 */
export function command(note: FieldNote<string>): Field<string, false> {
  return field('command', note, (value) => isText(value) && value.length <= MAX_COMMAND_LENGTH && COMMAND.test(value));
}

/**
 * A version number, at most 64 characters.
 *
 * @param note What the field says, and why it is collected.
 * @throws TypeError for an empty description or reason.
 * @example
 * const dbtVersion = version({ description: 'The version of dbt.', reason: 'To test against the versions that are in use.' });
 * console.log(dbtVersion.accepts('1.9.0rc1'), dbtVersion.accepts('latest of today')); // true false
 */
export function version(note: FieldNote<string>): Field<string, false> {
  return field('version', note, isVersion);
}

/**
 * A digest or another opaque id, 8 to 128 characters. It is only pseudonymous if its source can be guessed.
 *
 * @param note What the field says, and why it is collected.
 * @throws TypeError for an empty description or reason.
 * @example
 * const project = hash({ description: 'A digest of the project.', reason: 'To count projects.' });
 * console.log(project.accepts('d41d8cd98f00b204'), project.accepts('acme')); // true false
 */
export function hash(note: FieldNote<string>): Field<string, false> {
  return field('hash', note, isHash);
}

/**
 * The same field, but its value may be null, sent as `None`. It never throws for a field.
 *
 * @param inner A field, which stays as it is.
 * @example
 * const took = nullable(duration({ description: 'How long it took.', reason: 'To know which steps are slow.' }));
 * console.log(took.accepts(null)); // true
 */
export function nullable<T extends MetricValue, O extends boolean>(inner: Field<T, O>): Field<T | null, O> {
  const { accepts } = inner;
  return { ...inner, nullable: true, accepts: (value) => value === null || accepts(value) };
}

/**
 * The same field, but it may be omitted. It never throws for a field.
 *
 * @param inner A field, which stays as it is.
 * @example
 * const took = optional(duration({ description: 'How long it took.', reason: 'To know which steps are slow.' }));
 * const BACKFILL = defineEvent('backfill', { took });
 * const metrics: MetricsOf<typeof BACKFILL.fields> = {};
 */
export function optional<T extends MetricValue>(inner: Field<T>): Field<T, true> {
  return { ...inner, optional: true };
}

/** Whether a value is a field with a description and a reason. */
export function isField(value: unknown): value is Field {
  if (typeof value !== 'object' || value === null) return false;
  try {
    const { accepts, kind, description, reason } = value as Partial<Record<keyof Field, unknown>>;
    return typeof accepts === 'function' && typeof kind === 'string' && saysSomething(description) && saysSomething(reason);
  } catch {
    return false;
  }
}

/** Whether a value is a text that is not blank. */
export function saysSomething(value: unknown): value is string {
  return typeof value === 'string' && value.trim() !== '';
}

/** Whether a `version` field accepts a value. */
export function isVersion(value: unknown): value is string {
  return isText(value) && VERSION.test(value);
}

/** Whether a `hash` field accepts a value. */
export function isHash(value: unknown): value is string {
  return isText(value) && HASH.test(value);
}

/** The limit keeps patterns from running over megabytes of a host's text. */
function isText(value: unknown): value is string {
  return typeof value === 'string' && value.length <= MAX_TEXT_LENGTH;
}
