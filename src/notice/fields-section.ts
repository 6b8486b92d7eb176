import { WIRE_VERSION } from '../constants.js';
import { metadataFields } from '../events/dag-run.js';
import type { EventDefinition, Fields } from '../events/definition.js';
import { fieldBounds, fieldExample, fieldOnWire } from '../events/field-words.js';
import type { Field } from '../events/fields.js';
import { codeSpan, list, paragraph, prose } from '../markdown.js';

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
