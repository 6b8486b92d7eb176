// The privacy notice of a product, generated from its description.
import { COSMOS, COSMOS_ENDPOINT, DEFAULTS } from '../base/constants.js';
import type { UrlObject } from '../base/platform-types.js';
import { isDaily } from '../events/definition.js';
import type { Fields } from '../events/definition.js';
import { checkDescriptionOptions } from '../events/description.js';
import type { Description, DescriptionOptions } from '../events/description.js';
import { debugVariable, switchVariable } from '../opt-out/variables.js';
import { whatIsSent } from './fields.js';
import { bullets, codeSpan, prose } from './markdown.js';
import { configFilePlaces, OPT_OUT_FILE, optOutTable } from './opt-outs.js';

/**
 * Options of `renderPrivacyNotice`: the object that `createTelemetry` gets. The product may have no version. What only the client needs is
 * ignored; an unknown key throws.
 *
 * @example
 * const options: PrivacyNoticeOptions = { product: { name: 'acme' }, endpoint: 'https://telemetry.acme.example' };
 */
export type PrivacyNoticeOptions = DescriptionOptions;

/**
 * The privacy notice of a product, as Markdown. It lists every event and field that may be sent, with an example and the reason; what
 * is never collected; what is not anonymous; every way to stop it; and where it goes.
 *
 * The same options give the same text, so a product can keep the notice in a file and compare the two in its tests. The notice covers
 * events that are sent through `createTelemetry`. No declaration applies to `emitUsageMetrics`: a program that calls it must describe
 * what it sends.
 *
 * @param options The description of the product, as `createTelemetry` gets it.
 * @returns Markdown that ends with a line break. A paragraph is one line.
 * @throws TypeError with the option and the value, for everything that `createTelemetry` refuses.
 * @example
 * const notice = renderPrivacyNotice({ product: { name: 'acme' }, endpoint: 'https://telemetry.acme.example' });
 * console.log(notice.split('\n', 1)[0]); // # Privacy notice for users of `acme`
 */
export function renderPrivacyNotice(options: PrivacyNoticeOptions): string {
  return noticeOf(checkDescriptionOptions(options));
}

/**
 * Writes the notice of {@link renderPrivacyNotice} into a file, for a script of the product. It blocks until the file is written.
 *
 * @param file The file, such as `PRIVACY.md`: a path, or a URL of `file:`. Its folder must exist. What it held before is replaced.
 * @param options The description of the product, as `createTelemetry` gets it.
 * @returns `true` if the file was written, `false` if it has this text already and was left alone.
 * @throws TypeError naming option and value, for everything that `renderPrivacyNotice` refuses, before anything is written; the error of
 * `node:fs`, with its `code`, if the file cannot be written: `ENOENT` without its folder, `EACCES`, `EROFS`.
 * @example
 * const acme: PrivacyNoticeOptions = { product: { name: 'acme' }, endpoint: 'https://telemetry.acme.example' };
 * console.log(writePrivacyNotice('PRIVACY.md', acme), writePrivacyNotice('PRIVACY.md', acme)); // true false
 */
export function writePrivacyNotice(file: string | UrlObject, options: PrivacyNoticeOptions): boolean {
  return writeNotice(file, renderPrivacyNotice(options));
}

/** @returns Whether the file was written. @internal */
export function writeNotice(file: string | UrlObject, notice: string): boolean {
  const { readFileSync, writeFileSync } = process.getBuiltinModule('node:fs');
  const place = typeof file === 'string' ? file : new URL(file.href);
  try {
    if (readFileSync(place, 'utf8') === notice) return false;
  } catch {
    // There is no such file yet; if it cannot be read for another reason, writing it says so.
  }
  writeFileSync(place, notice);
  return true;
}

/** The notice of a checked description. @internal */
export function noticeOf(description: Description): string {
  const { everyEvent } = description;
  const definitions = [...description.definitions.values()];
  const fields = [everyEvent, ...definitions.flatMap(({ fields: own, metadata = {} }) => [own, metadata])];
  const blocks = [
    ...opening(description),
    ...whatIsSent(everyEvent, definitions),
    ...whatIsNotSent(description.product.name, fields),
    ...howToStopIt(description),
    ...whereItGoes(description, definitions.some(isDaily)),
  ];
  return `${blocks.join('\n\n')}\n`;
}

function opening({ product: { name }, consent, command }: Description): string[] {
  const own = codeSpan(name);
  const turnedOff = command === undefined ? '' : `run ${codeSpan(`${command} disable`)}, `;
  const turnedOn = command === undefined ? '' : `run ${codeSpan(`${command} enable`)}, `;
  const state =
    consent === 'opt-in'
      ? `**It is off until you ask for it**: ${turnedOn}answer \`y\` if the program asks you in a terminal, set ` +
        `${codeSpan(`${switchVariable(name)}=on`)} in the environment, or write ${codeSpan('{"enabled": true}')} into your own file ` +
        `(below). To turn it off again, ${turnedOff}${command === undefined ? 'use a' : 'or use another'} switch (below).`
      : `To stop it, ${turnedOff}set ${codeSpan(`${switchVariable(name)}=off`)} or ${codeSpan('DO_NOT_TRACK=1')} in the environment, or ` +
        'use another switch (below).';
  return [
    `# Privacy notice for users of ${own}\n` +
      '<!-- Generated by cosmos-telemetry from the declarations of the product. Change these, and not this file. -->\n' +
      `${own} can report how it is used, so that its developers learn which versions and ways of running must keep working. ${state} ` +
      'Every event is checked against this list before it is sent: what is not listed is dropped.',
  ];
}

/** What no field holds, and what fields reveal although they hold none of it. */
function whatIsNotSent(product: string, fields: readonly Fields[]): string[] {
  return [
    '## What is not sent, and what is not anonymous',
    bullets([
      '**Free text is not sent**: there is no kind of field for it. No field holds ids or names of runs and tasks in clear text, ' +
        'names of projects and tables, names or accounts of people, names of machines, paths, SQL, program code, parameters, values from ' +
        'the environment, connection details, error texts, logs, results or IP addresses.',
      ...digests(product, namesOf(fields, ['hash'])),
      ...namesFromCode(fields),
      EVERY_REQUEST,
      BESIDE_THE_LIST,
    ]),
  ];
}

function digests(product: string, names: readonly string[]): string[] {
  if (names.length === 0) return [];
  const md5 =
    product === COSMOS
      ? ' Unless the host provides another digest, `dag_hash` is the md5 of the DAG id: ' +
        "`node -p \"require('crypto').createHash('md5').update('jaffle_shop').digest('hex')\"` prints the `dag_hash` of a DAG named " +
        '`jaffle_shop`, on every system.'
      : '';
  return [
    `**Digests can be guessed**: ${names.join(', ')}. Anyone who guesses the source of a digest can compute the digest and compare. ` +
      `So a digest is a pseudonym.${md5}`,
  ];
}

function namesFromCode(fields: readonly Fields[]): string[] {
  const names = namesOf(fields, ['identifier', 'identifierSet', 'command']);
  if (names.length === 0) return [];
  return [
    `**Names from program code are sent unchanged**: ${names.join(', ')}. Most of them are the same in every program. But a name that ` +
      'your organization chose, such as a class `ImportPayrollOfInitech`, is sent, too.',
  ];
}

const EVERY_REQUEST =
  '**A request has a sender and a time.** No event holds an id of a person, a machine or an installation, and no such id is created. ' +
  'But the server sees the address that a request comes from, and its time, and a rare combination of versions and names can identify a ' +
  'single site.';

const BESIDE_THE_LIST =
  '**What else a program sends is not in this list.** Two ways are in the same package: `emitUsageMetrics` sends what the program hands ' +
  'over, unchecked, and a `transport` of the program decides where events go. The switches below stop both. Ask its ' +
  'authors whether they use them.';

/** The fields of these kinds whose values are not a closed list. */
function namesOf(fields: readonly Fields[], kinds: readonly string[]): string[] {
  const found = fields.flatMap((each) => Object.entries(each).filter(({ 1: { kind, values } }) => kinds.includes(kind) && !values));
  return [...new Set(found.map(({ 0: name }) => codeSpan(name)))];
}

function howToStopIt({ product: { name }, command }: Description): string[] {
  const variables = optOutTable(name).filter(({ kind }) => kind === 'env');
  const words = [...new Set(variables.map(({ optsOutWhen }) => optsOutWhen))];
  const show = command === undefined ? explainScript(name) : `${command} status`;
  const writer = command === undefined ? '' : ` ${codeSpan(`${command} disable`)} writes it.`;
  const places = configFilePlaces(name);
  const of = (which: 'own' | 'machineWide') => places.map((place) => `${codeSpan(place[which])} (${place.system})`).join(', ');
  const airflow = optOutTable(name).filter(({ kind, example }) => kind === 'file' && example !== OPT_OUT_FILE);
  return [
    '## How to stop it',
    'Any one of these is enough: a no wins over every yes. A value that cannot be understood counts as a no. While a file cannot be ' +
      'read, nothing is sent. After an opt-out nothing is sent and nothing is prepared: no connection, no name look-up, no file, no ' +
      'timer. It also takes effect while the program runs, and lasts until the program starts again: waiting events are dropped, ' +
      `requests in flight are aborted. To see which switch decides, run ${codeSpan(show)}. ${SET_A_VARIABLE}`,
    bullets([
      ...words.map((optsOutWhen) => {
        const these = variables.filter((each) => each.optsOutWhen === optsOutWhen);
        const covers = [...new Set(these.map((each) => each.covers))].join(', ');
        return `${these.map((each) => codeSpan(each.name)).join(' or ')} in the environment, ${optsOutWhen}: for ${covers}.`;
      }),
      ...airflow.map((each) => `${codeSpan(each.name)}, ${each.optsOutWhen}: for ${each.covers}.`),
      `${codeSpan(OPT_OUT_FILE)} in your own file: ${of('own')}. On Linux \`$XDG_CONFIG_HOME\` replaces \`~/.config\` if it ` +
        `is set.${writer}`,
      `${codeSpan(OPT_OUT_FILE)} in the file for all users of the machine, which no user overrides: ${of('machineWide')}, and the ` +
        'folders of `$XDG_CONFIG_DIRS`.',
      ...(name === COSMOS ? [PYTHON] : []),
    ]),
  ];
}

const SET_A_VARIABLE =
  'To set a variable: `export DO_NOT_TRACK=1` in the profile of your shell (Linux, macOS), or `setx DO_NOT_TRACK 1` (Windows, for ' +
  'programs that start afterwards). In a service or a container, set it where the others are set.';

const PYTHON =
  'Astronomer Cosmos for Python reports the same by itself. It reads `DO_NOT_TRACK`, `SCARF_NO_ANALYTICS` and the two ' +
  'settings of Airflow, and neither `COSMOS_TELEMETRY` nor the files.';

function explainScript(product: string): string {
  return (
    "node --input-type=module -e \"import { explainSettings, resolveSettings } from 'cosmos-telemetry'; " +
    `console.log(explainSettings(resolveSettings({ product: '${product}' })))"`
  );
}

function whereItGoes({ product: { name }, endpoint, retention, contact }: Description, keepsDates: boolean): string[] {
  const isAstronomers = name === COSMOS && endpoint === COSMOS_ENDPOINT;
  const kept =
    retention ?? (isAstronomers ? ASTRONOMERS_SERVER : 'The operator of the server decides what the server keeps and for how long.');
  const asked = contact ?? (isAstronomers ? ASTRONOMERS_CONTACT : undefined);
  const written = keepsDates ? 'only the dates of daily events' : 'nothing';
  const waiting = DEFAULTS.maxPendingEvents.toLocaleString('en-US');
  const debug = codeSpan(`${debugVariable(name)}=1`);
  return [
    '## Where it goes, and how to see it',
    bullets([
      `**The server.** ${target(endpoint)} ${codeSpan(`${switchVariable(name)}_ENDPOINT`)} in the environment sends it ` +
        'elsewhere, for example to your own server; a proxy that the environment or the program names is used. A redirect to another ' +
        'host is followed only if the program names that host. A request has the headers `accept`, `connection`, `host` and ' +
        '`user-agent: cosmos-telemetry`; a proxy gets `proxy-authorization` if its address has credentials.',
      `**What the server keeps${asked === undefined ? '' : ', and whom to ask'}.** ${[kept, asked ?? ''].map(prose).join(' ').trim()}`,
      `**On this machine.** The program writes ${written} to disk unless you ask for it. Events wait in memory, at most ` +
        `${waiting} of them unless the program sets another limit, and are lost when it ends. To see them, set ${debug}: every request ` +
        'is printed to standard error and none is sent. If the value is the path of a file instead of `1`, the requests are appended ' +
        'to that file and not sent.',
      ...(name === COSMOS ? [RELAY, RELAY_AGE] : []),
    ]),
  ];
}

const ASTRONOMERS_SERVER =
  'The server is a gateway of Scarf that Astronomer uses. This package belongs to neither, and does not know what they keep ' +
  'and for how long.';
const ASTRONOMERS_CONTACT = 'Ask Astronomer about the server, and the maintainers of this package, in its repository, about the rest.';

/** Only events of Cosmos go through a relay. */
const RELAY =
  '**A relay keeps events on disk.** The operator of the machine can run one: `cosmos-telemetry relay --spool DIR`. It listens on ' +
  '`127.0.0.1:8787`, or where `--listen` says; other machines reach it only with `--allow-remote`. It takes the events of every program ' +
  'that sends them there, over plain HTTP, and forwards the fields of this list later; with `--verbatim` all fields. Until the fate of ' +
  'an event is known, it is in a file in DIR, or in its folder `cosmos-relay`: in clear, with the same fields. The user of the relay ' +
  'and the administrators of the machine can read it, and whoever has a copy of the disk; on Windows, whoever may read the folder.';

const RELAY_AGE =
  '**For how long.** It is there for at most 24 hours, or what `--max-age-ms` says. If the clock of the machine turns out to ' +
  'be wrong when the relay starts, the age of an event starts anew, once: it is then kept for at most twice as long, 48 hours. A relay ' +
  'that does not run deletes nothing: what is too old is deleted at its next start. The time for which it did not run counts, unless a ' +
  'wrong clock hides it. Without `--spool` events are in memory only. With `--show-events` the last 50 are in its memory, too, and ' +
  'whoever can open its page sees them.';

function target(endpoint: string | undefined): string {
  if (endpoint === undefined) return 'To the endpoint that the program names; there is no default.';
  const how = endpoint.startsWith('http:') ? 'over plain HTTP, which anyone on the network path can read' : 'over an encrypted connection';
  return `To ${codeSpan(endpoint)}, ${how}.`;
}
