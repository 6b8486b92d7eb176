import { codeSpan } from '../markdown.js';
import { pythonFloat, pythonStr } from '../wire/python-values.js';
import { quotePlus } from '../wire/query-string.js';
import type { Field, FieldKind, MetricValue } from './fields.js';

/** What people are told of a kind: what it is with its bounds, and a value for fields that declare no example. */
type KindWords = readonly [bounds: string, example: MetricValue];

/** Every kind but `oneOf`, which is its list of words. The bounds are those of `fields.ts`. */
const KINDS: Readonly<Record<Exclude<FieldKind, 'oneOf'>, KindWords>> = {
  boolean: ['`True` or `False`', true],
  count: ['a whole number from 0 to 2^53', 3],
  duration: ['a number of seconds, 0 or more', 1.5],
  identifier: ['a name from program code, 1 to 128 characters', 'SomeName'],
  identifierSet: ['names from program code joined by two underscores, 0 to 256 characters', 'one__two'],
  command: ['words of a command line, 1 to 128 characters', 'run'],
  version: ['a version, 1 to 64 characters', '1.4.0'],
  hash: ['a digest or another opaque id, 8 to 128 characters', '06e5b98c2db46f8a72cc4f66410e9b3b'],
};

/** What a field may hold, kind and bounds, in words for people; Markdown. */
export function fieldBounds({ kind, values = [], nullable, optional }: Field): string {
  const what = kind === 'oneOf' ? oneOfWords(values) : KINDS[kind][0];
  return `${what}${nullable ? ', or `None`' : ''}${optional ? '; may be missing' : ''}`;
}

/** A value that people may meet in a field: the declared example, else one of its kind. The same at every call. */
export function fieldExample({ kind, values = [], example }: Field): MetricValue {
  if (example !== undefined) return example;
  return kind === 'oneOf' ? (values[0] ?? null) : KINDS[kind][1];
}

/** A value of a field as it stands in the query of a request: Python's `str`, percent-encoded. */
export function fieldOnWire({ kind }: Field, value: MetricValue): string {
  return quotePlus(kind === 'duration' && typeof value === 'number' ? pythonFloat(value) : pythonStr(value));
}

function oneOfWords(values: readonly string[]): string {
  const words = values.map((value) => (value === '' ? 'nothing' : codeSpan(value)));
  return words.length === 1 ? `always ${words.join('')}` : `one of ${words.join(', ')}`;
}
