import { COSMOS } from '../settings/opt-outs.js';
import type { Fields } from '../events/definition.js';
import { bullets, codeSpan, paragraph } from '../markdown.js';

const EVERY_REQUEST =
  '**A request has a sender and a time.** No event holds an id of a person, a machine or an installation, and none is made. But the ' +
  'server sees the address that a request comes from and when it comes, and a rare combination of versions and names can be ' +
  'that of a single place.';

/** What no field can hold, and what the fields that there are give away all the same. */
export function whatIsNotSent(product: string, fields: readonly Fields[]): string[] {
  return [
    '## What is never collected',
    paragraph(
      'There is no kind of field for free text, and none of the fields above is for any of these. What is not declared, or is not ' +
        'of its declared kind, is dropped before it leaves:',
    ),
    bullets([
      'ids of DAGs and tasks in clear, ids of runs, names of projects, models, schemas and tables;',
      'names, mail addresses or accounts of people, names of machines, paths of files;',
      'SQL, program code, parameters, values from the environment;',
      'connection details: hosts, ports, databases, users, passwords, tokens;',
      'error texts, logs and results;',
      'IP addresses: no field holds one. But a request comes from somewhere, and the server that receives it sees from where.',
    ]),
    '## What is not anonymous',
    bullets([digests(product, fields), namesFromCode(fields), EVERY_REQUEST]),
  ];
}

function digests(product: string, fields: readonly Fields[]): string {
  const names = namesOf(fields, ['hash']);
  const guess =
    product === COSMOS
      ? ' Unless the host gives another, `dag_hash` is the md5 of the DAG id: `printf %s jaffle_shop | md5sum` gives that of a DAG called `jaffle_shop`, on every machine.'
      : '';
  return (
    `**A digest can be guessed back**: ${names.join(', ')}. Whoever has an idea what it was made from can compute the same and ` +
    `compare, so it is a pseudonym.${guess}`
  );
}

function namesFromCode(fields: readonly Fields[]): string {
  const names = namesOf(fields, ['identifier', 'identifierSet', 'command']);
  return (
    `**Names from program code are sent as they are**: ${names.join(', ')}. Mostly they are names that everybody's program has. ` +
    'One that was chosen at your place, such as an operator class `ImportPayrollOfInitech`, is sent by that name.'
  );
}

function namesOf(fields: readonly Fields[], kinds: readonly string[]): string[] {
  const found = fields.flatMap((each) => Object.entries(each).filter(([, { kind }]) => kinds.includes(kind)));
  return [...new Set(found.map(([name]) => codeSpan(name)))];
}
