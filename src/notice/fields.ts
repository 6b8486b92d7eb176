import { WIRE_VERSION } from '../base/constants.js';
import { metadataFields } from '../events/dag-run.js';
import type { EventDefinition, Fields } from '../events/definition.js';
import type { Field, FieldKind } from '../events/fields.js';
import { pythonFloat, pythonStr, quotePlus } from '../wire/python.js';
import type { MetricValue } from '../wire/python.js';
import { codeSpan, list, paragraph, prose } from './markdown.js';

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

/** A request in a code block ends its lines here, so that it can be read without scrolling. */
const REQUEST_WIDTH = 90;

/** What is sent: every event and every field, with an example as it leaves. */
export function whatIsSent(product: string, standard: Fields, events: readonly EventDefinition[]): string[] {
  return [
    '## What is sent',
    paragraph(
      `There are ${events.length} kinds of event: ` +
        `${events.map(({ type }) => `[${codeSpan(type)}](#${type})`).join(', ')}. Each event is one request, and its fields are part ` +
        'of the address that is requested. This is a whole one, in one line when it leaves and broken here to be read:',
    ),
    ...events.slice(0, 1).map((event) => wholeRequest(standard, event)),
    paragraph(
      'The values on this page are made up, and written as they would leave. Names from program code, words of a ' +
        'command line, versions and digests are made of letters, digits and a few signs (`_ . : + ! -`): no slash, no at sign, and no space but between the words of a command. `None` ' +
        'means that there is nothing to say.',
    ),
    '### With every event',
    paragraph('What program this is and what it runs on:'),
    fieldList(standard),
    ...events.flatMap((event) => eventSection(product, event)),
  ];
}

function eventSection(product: string, { type, fields, description }: EventDefinition): string[] {
  const own = Object.keys(fields).length === 0 ? 'It has no fields of its own.' : fieldList(fields);
  const section = [`### ${codeSpan(type)}`, paragraph(prose(description)), own];
  if (type !== 'dag_run') return section;
  return [
    ...section,
    paragraph(
      `Where the DAG carries packed metadata of ${product} about its dbt project in its params, these are added. Whoever may start the ` +
        'DAG can edit the params, so anything else that stands there is dropped:',
    ),
    fieldList(metadataFields),
  ];
}

function fieldList(fields: Fields): string {
  return list(
    Object.entries(fields).map(([name, field]) => [
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

function wholeRequest(standard: Fields, event: EventDefinition): string {
  // Where there is a Python, its version stands in the place of Node's.
  const { node_version: _, ...facts } = standard;
  const pairs = Object.entries({ ...facts, ...event.fields }).map(([name, field]) => `${name}=${fieldOnWire(field, fieldExample(field))}`);
  const lines: string[] = [];
  let line = `GET /${WIRE_VERSION}/${event.type}?`;
  for (const [index, pair] of pairs.entries()) {
    const part = index === pairs.length - 1 ? pair : `${pair}&`;
    if (line.length + part.length > REQUEST_WIDTH) {
      lines.push(line);
      line = '  ';
    }
    line += part;
  }
  return ['```text', ...lines, line, '```'].join('\n');
}
