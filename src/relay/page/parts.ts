/** The parts of the page that change, each as HTML. A page that is open replaces those that have changed. */
import { durationWords, sizeWords } from '../../base/describe.js';
import { WHY_DROPPED } from '../log.js';
import { causeWords, isCauseKnown } from '../status.js';
import type { RelayStatus } from '../status.js';
import { chartOf, minuteRows } from './chart.js';
import { count, html, NOTHING, tableOf, timeOf } from './html.js';
import type { Html } from './html.js';
import type { ShownEvent } from './recent-events.js';
import { answerWords, reasonWords } from './words.js';

/** What the page shows. */
export interface PageView {
  readonly status: RelayStatus;
  /** The last events; undefined without `showEvents`. */
  readonly events: readonly ShownEvent[] | undefined;
}

/** The ids of the parts. */
export type PartName = 'state' | 'sentence' | 'facts' | 'spool' | 'totals' | 'chart' | 'minutes' | 'reasons' | 'answers' | 'events' | 'now';

/** Each part of a page, by its id. */
export type PageParts = ReadonlyMap<PartName, string>;

/** Makes the parts of a page. Never throws. */
export function partsOf({ status, events }: PageView): PageParts {
  const parts: [PartName, Html][] = [
    ['state', stateOf(status)],
    ['sentence', sentenceOf(status)],
    ['facts', factsOf(status)],
    ['spool', spoolOf(status)],
    ['totals', totalsOf(status)],
    ['chart', chartOf(status.minutes)],
    ['minutes', minuteRows(status.minutes)],
    ['reasons', reasonsOf(status)],
    ['answers', answersOf(status)],
    ['now', html`As of ${timeOf(status.now, status.now)}.`],
  ];
  if (events !== undefined) parts.push(['events', eventsOf(events, status)]);
  return new Map(parts.map(({ 0: name, 1: { source } }) => [name, source]));
}

/** Each state in a word or two. */
const STATES: Readonly<Record<RelayStatus['state'], readonly [word: string, mood: 'good' | 'bad' | 'calm']>> = {
  starting: ['Starting', 'calm'],
  delivering: ['Delivering', 'good'],
  idle: ['Idle', 'good'],
  waiting: ['Waiting', 'bad'],
  paused: ['Paused', 'bad'],
  undecided: ['Undecided', 'bad'],
  opted_out: ['Opted out', 'calm'],
  debug: ['Debug mode', 'calm'],
  closing: ['Closing', 'calm'],
};

/** A shape beside the colour. */
const SIGNS = { good: '●', bad: '▲', calm: '■' } as const;

/** The state in a word: the title of the tab, too. */
export function stateWord({ state }: RelayStatus): string {
  return STATES[state][0];
}

/** A screen reader says it when it changes, so it has nothing that changes by itself. */
function stateOf(status: RelayStatus): Html {
  const { 0: word, 1: mood } = STATES[status.state];
  const hasFailed = (status.state === 'waiting' || status.state === 'paused') && status.cause !== undefined;
  const why = hasFailed ? html`<span class="unseen">: ${causeWords(status.cause)}</span>` : NOTHING;
  return html`<span class="${mood}"><span aria-hidden="true">${SIGNS[mood]}</span> ${word}</span>${why}`;
}

function sentenceOf({ sentence, warnings }: RelayStatus): Html {
  const list = warnings.map((warning) => html`<li>${warning}</li>`);
  return html`<p>${sentence}</p>${list.length === 0 ? NOTHING : html`<ul class="warnings">${list}</ul>`}`;
}

function fact(name: string, value: Html | string): Html {
  return html`<div><dt>${name}</dt><dd>${value}</dd></div>`;
}

function factsOf(status: RelayStatus): Html {
  const { now, lastSuccessAt, lastFailure, pending, oldestAgeMs, startedAt, uptimeMs, optedOutBy, dagFactoryEndpoint } = status;
  const how = status.forwardKind === 'ndjson' ? 'in batches of NDJSON' : 'one GET an event';
  const ago = (time: string) => html`${timeOf(time, now)}, ${durationWords(Date.parse(now) - Date.parse(time))} ago`;
  const oldest = oldestAgeMs === undefined || pending === 0 ? '' : `, the oldest for ${durationWords(oldestAgeMs)}`;
  return html`${[
    fact('Endpoint', html`<code>${status.endpoint}</code>, ${how}`),
    ...(dagFactoryEndpoint === undefined ? [] : [fact('Of DAG Factory', html`<code>${dagFactoryEndpoint}</code>, one GET an event`)]),
    ...(optedOutBy === undefined ? [] : [fact('Opted out by', optedOutBy)]),
    fact('Last success', lastSuccessAt === undefined ? 'none yet' : ago(lastSuccessAt)),
    fact('Last failure', lastFailure === undefined ? 'none' : html`${ago(lastFailure.at)}: ${causeWords(lastFailure.cause)}`),
    fact('Waiting events', `${count(pending)}${oldest}`),
    fact('Running', html`for ${durationWords(uptimeMs)}, since ${timeOf(startedAt, now)}`),
    fact('Version', status.version),
  ]}`;
}

const STORES = {
  disk: ['Events are on disk.', 'New events are in memory only.'],
  memory: ['Events are in memory only: there is no spool.', 'Events are in memory only: there is no spool.'],
  queue: ['Events are in a queue that keeps them on disk.', 'New events may not be on disk.'],
} as const;

/** The share of the bar from which its colour warns. */
const NEARLY_FULL = 0.8;

function spoolOf({ state, spool: { kind, bytes, maxBytes, isDurable } }: RelayStatus): Html {
  if (state === 'opted_out') return html`<p>No event is stored.</p>`;
  if (state === 'starting') return html`<p>The store is not open yet.</p>`;
  const words = STORES[kind][isDurable ? 0 : 1];
  if (kind !== 'disk' || maxBytes === undefined) return html`<p>${words}</p>`;
  const share = Math.min(1, bytes / maxBytes);
  const size = `${sizeWords(bytes)} of ${sizeWords(maxBytes)}, ${Math.round(share * 100)}%`;
  const mood = share > NEARLY_FULL ? 'bad' : 'good';
  const filled = html`<rect class="${mood}" width="${Math.round(share * 2000) / 10}" height="10"/>`;
  const bar = html`<rect class="track" width="200" height="10"/>${filled}`;
  return html`<svg class="bar" viewBox="0 0 200 10" preserveAspectRatio="none" role="img" aria-label="${size}">${bar}</svg>
<p>${size}. ${words}</p>`;
}

function totalsOf({ totals, pending }: RelayStatus): Html {
  const rare: readonly (readonly [name: string, events: number])[] = [
    ['Left by an earlier process', totals.recovered],
    ['Came again with the same id', totals.duplicates],
    ['Maybe sent twice', totals.maybeSentTwice],
  ];
  return html`${[
    fact('Accepted', count(totals.accepted)),
    fact('Sent', count(totals.sent)),
    fact('Waiting', count(pending)),
    fact('Failed', count(totals.failed)),
    fact('Dropped', count(totals.dropped)),
    ...rare.filter(({ 1: events }) => events > 0).map(({ 0: name, 1: events }) => fact(name, count(events))),
  ]}`;
}

function reasonsOf({ failedBy, droppedBy, refusedBy, attemptsFailedBy }: RelayStatus): Html {
  const groups = [
    ['Failed', failedBy],
    ['Dropped', droppedBy],
    ['Refused of a batch', refusedBy],
    ['Attempt failed', attemptsFailedBy],
  ] as const;
  const rows = groups.flatMap(({ 0: outcome, 1: reasons }) =>
    Object.entries(reasons).map(({ 0: reason, 1: events }) => [outcome, inWords(reason), count(events)]),
  );
  if (rows.length === 0) return html`<p>No event failed, and none was dropped or refused.</p>`;
  return html`<table>${tableOf(['What', 'Reason', 'Number'], rows)}</table>`;
}

/** A reason with its code, by which docs and metrics name it. */
function inWords(reason: string): string {
  const words = reasonWords(reason);
  if (words !== undefined) return `${words} (${reason})`;
  return isCauseKnown(reason) ? causeWords(reason) : reason;
}

function answersOf({ answers }: RelayStatus): Html {
  const rows = Object.entries(answers).map(({ 0: status, 1: number }) => [status, answerWords(status), count(number)]);
  if (rows.length === 0) return html`<p>No request was answered yet.</p>`;
  return html`<table>${tableOf(['Status', 'Meaning', 'Answers'], rows)}</table>`;
}

function eventsOf(events: readonly ShownEvent[], { now, spool: { kind } }: RelayStatus): Html {
  if (events.length === 0) return html`<p>No event yet.</p>`;
  return html`${events.map((event) => eventOf(event, now, kind === 'queue'))}`;
}

function eventOf({ id, at, type, fate, fields, lost }: ShownEvent, now: string, isShared: boolean): Html {
  const unknown = isShared && fate.kind === 'waiting' ? ', unless another relay of the queue has taken it' : '';
  const reason = fate.reason === undefined ? unknown : `: ${inWords(fate.reason)}`;
  const mood = fate.kind === 'failed' || fate.kind === 'dropped' ? 'bad' : fate.kind === 'sent' ? 'good' : 'calm';
  const rows = fields.map(
    ({ name, value, meaning }) =>
      html`<div><dt><code>${name}</code></dt><dd><code>${value}</code><small>${meaning ?? 'Not a declared field.'}</small></dd></div>`,
  );
  const without = lost.map(({ name, why }) => html`<div><dt><code>${name}</code></dt><dd>Not forwarded: ${WHY_DROPPED[why]}.</dd></div>`);
  const head = html`<code>${type}</code> ${timeOf(at, now)} <span class="${mood}">${fate.kind}</span>${reason}`;
  const body = html`<dl class="fields">${rows}${without}</dl>`;
  return html`<details id="event-${id}"><summary id="event-${id}-summary">${head}</summary>${body}</details>`;
}
