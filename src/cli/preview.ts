import { createReadStream } from 'node:fs';
import { placeName, readProblem, shorten } from '../base/describe.js';
import type { Loss, LossReason } from '../base/ledger.js';
import { CliFailure, usage } from './command.js';
import type { Answer, Command, CommandContext } from './command.js';
import { inquire, ruleWords } from './inquiry.js';
import type { Inquiry } from './inquiry.js';
import { parseDocument, previewOf, sampleItems } from './preview-run.js';
import type { NotSent, Preview, PreviewItem } from './preview-run.js';
import { columns, wrap } from './terminal.js';

const INDENT = '   ';
const MAX_HEAD = 46;

const LOSSES: Readonly<Record<LossReason, string>> = {
  undeclared: 'not declared: nothing that is not declared leaves',
  ill_typed: 'declared, but the value is not of its kind or not within its bounds',
  unusable: 'no value that a field could hold: a text of at most 256 characters, a number, true, false or null',
  taken: 'the event says this itself, and the metadata may not',
  not_text: 'no text, so it cannot be packed metadata',
  not_base64: 'cannot be read: not base64',
  not_zlib: 'cannot be read: not zlib',
  too_large: 'cannot be read: too large',
  not_json: 'cannot be read: not JSON',
  not_object: 'cannot be read: no JSON object',
};

/** One event for people. */
export function previewLines(preview: Preview, number: number, { paint, width, program }: CommandContext): string[] {
  const { item, type, notSent, url, fields, losses } = preview;
  const title = `${number}  ${item.event}${type === undefined || type === item.event ? '' : `, sent as ${type}`}`;
  const why = notSent && wrap(`Nothing would be sent: ${notSentWords(preview, notSent, program.product.name)}.`, width - INDENT.length);
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
      losses.map((loss) => [lossName(loss), LOSSES[loss.why]]),
      [MAX_HEAD],
      width,
      INDENT,
    ),
    '',
  ];
}

/** One event for machines: the stable shape, as the README documents it. */
export function previewJson(preview: Preview, product: string) {
  const { item, type, notSent, url, fields, losses } = preview;
  return {
    event: item.event,
    type: type ?? null,
    wouldBeSent: notSent === undefined,
    reason: notSent ?? null,
    explanation: notSent === undefined ? null : notSentWords(preview, notSent, product),
    request: url === undefined ? null : { method: 'GET', url },
    fields: fields.map(({ name, value, from, field }) => ({
      name,
      value,
      from,
      kind: field.kind,
      description: field.description,
      reason: field.reason,
    })),
    dropped: losses.map(({ from, name, why }) => ({ from, name: name === '' ? null : name, why, explanation: LOSSES[why] })),
  };
}

/** What holds for all of it: that nothing is sent, and whether the program would send it. */
export function previewHeading(inquiry: Inquiry, { program, paint }: CommandContext, isSample: boolean): string[] {
  const { enabled, decidedBy, debug } = inquiry;
  const name = program.product.name;
  const state = enabled
    ? `Telemetry of ${name} is on.`
    : `Telemetry of ${name} is off (${ruleWords(decidedBy)}): none of this leaves this machine.`;
  return [
    isSample ? 'One event of each kind, made up. Nothing is sent by this command.' : 'Nothing is sent by this command.',
    enabled ? state : paint.bad(state),
    ...(enabled && debug !== undefined ? [`${debug.variable} is set: requests are written down, and not sent.`] : []),
    '',
  ];
}

/** What the command cannot know, so that nobody takes the request for shorter than it is. */
export function previewNotes(previews: readonly Preview[], { program }: CommandContext, endpoint: string | undefined): string[] {
  if (!previews.some(({ url }) => url !== undefined)) return [];
  const { product, host } = program;
  const missing = [
    ...(product.version === undefined ? [`${product.name}_version`] : []),
    ...(host.version === undefined ? [`${host.name ?? 'airflow'}_version`] : []),
  ];
  return [
    ...(endpoint === undefined ? ['The endpoint is not known here: the program delivers in a way of its own.'] : []),
    ...(missing.length === 0 ? [] : [`Not known here, and sent in front where the program knows it: ${missing.join(', ')}.`]),
  ];
}

function notSentWords({ item }: Preview, why: NotSent, product: string): string {
  if (why === 'too_large') return 'its URL would be longer than 8192 bytes';
  if (item.kind === 'published') return 'its "metrics" are no object';
  const isRun = item.event.startsWith('dag_run');
  if (why === 'invalid')
    return isRun ? 'the payload has no "dagRun" with a "dag" and its list of "tasks"' : 'the payload has no "taskInstance" with a "task"';
  return isRun
    ? `none of the tasks is one of ${product}: no "module" begins with "${product}."`
    : `the task is none of ${product}: its "module" does not begin with "${product}.", nor does it say "isDbtOperator": true`;
}

function lossName({ from, name }: Loss): string {
  return name === '' ? 'the packed metadata' : `${shorten(name)} (${from})`;
}

/** More than any DAG needs, and less than what a device without an end would fill. */
const MAX_BYTES = 64 << 20;

/** Shows the requests that events would become. */
export const preview: Command = {
  summary: 'Show exactly what would be sent for an event, field by field.',
  usage: '[EVENT.json | -]',
  maxArgs: 1,
  takesSample: true,
  help: [
    'EVENT.json, or standard input for -, holds one event or a list of events, as a host emits them or as the',
    'program publishes them:',
    '',
    '  {"event": "task_instance.success", "payload": {"taskInstance": {...}}}',
    '  {"event": "dbt_docs_access", "metrics": {...}}',
    '',
    'Shown are the request that would leave, each of its fields with its meaning, and what was left out and why.',
    'Without a file it shows the sample. It works while telemetry is off, too. Nothing is ever sent.',
  ],
  async run(context): Promise<Answer> {
    const { program, args, isSample } = context;
    const [file] = args;
    if (isSample && file !== undefined) throw usage('preview takes a file or --sample, and not both', `${program.command} preview`);
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
        decidedBy: inquiry.decidedBy,
        endpoint: endpoint ?? null,
        events: previews.map((each) => previewJson(each, program.product.name)),
      },
      problems: inquiry.problems,
    };
  },
};

async function read(file: string, { program, stdin }: CommandContext): Promise<PreviewItem[]> {
  const source = file === '-' ? 'standard input' : placeName(file, undefined);
  let text: string;
  try {
    text = await textOf(file === '-' ? stdin() : createReadStream(file));
  } catch (error) {
    const { why } = readProblem(error);
    const words = new Map([
      ['ENOENT', 'is not there'],
      ['EISDIR', 'is a folder'],
      ['ERR_ENCODING_INVALID_ENCODED_DATA', 'is not UTF-8'],
      ['EFBIG', 'is larger than 64 MiB'],
    ]);
    throw new CliFailure(`${source} ${words.get(why) ?? `cannot be read (${why})`}`);
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
