// Fields in words, and the section of the notice that lists them.
import { given } from '../base/foreign-values.js';
import { WIRE_VERSION } from '../base/constants.js';
import type { Fields } from '../events/definition.js';
import type { DeclaredEvent } from '../events/product-events.js';
import type { Field, FieldKind } from '../events/fields.js';
import { pythonFloat, pythonStr, quotePlus } from '../wire/python.js';
import type { MetricValue } from '../wire/python.js';
import { bullets, codeSpan, prose, table } from './markdown.js';

/** A kind in words with its bounds, and the example of fields that declare none. */
type KindWords = readonly [bounds: string, example: MetricValue];

/** Every kind but `oneOf`, whose words are its list of values. The bounds are those of `events/fields.ts`. */
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

/** The kind and the bounds of a field in words; Markdown. */
export function fieldBounds({ kind, values = [], nullable, optional }: Field): string {
  const what = kind === 'oneOf' ? oneOfWords(values) : values.length > 0 ? wordSetWords(values) : KINDS[kind][0];
  return `${what}${nullable ? ', or `None`' : ''}${optional ? '; may be missing' : ''}`;
}

/** An example value of a field: the declared one, or else one of its kind. Each call gives the same. */
export function fieldExample(field: Field): MetricValue {
  const { kind, values = [] } = field;
  const example = given(field, 'example');
  if (example !== undefined) return example;
  return kind === 'oneOf' ? (values[0] ?? null) : (values[0] ?? KINDS[kind][1]);
}

/** A value of a field as the query of a request holds it: Python's `str`, percent-encoded. */
export function fieldOnWire({ kind }: Field, value: MetricValue): string {
  return quotePlus(kind === 'duration' && typeof value === 'number' ? pythonFloat(value) : pythonStr(value));
}

function wordSetWords(values: readonly string[]): string {
  return `none or some of ${values.map((value) => codeSpan(value)).join(', ')}, joined by two underscores`;
}

function oneOfWords(values: readonly string[]): string {
  const words = values.map((value) => (value === '' ? 'nothing' : codeSpan(value)));
  return words.length === 1 ? `always ${words.join('')}` : `one of ${words.join(', ')}`;
}

/** The section "What is sent": every event, and every field in one table, with an example as it is sent. */
export function whatIsSent(everyEvent: Fields, events: readonly DeclaredEvent[]): string[] {
  const types = events.length === 1 ? 'There is one type of event' : `There are ${events.length} types of events`;
  const rows = [...fieldRows('every event', everyEvent), ...events.flatMap(eventRows)];
  return [
    '## What is sent',
    `${types}. Each event is one request, and its fields are in the requested URL. Values are written as they are sent; ` +
      `\`None\` is no value.${events
        .slice(0, 1)
        .map((event) => ` An example: ${completeRequest(everyEvent, event)}`)
        .join('')}`,
    bullets(['**Every event.** The program and what it runs on.', ...events.flatMap(eventWords)]),
    table(['Event', 'Field', 'Example', 'What it says', 'Why'], rows),
  ];
}

function eventWords({ type, fields, description, metadata }: DeclaredEvent): string[] {
  const isBare = Object.keys(fields).length === 0;
  const event = `**${codeSpan(type)}.** ${prose(description)}${isBare ? ' It has no fields of its own.' : ''}`;
  if (metadata === undefined) return [event];
  const words =
    'If the params of the DAG have packed metadata, these fields are added. Users who can start the DAG can edit its params, so ' +
    'everything else in the metadata is dropped.';
  return [event, `**${codeSpan(type)}, metadata.** ${words}`];
}

function eventRows({ type, fields, metadata = {} }: DeclaredEvent): string[][] {
  return [...fieldRows(codeSpan(type), fields), ...fieldRows(`${codeSpan(type)}, metadata`, metadata)];
}

function fieldRows(event: string, fields: Fields): string[][] {
  return Object.entries(fields).map(({ 0: name, 1: field }) => {
    const bounds = fieldBounds(field);
    const says = `${prose(field.description)} ${bounds.charAt(0).toUpperCase()}${bounds.slice(1)}.`;
    return [event, codeSpan(name), exampleOf(field), says, prose(field.reason)];
  });
}

function exampleOf(field: Field): string {
  const text = fieldOnWire(field, fieldExample(field));
  return text === '' ? 'empty' : codeSpan(text);
}

function completeRequest(everyEvent: Fields, event: DeclaredEvent): string {
  // The version of Node is sent only where there is no Python.
  const names = Object.entries({ ...everyEvent, ...event.fields }).filter(
    ({ 0: name }) => name !== 'node_version' || !('python_version' in everyEvent),
  );
  const pairs = names.map(({ 0: name, 1: field }) => `${name}=${fieldOnWire(field, fieldExample(field))}`);
  return codeSpan(`GET /${WIRE_VERSION}/${event.type}?${pairs.join('&')}`);
}
