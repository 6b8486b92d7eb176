import { checkOptions } from '../base/check-options.js';
import type { Check } from '../base/check-options.js';
import { DEFAULTS } from '../base/constants.js';
import { describe } from '../base/describe.js';
import { metadataFields } from '../events/dag-run.js';
import { assertName } from '../events/definition.js';
import type { EventDefinition, Fields } from '../events/definition.js';
import { productEvents } from '../events/product-events.js';
import { standardFields } from '../events/standard-metrics.js';
import { COSMOS, switchVariable } from '../opt-out/variables.js';
import { parseEndpoint } from '../wire/url.js';
import { whatIsSent } from './fields.js';
import { bullets, codeSpan, paragraph, table } from './markdown.js';
import { configFilePlaces, optOutTable } from './opt-outs.js';

/** How to stop it: each switch, and where it stands. */
export function howToStopIt(product: string): string[] {
  const switches = optOutTable(product);
  return [
    '## How to stop it',
    paragraph(
      'Any one of these is enough, and any no wins over every yes. What cannot be read or understood counts as a no. Upper and lower ' +
        'case are the same in the values of variables.',
    ),
    table(
      ['Switch', 'Says no when', 'Covers'],
      switches.map(({ name, kind, optsOutWhen, covers }) => [kind === 'file' ? name : codeSpan(name), optsOutWhen, covers]),
    ),
    paragraph(
      'Once one of them says no, nothing is sent and nothing is prepared: no connection, no look-up of a name, no file written, no timer. ' +
        'A no that appears while the program runs is heeded too: what waits is dropped, what is under way is aborted, and it stays ' +
        'off until the program starts again.',
    ),
    paragraph('The files stand here; on Linux `$XDG_CONFIG_HOME` and `$XDG_CONFIG_DIRS`, where set, name other folders:'),
    table(
      ['System', 'Your own telemetry.json', "The machine's telemetry.json"],
      configFilePlaces(product).map(({ system, own, machineWide }) => [system, codeSpan(own), codeSpan(machineWide)]),
    ),
    paragraph('To see which switch decides and where it stands, run this where the program is installed:'),
    [
      '```sh',
      'node --input-type=module -e "',
      "  import { explainSettings, resolveSettings } from 'cosmos-telemetry';",
      `  console.log(explainSettings(resolveSettings({ product: '${product}' })));`,
      '"',
      '```',
    ].join('\n'),
  ];
}

/** Where it goes, what is kept, and how to look at it. */
export function whereItGoes(product: string, endpoint: string | undefined): string[] {
  const own = switchVariable(product);
  const waiting = DEFAULTS.maxPendingEvents.toLocaleString('en-US');
  return [
    '## Where it goes',
    paragraph(
      `${target(endpoint)} Whoever runs the machine can have it sent elsewhere, for example to a server of their own: ` +
        `${codeSpan(`${own}_ENDPOINT`)} in the environment goes before what the program says. ` +
        'A redirect to another host is not followed unless the program names that host.',
    ),
    paragraph(
      `Nothing is written to disk, unless you ask for it as below. Events wait in memory, ${waiting} at most unless the program says otherwise, and are gone when the ` +
        'program ends. What a server keeps of what reaches it, and for how long, is up to those who run it.',
    ),
    '## How to see it',
    paragraph(
      `${codeSpan(`${own}_DEBUG=1`)} prints each request to the standard error output and sends none. With the path of a file in ` +
        'the place of the `1`, the requests are appended to that file and not sent.',
    ),
  ];
}

function target(endpoint: string | undefined): string {
  if (endpoint === undefined) return 'To the endpoint that the program names; there is none by default.';
  const isPlain = endpoint.startsWith('http:');
  const how = isPlain ? 'over plain HTTP, which whoever carries it can read' : 'over an encrypted connection';
  return `To ${codeSpan(endpoint)}, ${how}.`;
}

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

/** What `renderPrivacyNotice` takes: the same as `createTelemetry` was given. An unknown key throws. */
export interface PrivacyNoticeOptions {
  /** The product's name, `^[a-z][a-z0-9_]{0,31}$`. */
  product: string;
  /** The product's own events, beside the built-in ones. @default [] */
  events?: readonly EventDefinition[];
  /** Where events go: http or https, without credentials, query or fragment. @default none is named */
  endpoint?: string | URL;
  /** The name of the orchestrator around it, as in `host.name`. @default 'airflow' */
  hostName?: string;
}

const A_STRING: Check = ['a string', (value) => typeof value === 'string'];

/**
 * The privacy notice of a product, as Markdown: every event and field that may leave, with an example and the reason; what is
 * never collected; what is not anonymous; each way to stop it; where it goes. The same options give the same text, so a
 * product keeps it in a file and compares the two in its tests. It covers what goes through `createTelemetry`; what a program
 * hands to `emitUsageMetrics` passes no declaration, and is for that program to describe.
 *
 * @returns Markdown that ends with a line break.
 * @throws TypeError naming option and value, for whatever `createTelemetry` would not take either.
 */
export function renderPrivacyNotice(options: PrivacyNoticeOptions): string {
  checkOptions<PrivacyNoticeOptions>('options', options, {
    product: A_STRING,
    events: ['a list of event definitions', Array.isArray],
    endpoint: ['a URL', (value) => typeof value === 'string' || value instanceof URL],
    hostName: A_STRING,
  });
  const { product, events = [], hostName = 'airflow' } = options;
  assertName('`product`', product);
  assertName('`hostName`', hostName);
  if (product === hostName) throw new TypeError(`Expected product and host to have different names, got ${describe(product)} twice.`);
  const endpoint = options.endpoint === undefined ? undefined : parseEndpoint(options.endpoint, '`endpoint`');
  const definitions = [...productEvents(product, hostName, events).values()];
  const standard = standardFields(product, hostName);
  const blocks = [
    ...opening(product, endpoint),
    ...whatIsSent(product, standard, definitions),
    ...whatIsNotSent(product, [standard, ...definitions.map(({ fields }) => fields), metadataFields]),
    ...howToStopIt(product),
    ...whereItGoes(product, endpoint),
  ];
  return `${blocks.join('\n\n')}\n`;
}

function opening(product: string, endpoint: string | undefined): string[] {
  const name = codeSpan(product);
  const to = endpoint === undefined ? 'wherever the program says' : `to ${codeSpan(new URL(endpoint).host)}`;
  return [
    `# Privacy notice: what ${name} reports about its use`,
    '<!-- Generated by renderPrivacyNotice() of cosmos-telemetry. Change the declarations, not this file. -->',
    paragraph(
      `A program that uses ${name} can report how it is used, so that those who make it know which versions, databases and ways of ` +
        'running must keep working. This page is for the person on whose machine it runs. It is generated from the same ' +
        'declarations that every event is checked against before it leaves: what is not listed here is dropped.',
    ),
    bullets([
      '**What leaves:** versions, counts, times, yes or no, words from fixed lists, and some names from program code. ' +
        '[Every field, with its reason](#what-is-sent).',
      '**What does not:** ids of DAGs and tasks in clear, names of people and projects, paths, SQL, connection details, error texts. ' +
        '[All of it](#what-is-never-collected).',
      '**What to know before calling it anonymous:** some of it is not. [Which, and why](#what-is-not-anonymous).',
      `**To stop it:** ${codeSpan('DO_NOT_TRACK=1')} in the environment, or ${codeSpan(`${switchVariable(product)}=off`)} for this alone. ` +
        '[Every switch](#how-to-stop-it).',
      `**Where it goes:** ${to}. [More](#where-it-goes).`,
      `**To look for yourself:** ${codeSpan(`${switchVariable(product)}_DEBUG=1`)} prints it and sends nothing. [How](#how-to-see-it).`,
    ]),
  ];
}
