// Fields in words, and the section of the notice that lists them.
import { given } from '../base/foreign-values.js';
import { WIRE_VERSION } from '../base/constants.js';
import type { EventDefinition, Fields } from '../events/definition.js';
import type { DeclaredEvent } from '../events/product-events.js';
import type { Field, FieldKind } from '../events/fields.js';
import { pythonFloat, pythonStr, quotePlus } from '../wire/python.js';
import type { MetricValue } from '../wire/python.js';
import { codeSpan, list, paragraph, prose } from './markdown.js';

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

/** The section "What is sent": every event and every field, with an example as it is sent. */
export function whatIsSent(product: string, standard: Fields, events: readonly DeclaredEvent[]): string[] {
  return [
    '## What is sent',
    paragraph(
      `There are ${events.length} types of events: ` +
        `${events.map(({ type }) => `[${codeSpan(type)}](#${type})`).join(', ')}. Each event is one request, and its fields are part ` +
        'of the requested URL. This is a complete request. It is sent as one line; the lines are broken here for reading:',
    ),
    ...events.slice(0, 1).map((event) => completeRequest(standard, event)),
    paragraph(
      'The values on this page are made up, and written as they are sent. Names from program code, words of a command line, ' +
        'versions and digests consist of letters, digits and a few signs (`_ . : + ! -`). They contain no slash and no at sign, and a ' +
        'space only between the words of a command. `None` means that there is no value.',
    ),
    '### With every event',
    paragraph('The program and what it runs on:'),
    fieldList(standard),
    ...events.flatMap((event) => eventSection(product, event)),
  ];
}

function eventSection(product: string, { type, fields, description, metadata }: DeclaredEvent): string[] {
  const own = Object.keys(fields).length === 0 ? 'It has no fields of its own.' : fieldList(fields);
  const section = [`### ${codeSpan(type)}`, paragraph(prose(description)), own];
  if (metadata === undefined) return section;
  return [
    ...section,
    paragraph(
      `If the params of the DAG contain packed metadata of ${product} about its dbt project, these fields are added. Users who can start ` +
        'the DAG can edit its params, so everything else in the metadata is dropped:',
    ),
    fieldList(metadata),
  ];
}

function fieldList(fields: Fields): string {
  return list(
    Object.entries(fields).map(({ 0: name, 1: field }) => [
      `**${codeSpan(name)}**, for example ${exampleOf(field)}: ${fieldBounds(field)}`,
      prose(field.description),
      `*Why:* ${prose(field.reason)}`,
    ]),
  );
}

function exampleOf(field: Field): string {
  const text = fieldOnWire(field, fieldExample(field));
  return text === '' ? 'empty' : codeSpan(text);
}

/** The line width of a request in a code block, so that it can be read without scrolling. */
const REQUEST_WIDTH = 90;

function completeRequest(standard: Fields, event: EventDefinition): string {
  // The version of Node is sent only where there is no Python.
  const { node_version: _, ...facts } = standard;
  const pairs = Object.entries({ ...facts, ...event.fields }).map(
    ({ 0: name, 1: field }) => `${name}=${fieldOnWire(field, fieldExample(field))}`,
  );
  const lines: string[] = [];
  let line = `GET /${WIRE_VERSION}/${event.type}?`;
  for (const { 0: index, 1: pair } of pairs.entries()) {
    const part = index === pairs.length - 1 ? pair : `${pair}&`;
    if (line.length + part.length > REQUEST_WIDTH) {
      lines.push(line);
      line = '  ';
    }
    line += part;
  }
  return ['```text', ...lines, line, '```'].join('\n');
}
