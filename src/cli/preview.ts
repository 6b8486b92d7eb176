/*
 * The command `preview`, and its text and JSON.
 */
import { createReadStream } from 'node:fs';
import { COSMOS } from '../base/constants.js';
import { errorCode, placeName, shorten } from '../base/describe.js';
import type { Loss, LossReason } from '../base/ledger.js';
import { ruleWords } from '../opt-out/rule-words.js';
import { usageError } from './command.js';
import { CliFailure } from './exit-codes.js';
import type { Command, CommandContext, CommandResult } from './command.js';
import { inquire } from './inquiry.js';
import type { Inquiry } from './inquiry.js';
import type { Program } from './program.js';
import { parseDocument, previewOf, sampleItems } from './preview-run.js';
import type { NotSent, Preview, PreviewItem } from './preview-run.js';
import { columns, wrap } from './terminal.js';

/** Shows the requests that would be sent for events. */
export const preview: Command = {
  summary: 'Show exactly what would be sent for an event, field by field.',
  usage: '[EVENT.json | -]',
  maxArgs: 1,
  takesSample: true,
  help: [
    'EVENT.json (- is standard input) holds one event or a list of events, as a host emits them or as the',
    'program publishes them:',
    '',
    '  {"event": "task_instance.success", "payload": {"taskInstance": {...}}}',
    '  {"event": "dag_run", "metrics": {...}}',
    '',
    'Shows the request, the meaning of each field, and which values are left out and why. Without a file',
    'it shows the sample. It works if telemetry is off, too. It never sends anything.',
  ],
  async run(context): Promise<CommandResult> {
    const { program, args, isSample } = context;
    const [file] = args;
    if (isSample && file !== undefined) throw usageError('preview takes a file or --sample, and not both', `${program.command} preview`);
    const items = file === undefined ? sampleItems(program) : await read(file, context);
    const inquiry = inquire(context);
    const { url: endpoint } = inquiry.endpoint;
    const previews = items.map((item) => previewOf(item, program, endpoint));
    return {
      lines: [
        ...previewHeading(inquiry, context, file === undefined),
        ...previews.flatMap((each, index) => previewLines(each, index + 1, context)),
        ...previewNotes(previews, context, endpoint),
      ],
      json: {
        product: program.product.name,
        enabled: inquiry.enabled,
        state: inquiry.state,
        decidedBy: inquiry.decidedBy,
        endpoint: endpoint ?? null,
        events: previews.map((each) => previewJson(each, program)),
      },
      problems: inquiry.problems,
    };
  },
};

const INDENT = '   ';
const MAX_HEAD = 46;

const LOSSES: Readonly<Record<LossReason, string>> = {
  undeclared: 'not declared, so it is not sent',
  ill_typed: 'declared, but the value has another kind or is out of bounds',
  unusable: 'no value that a field can hold: a text of at most 256 characters, a number, true, false or null',
  missing: 'required, but it has no value',
  misspelt: 'not read',
  threw: 'the function that gives it threw',
  rejected: 'the function that gives it rejected',
  taken: 'a field of the event, which metadata may not set',
  not_text: 'no text, so it is no packed metadata',
  not_base64: 'cannot be read: not base64',
  not_zlib: 'cannot be read: not zlib',
  too_large: 'cannot be read: too large',
  not_json: 'cannot be read: not JSON',
  not_object: 'cannot be read: no JSON object',
};

/** One event as text. */
function previewLines(result: Preview, number: number, { paint, width, program }: CommandContext): string[] {
  const { item, type, notSent, url, fields, losses } = result;
  const title = `${number}  ${item.event}${type === undefined || type === item.event ? '' : `, sent as ${type}`}`;
  const why = notSent && wrap(`Nothing would be sent: ${notSentWords(result, notSent, program)}.`, width - INDENT.length);
  return [
    paint.strong(title),
    ...(why ?? []).map((line) => INDENT + paint.bad(line)),
    ...(url === undefined ? [] : ['', `${INDENT}GET ${url}`, '']),
    ...columns(
      fields.map(({ name, value, field }) => [`${name} = ${value}`, field.description]),
      [MAX_HEAD],
      width,
      INDENT,
    ),
    ...(losses.length === 0 ? [] : ['', `${INDENT}Left out:`]),
    ...columns(
      losses.map((loss) => [lossName(loss), lossWords(loss)]),
      [MAX_HEAD],
      width,
      INDENT,
    ),
    '',
  ];
}

/** One event in `--json`. docs/cli.md documents its shape. */
function previewJson(result: Preview, program: Program) {
  const { item, type, notSent, url, fields, losses } = result;
  return {
    event: item.event,
    type: type ?? null,
    wouldBeSent: notSent === undefined,
    reason: notSent ?? null,
    explanation: notSent === undefined ? null : notSentWords(result, notSent, program),
    request: url === undefined ? null : { method: 'GET', url },
    fields: fields.map(({ name, value, from, field }) => ({
      name,
      value,
      from,
      kind: field.kind,
      description: field.description,
      reason: field.reason,
    })),
    dropped: losses.map((loss) => ({
      from: loss.from,
      name: loss.name === '' ? null : loss.name,
      why: loss.why,
      explanation: lossWords(loss),
    })),
  };
}

/** The first lines: this command sends nothing, and whether the program would. */
function previewHeading(inquiry: Inquiry, { program, paint }: CommandContext, isSample: boolean): string[] {
  const { enabled, state: found, decidedBy, debug } = inquiry;
  const name = program.product.name;
  const state = enabled
    ? `Telemetry of ${name} is on.`
    : `Telemetry of ${name} is ${found} (${ruleWords(decidedBy)}): the program sends none of this.`;
  return [
    isSample ? 'One sample event of each kind. This command sends nothing.' : 'This command sends nothing.',
    enabled ? state : paint.bad(state),
    ...(enabled && debug !== undefined ? [`${debug.variable} is set: the program prints requests instead of sending them.`] : []),
    '',
  ];
}

/** The last lines: what the command does not know, since the real request is longer then. */
function previewNotes(previews: readonly Preview[], { program }: CommandContext, endpoint: string | undefined): string[] {
  if (!previews.some(({ url }) => url !== undefined)) return [];
  const { product, host, everyEvent } = program;
  const hostVersion = `${host.name ?? 'airflow'}_version`;
  const missing = [
    ...(product.version === undefined ? [`${product.name}_version`] : []),
    ...(host.version === undefined && Object.hasOwn(everyEvent, hostVersion) ? [hostVersion] : []),
  ];
  return [
    ...(endpoint === undefined ? ['The endpoint is unknown here: the program has its own transport.'] : []),
    ...(missing.length === 0 ? [] : [`Unknown here, but sent first if the program knows it: ${missing.join(', ')}.`]),
  ];
}

function notSentWords({ item }: Preview, why: NotSent, { product: { name: product }, owns }: Program): string {
  if (why === 'too_large') return 'its URL would be longer than 8192 bytes';
  if (item.kind === 'published') return 'its "metrics" is no object';
  if (why === 'left_out') return `${product} leaves this event out`;
  const isRun = item.event.startsWith('dag_run');
  if (why === 'invalid')
    return isRun ? 'the payload has no "dagRun" with a "dag" and its list of "tasks"' : 'the payload has no "taskInstance" with a "task"';
  const asked = owns === undefined ? '' : ', and "owns" does not say so';
  const rule = product === COSMOS ? '' : `, ${isRun ? 'none' : 'it'} has ${isRun ? '' : 'no '}"owned": true`;
  if (isRun) return `no task belongs to ${product}: no "module" starts with "${product}."${rule}${asked}`;
  const start = `the task does not belong to ${product}: its "module" does not start with "${product}."`;
  return `${start}${rule}, and it has no "isDbtOperator": true${asked}`;
}

function lossWords({ why, like }: Loss): string {
  return like === undefined ? LOSSES[why] : `${LOSSES[why]}: did you mean ${like}?`;
}

function lossName({ from, name }: Loss): string {
  if (name === '') return from === 'event' ? 'all metrics' : 'the packed metadata';
  return `${shorten(name)} (${from})`;
}

/** More than any DAG needs. It ends the reading of an endless device. */
const MAX_BYTES = 64 << 20;

async function read(file: string, { program, stdin }: CommandContext): Promise<PreviewItem[]> {
  const source = file === '-' ? 'standard input' : placeName(file, undefined);
  let text: string;
  try {
    text = await textOf(file === '-' ? stdin() : createReadStream(file));
  } catch (error) {
    const code = errorCode(error);
    const words = new Map([
      ['ENOENT', 'does not exist'],
      ['EISDIR', 'is a folder'],
      ['ERR_ENCODING_INVALID_ENCODED_DATA', 'is not UTF-8'],
      ['EFBIG', 'is larger than 64 MiB'],
    ]);
    throw new CliFailure(`${source} ${words.get(code) ?? `cannot be read (${code})`}`);
  }
  return parseDocument(text, source, program.definitions);
}

async function textOf(stream: AsyncIterable<Uint8Array | string>): Promise<string> {
  const chunks: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of stream) {
    const bytes = typeof chunk === 'string' ? Buffer.from(chunk) : chunk;
    length += bytes.length;
    if (length > MAX_BYTES) throw Object.assign(new Error('too large'), { code: 'EFBIG' });
    chunks.push(bytes);
  }
  return new TextDecoder('utf-8', { fatal: true }).decode(Buffer.concat(chunks, length));
}
