import { createReadStream } from 'node:fs';
import { placeName, readProblem } from '../settings/rules.js';
import type { Answer, Command, CommandContext } from './command.js';
import { CliFailure } from './failure.js';
import { inquire } from './inquiry.js';
import { parseDocument } from './preview-document.js';
import type { PreviewItem } from './preview-document.js';
import { previewOf } from './preview-run.js';
import { previewHeading, previewJson, previewLines, previewNotes } from './preview-words.js';
import { sampleItems } from './sample.js';
import { usage } from './command-line.js';

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
    const words = new Map([['ENOENT', 'is not there'], ['EISDIR', 'is a folder'], ['ERR_ENCODING_INVALID_ENCODED_DATA', 'is not UTF-8'], ['EFBIG', 'is larger than 64 MiB']]);
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
