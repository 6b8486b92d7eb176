/*
 * The command `events`.
 */
import type { Fields } from '../events/definition.js';
import type { Field, FieldKind } from '../events/fields.js';
import type { Command, CommandContext, CommandResult } from './command.js';
import { unknownEvent } from './preview-run.js';
import { columns } from './terminal.js';

const KINDS: Readonly<Record<FieldKind, string>> = {
  oneOf: 'a word',
  boolean: 'yes or no',
  count: 'a number',
  duration: 'seconds',
  identifier: 'a name',
  identifierSet: 'names',
  command: 'a command',
  version: 'a version',
  hash: 'a digest',
};

/** A longer list of words is in `--json` only. */
const MAX_WORDS = 6;

/** Lists every event and field that may be sent. */
export const events: Command = {
  summary: 'List every event and field that may be sent, and why.',
  usage: '[EVENT]',
  maxArgs: 1,
  help: ['Nothing else is sent. With the name of an event, it lists that event only.'],
  run(context): CommandResult {
    const { program, args } = context;
    const { definitions, product, everyEvent: standard } = program;
    const [asked] = args;
    if (asked !== undefined && !definitions.has(asked)) throw unknownEvent('there is no event', asked, [...definitions.keys()]);
    const chosen = [...definitions.values()].filter(({ type }) => asked === undefined || type === asked);
    return {
      lines: [
        ...section('with every event', 'The program, and the machine that it runs on.', standard, context),
        ...chosen.flatMap(({ type, description, fields, metadata }) => [
          ...section(type, description, fields, context),
          ...(metadata ? section(`${type}, metadata`, 'Added if the DAG has packed metadata in its params.', metadata, context) : []),
        ]),
      ],
      json: {
        product: product.name,
        standard: fieldsJson(standard),
        events: chosen.map(({ type, description, fields, metadata = {} }) => ({
          type,
          description,
          fields: fieldsJson(fields),
          metadata: fieldsJson(metadata),
        })),
      },
    };
  },
};

function section(title: string, description: string, fields: Fields, { paint, width }: CommandContext): string[] {
  const rows = Object.entries(fields).map(([name, field]) => [name, KINDS[field.kind], meaningOf(field)]);
  return [`${paint.strong(title)}: ${description}`, ...columns(rows, [34, 10], width, '  '), ''];
}

function meaningOf({ description, reason, values = [], nullable, optional }: Field): string {
  const words = values.length > 0 && values.length <= MAX_WORDS ? ` One of ${values.join(', ')}.` : '';
  const absence = optional ? ' May be missing.' : nullable ? ' May be None.' : '';
  return `${description}${words}${absence} Why: ${reason}`;
}

function fieldsJson(fields: Fields) {
  return Object.entries(fields).map(([name, { kind, values, nullable, optional, description, reason }]) => ({
    name,
    kind,
    ...(values && { values }),
    nullable,
    optional,
    description,
    reason,
  }));
}
