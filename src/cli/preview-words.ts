import type { Loss, LossReason } from '../ledger.js';
import { shorten } from '../settings/rules.js';
import type { CommandContext } from './command.js';
import type { Inquiry } from './inquiry.js';
import { columns, wrap } from './layout.js';
import type { NotSent, Preview } from './preview-run.js';
import { ruleWords } from './rule-words.js';

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
    ...columns(fields.map(({ name, value, field }) => [`${name} = ${value}`, field.description]), [MAX_HEAD], width, INDENT),
    ...(losses.length === 0 ? [] : ['', `${INDENT}Left out:`]),
    ...columns(losses.map((loss) => [lossName(loss), LOSSES[loss.why]]), [MAX_HEAD], width, INDENT),
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
  if (why === 'invalid') return isRun ? 'the payload has no "dagRun" with a "dag" and its list of "tasks"' : 'the payload has no "taskInstance" with a "task"';
  return isRun
    ? `none of the tasks is one of ${product}: no "module" begins with "${product}."`
    : `the task is none of ${product}: its "module" does not begin with "${product}.", nor does it say "isDbtOperator": true`;
}

function lossName({ from, name }: Loss): string {
  return name === '' ? 'the packed metadata' : `${shorten(name)} (${from})`;
}
