/*
 * The command `relay status`: asks a running relay for its `/statusz`, and shows it as text or JSON, once or every two seconds.
 */
import { request as httpRequest } from 'node:http';
import type { IncomingMessage } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { parseArgs } from 'node:util';
import { DEFAULT_LISTEN } from '../base/constants.js';
import { describe, durationWords, errorCode, printable, shorten, sizeWords } from '../base/describe.js';
import type { RelayStatus } from '../relay/status.js';
import { usageError } from './command.js';
import { CliFailure, EXIT, LIMITS } from './exit-codes.js';
import { endOf, readPrefix } from './service.js';
import { columns, paintFor, READER_ENDED, TEXT_WIDTH, tryToWrite, widthOf, wrap, writeTo } from './terminal.js';
import type { CliIo, Paint } from './terminal.js';

/** The times of the command, in milliseconds, and what ends `--watch`. Tests replace them. */
interface StatusTimes {
  /** How long a relay may take to answer. @default 5000 */
  readonly timeoutMs?: number;
  /** Between two looks of `--watch`. @default 2000 */
  readonly watchMs?: number;
  /** Ends `--watch`. @default the first SIGINT or SIGTERM */
  readonly end?: Promise<void>;
}

const TIMEOUT_MS = 5000;
const WATCH_MS = 2000;

/** The longest answer that is read. A status has some kilobytes. */
const MAX_BYTES = 1 << 20;

/** The states in which events are delivered, or none waits. */
const GOOD: ReadonlySet<string> = new Set(['delivering', 'idle'] satisfies RelayStatus['state'][]);

/** What the relay says to a path that it does not have. */
const UNKNOWN_PATH = 'unknown path\n';
const FOREIGN_HOST = 'the Host header is not a name of this relay\n';

/**
 * Shows the status of a relay.
 *
 * @returns The exit code: 0 if the relay delivers or is idle, or `--watch` was ended; 1 if it does not deliver.
 * @throws CliFailure for wrong arguments, and if no relay answers.
 */
export async function runRelayStatus(args: readonly string[], io: CliIo, program: string, times: StatusTimes = {}): Promise<number> {
  const { stdout = process.stdout, env = process.env } = io;
  const { url, isJson, isWatch, prefixFile, wantsHelp } = parseStatusFlags(args, `${program} relay status`);
  if (wantsHelp) {
    await writeTo(stdout, helpText(program));
    return EXIT.ok;
  }
  const base = prefixFile === undefined ? url : new URL(`${encodeURIComponent(await readPrefix(prefixFile))}/`, url);
  const { timeoutMs = TIMEOUT_MS } = times;
  const isTTY = io.isTTY ?? stdout.isTTY === true;
  const show: Show = { isJson, isTTY, paint: paintFor(isTTY, env), width: () => widthOf(stdout) };
  if (isWatch) return watch(base, stdout, show, { timeoutMs, ...times });
  const status = await ask(base, timeoutMs);
  const text = isJson ? `${jsonOf(status, 2)}\n` : textOf(statusLines(status, show));
  const why = await writeTo(stdout, text);
  if (why !== undefined) throw new CliFailure(`cannot write to standard output (${why})`);
  return GOOD.has(status.state) ? EXIT.ok : EXIT.failure;
}

/** How a status is shown. */
interface Show {
  readonly isJson: boolean;
  readonly isTTY: boolean;
  readonly paint: Paint;
  readonly width: () => number;
}

/** Moves to the top left, and clears the rest of the screen or of a line. */
const HOME = '\u001b[H';
const CLEAR_BELOW = '\u001b[J';
const CLEAR_LINE = '\u001b[K';

/** Shows the status again and again until a signal. A relay that does not answer is shown, too: it may come back. */
async function watch(
  base: URL,
  stdout: NonNullable<CliIo['stdout']>,
  show: Show,
  { timeoutMs, watchMs = WATCH_MS, end }: StatusTimes & { timeoutMs: number },
): Promise<number> {
  const ended = end ?? endOf(process).signalled;
  const over = new AbortController();
  const { signal } = over;
  // One reaction for all looks: each further one would stay until the end.
  let wake: (() => void) | undefined;
  const onEnd = (): void => {
    over.abort();
    wake?.();
  };
  void ended.then(onEnd);
  while (!signal.aborted) {
    const found = await look(base, timeoutMs, signal);
    if (signal.aborted) break;
    const why = await tryToWrite(stdout, watchText(found, show));
    if (why === READER_ENDED) break;
    if (why !== undefined) throw new CliFailure(`cannot write to standard output (${why})`);
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, signal.aborted ? 0 : watchMs);
      wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }
  return EXIT.ok;
}

/** A status, or why there is none. */
type Found = { readonly status: RelayStatus } | { readonly problem: string };

async function look(base: URL, timeoutMs: number, signal: AbortSignal): Promise<Found> {
  try {
    return { status: await ask(base, timeoutMs, signal) };
  } catch (error) {
    if (error instanceof CliFailure) return { problem: error.message };
    throw error;
  }
}

function watchText(found: Found, show: Show): string {
  const nowText = new Date().toISOString();
  if (show.isJson) return `${jsonOf('status' in found ? found.status : { now: nowText, problem: found.problem })}\n`;
  if (!show.isTTY) {
    if ('problem' in found) return `${nowText} ${found.problem}\n`;
    const { now, sentence, totals } = found.status;
    return `${printable(`${now} ${sentence} ${countsOf(totals)} since the start.`)}\n`;
  }
  const lines = 'status' in found ? statusLines(found.status, show) : wrap(found.problem, show.width());
  return `${HOME}${lines.map((line) => `${line}${CLEAR_LINE}\n`).join('')}${CLEAR_BELOW}`;
}

/** As JSON. Terminals obey the control characters that JSON leaves as they are, and any server may have written them. */
function jsonOf(document: object, indent?: number): string {
  return JSON.stringify(document, undefined, indent).replaceAll(/[\u007f-\u009f]/g, (one) => `\\u00${one.charCodeAt(0).toString(16)}`);
}

/** An answer of a server. */
interface Answer {
  readonly status: number;
  readonly text: string;
}

/** Asks for the status. @throws (rejects) CliFailure that says why there is none. It names the server, and never a secret prefix. */
async function ask(base: URL, timeoutMs: number, signal?: AbortSignal): Promise<RelayStatus> {
  const { status, text } = await get(new URL('statusz', base), timeoutMs, signal);
  const document = status === 200 ? parsed(text) : undefined;
  if (isStatus(document)) return document;
  const { origin, hostname } = base;
  if (status === 403 && text === FOREIGN_HOST)
    throw new CliFailure(`the relay at ${origin} is not known by this name: start it with \`--allowed-host ${hostname}\``);
  if (status !== 404 || text !== UNKNOWN_PATH)
    throw new CliFailure(`no relay answers at ${origin}, but another server does (status ${status})`);
  const health = await get(new URL('healthz', base), timeoutMs, signal);
  if (health.status === 200) throw new CliFailure(`the relay at ${origin} has no /statusz: it is of an older version`);
  throw new CliFailure(
    `the relay at ${origin} has no /statusz there: give the address of its \`--metrics-listen\`, or the URL with its prefix, if it has one`,
  );
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

const TEXTS = ['version', 'startedAt', 'now', 'state', 'sentence', 'endpoint', 'forwardKind'] as const;
const OBJECTS = ['spool', 'totals', 'failedBy', 'droppedBy', 'refusedBy', 'attemptsFailedBy', 'answers'] as const;

/** Whether a document is a status, so far as it is shown. */
function isStatus(value: unknown): value is RelayStatus {
  if (typeof value !== 'object' || value === null) return false;
  const document = value as Record<keyof RelayStatus, unknown>;
  return (
    TEXTS.every((name) => typeof document[name] === 'string') &&
    OBJECTS.every((name) => typeof document[name] === 'object' && document[name] !== null) &&
    typeof document.uptimeMs === 'number' &&
    typeof document.pending === 'number' &&
    isTime(document.now) &&
    (document.lastSuccessAt === undefined || isTime(document.lastSuccessAt)) &&
    (document.dagFactoryEndpoint === undefined || typeof document.dagFactoryEndpoint === 'string') &&
    (document.oldestAgeMs === undefined || typeof document.oldestAgeMs === 'number') &&
    (document.lastFailure === undefined || isFailure(document.lastFailure)) &&
    hasAll(document.spool, ['bytes'], 'number') &&
    hasAll(document.totals, COUNTS, 'number') &&
    Array.isArray(document.warnings) &&
    document.warnings.every((warning) => typeof warning === 'string') &&
    Array.isArray(document.minutes) &&
    document.minutes.every((minute) => hasAll(minute, COUNTS, 'number'))
  );
}

const COUNTS = ['accepted', 'sent', 'failed', 'dropped'];

function isTime(value: unknown): boolean {
  return typeof value === 'string' && !Number.isNaN(Date.parse(value));
}

function isFailure(value: unknown): boolean {
  return hasAll(value, ['at', 'cause'], 'string') && isTime((value as { at: string }).at);
}

function hasAll(value: unknown, names: readonly string[], type: 'string' | 'number'): boolean {
  return typeof value === 'object' && value !== null && names.every((name) => typeof (value as Record<string, unknown>)[name] === type);
}

/** Why no answer came, by the code of an error of node:http. */
const WHY: ReadonlyMap<string, string> = new Map([
  ['ECONNREFUSED', 'the connection is refused'],
  ['ECONNRESET', 'the connection was closed'],
  ['EHOSTUNREACH', 'there is no route'],
  ['ENETUNREACH', 'there is no route'],
  ['ETIMEDOUT', 'the connection takes too long'],
  ['ENOTFOUND', 'the name has no address'],
  ['EPROTO', 'it does not speak TLS as this program does'],
  ['EAI_AGAIN', 'the name server does not answer'],
]);

/** One GET, without a proxy: a relay is on this machine or in its network. @throws (rejects) CliFailure if no answer comes. */
function get(url: URL, timeoutMs: number, signal?: AbortSignal): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const fail = (error: unknown): void => {
      const code = errorCode(error);
      const why = LIMITS.get(code) ?? WHY.get(code) ?? (code.startsWith('HPE_') ? 'the answer is no HTTP' : code);
      reject(new CliFailure(`no relay answers at ${url.origin}: ${why}`));
    };
    const send = url.protocol === 'https:' ? httpsRequest : httpRequest;
    const sent = send(url, { agent: false, headers: { accept: 'application/json' }, ...(signal && { signal }) }, (response) => {
      textOfBody(response).then((text) => resolve({ status: response.statusCode ?? 0, text }), fail);
    });
    const timer = setTimeout(() => {
      reject(new CliFailure(`no relay answers at ${url.origin} within ${timeoutMs / 1000} s`));
      sent.destroy();
    }, timeoutMs);
    sent.on('error', fail);
    sent.on('close', () => clearTimeout(timer));
    sent.end();
  });
}

/** The body as text. One that is longer than a status is cut: then it is none. */
async function textOfBody(response: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of response as AsyncIterable<Buffer>) {
    chunks.push(chunk);
    bytes += chunk.length;
    if (bytes > MAX_BYTES) break;
  }
  return Buffer.concat(chunks).toString();
}

const LABEL_WIDTH = 20;

/** A status as text. It may come from any server, so no character of it reaches the terminal unseen. */
export function statusLines(status: RelayStatus, { paint, width }: Pick<Show, 'paint' | 'width'>): string[] {
  const { state, now, lastSuccessAt, lastFailure, pending, oldestAgeMs, totals, warnings, dagFactoryEndpoint } = status;
  const ago = (at: string): string => `${clockTime(at)}, ${durationWords(Date.parse(now) - Date.parse(at))} ago`;
  const oldest = oldestAgeMs === undefined ? '' : `, the oldest for ${durationWords(oldestAgeMs)}`;
  const rows: [string, string][] = [
    ['endpoint', `${status.endpoint}, ${status.forwardKind === 'ndjson' ? 'in batches of NDJSON' : 'one GET an event'}`],
    ...(dagFactoryEndpoint === undefined ? [] : [['of DAG Factory', `${dagFactoryEndpoint}, one GET an event`] as [string, string]]),
    ['last success', lastSuccessAt === undefined ? 'none since the start' : ago(lastSuccessAt)],
    ['last failure', lastFailure === undefined ? 'none since the start' : `${lastFailure.cause}, ${ago(lastFailure.at)}`],
    ['waiting', `${pending} ${pending === 1 ? 'event' : 'events'}${oldest}`],
    ['store', storeWords(status.spool)],
    ['since the start', countsOf(totals)],
    ['in the last hour', countsOf(lastHour(status.minutes))],
    ...reasonRows(status),
    ...warnings.map((warning): [string, string] => ['warning', warning]),
    ['relay', `version ${status.version}, running for ${durationWords(status.uptimeMs)}`],
  ];
  const safe = rows.map(({ 0: label, 1: text }) => [label, printable(text)]);
  const paintState = GOOD.has(state) ? paint.good : paint.bad;
  const [first = '', ...rest] = wrap(printable(status.sentence), width());
  const word = /^(?:Opted out|Debug mode|\w+)/.exec(first)?.[0] ?? '';
  return [`${paintState(paint.strong(word))}${first.slice(word.length)}`, ...rest, '', ...columns(safe, [LABEL_WIDTH], width(), '  ')];
}

function reasonRows({ failedBy, droppedBy, refusedBy, attemptsFailedBy, answers, totals }: RelayStatus): [string, string][] {
  const rows: [string, Readonly<Record<string, number>>][] = [
    ['failed because of', failedBy],
    ['dropped because of', droppedBy],
    ['refused because of', refusedBy],
    ['failed attempts', attemptsFailedBy],
    ['answers by status', answers],
  ];
  const { recovered, duplicates, maybeSentTwice } = totals;
  const others = { 'of an earlier process': recovered, 'came again': duplicates, 'maybe sent twice': maybeSentTwice };
  rows.unshift(['other counts', Object.fromEntries(Object.entries(others).filter(({ 1: events }) => events > 0))]);
  return rows.flatMap(({ 0: label, 1: counts }): [string, string][] => {
    const words = Object.entries(counts).map(({ 0: name, 1: events }) => `${name}: ${events}`);
    return words.length === 0 ? [] : [[label, words.join(', ')]];
  });
}

type Counts = Pick<RelayStatus['totals'], 'accepted' | 'sent' | 'failed' | 'dropped'>;

function countsOf({ accepted, sent, failed, dropped }: Counts): string {
  return `${accepted} accepted, ${sent} sent, ${failed} failed, ${dropped} dropped`;
}

function lastHour(minutes: RelayStatus['minutes']): Counts {
  const sum = { accepted: 0, sent: 0, failed: 0, dropped: 0 };
  for (const { accepted, sent, failed, dropped } of minutes) {
    sum.accepted += accepted;
    sum.sent += sent;
    sum.failed += failed;
    sum.dropped += dropped;
  }
  return sum;
}

function storeWords({ kind, bytes, maxBytes, isDurable }: RelayStatus['spool']): string {
  if (kind !== 'disk') return kind === 'queue' ? `a shared queue${isDurable ? '' : ', not on disk yet'}` : 'memory';
  const limit = maxBytes === undefined ? '' : ` of ${sizeWords(maxBytes)} (${Math.floor((bytes / maxBytes) * 100)}%)`;
  return `disk, ${sizeWords(bytes)}${limit}${isDurable ? '' : ', which does not take events now'}`;
}

/** `2026-11-28 14:02:11 UTC` */
function clockTime(at: string): string {
  return at.replace('T', ' ').replace(/\.\d+Z$/, ' UTC');
}

function textOf(lines: readonly string[]): string {
  return lines.map((line) => `${line}\n`).join('');
}

/** The parsed arguments after `relay status`. */
interface StatusCommandLine {
  readonly wantsHelp: boolean;
  /** Ends with a slash. */
  readonly url: URL;
  readonly isJson: boolean;
  readonly isWatch: boolean;
  readonly prefixFile: string | undefined;
}

const FLAGS = {
  json: { type: 'boolean' },
  watch: { type: 'boolean' },
  'prefix-file': { type: 'string' },
  help: { type: 'boolean', short: 'h' },
} as const;

/** @throws CliFailure that names an unknown option, a wrong value, or an argument too many. */
function parseStatusFlags(args: readonly string[], command: string): StatusCommandLine {
  const { tokens } = parseArgs({ args: [...args], options: FLAGS, strict: false, allowPositionals: true, tokens: true });
  const given = new Set<string>();
  const urls: string[] = [];
  let prefixFile: string | undefined;
  for (const token of tokens) {
    if (token.kind === 'positional') urls.push(token.value);
    if (token.kind !== 'option') continue;
    if (!Object.hasOwn(FLAGS, token.name)) throw usageError(`unknown option ${shorten(token.rawName)}`, command);
    if (token.name !== 'prefix-file') {
      if (token.value !== undefined) throw usageError(`option ${token.rawName} takes no value`, command);
    } else if (token.value === undefined || token.value === '') throw usageError('option --prefix-file needs a value', command);
    else prefixFile = token.value;
    given.add(token.name);
  }
  const { 0: url = DEFAULT_LISTEN, 1: more } = urls;
  if (more !== undefined) throw usageError(`relay status takes one URL, got ${shorten(withoutPath(more))}, too`, command);
  return {
    wantsHelp: given.has('help'),
    url: parseRelayUrl(url, command),
    isJson: given.has('json'),
    isWatch: given.has('watch'),
    prefixFile,
  };
}

const HOST_AND_PORT = /^(?:\[[\da-f:.]+\]|[\w.-]+):\d{1,5}$/i;

/** A text as an error may show it: its path may have a secret prefix. */
function withoutPath(text: string): string {
  const shown = /^(?:[a-z][\w+.-]*:\/\/)?[^/?#]*/i.exec(text)?.[0] ?? '';
  return shown === text ? text : `${shown}/...`;
}

/** What may follow the address of a relay and its prefix: the path of its status, and that of Cosmos' events. */
const KNOWN_END = /\/(?:statusz|astronomer-cosmos)?\/*$/;

/** The URL below which the paths of a relay are. A text as `--listen` takes it is one, too. */
function parseRelayUrl(text: string, command: string): URL {
  const href = HOST_AND_PORT.test(text) ? `http://${text}` : text;
  const url = URL.canParse(href) ? new URL(href) : undefined;
  const isPlain = url !== undefined && /^https?:$/.test(url.protocol) && url.username + url.password + url.search + url.hash === '';
  if (!isPlain) {
    const shown = describe(withoutPath(text));
    throw usageError(`relay status takes the http or https URL of a relay, without credentials and query, got ${shown}`, command);
  }
  url.pathname = `${url.pathname.replace(KNOWN_END, '')}/`;
  return url;
}

const OPTIONS = [
  ['--json', 'print the document of /statusz; with --watch one a line'],
  ['--watch', 'show it every 2 seconds, until SIGINT (Ctrl+C)'],
  ['--prefix-file FILE', 'file with the secret prefix of the relay; other users can see a command line'],
  ['--help', 'show this help'],
] as const;

function helpText(program: string): string {
  return textOf([
    `Usage: ${program} relay status [URL] [options]`,
    '',
    'Show whether a relay delivers events, since when and why not, and what waits.',
    '',
    `URL is the address of the relay (http://${DEFAULT_LISTEN}), or that of its --metrics-listen. If the relay has a`,
    'prefix, the URL has it too: http://127.0.0.1:8787/PREFIX. No proxy is used. An answer takes 5 s at most.',
    '',
    'Options:',
    ...columns(OPTIONS, [LABEL_WIDTH], TEXT_WIDTH, '  '),
    '',
    'Exit codes:',
    '  0  events are delivered, or none waits; or --watch was ended',
    '  1  no event is delivered, or no relay answers',
    '  2  usage error: unknown or wrong option',
  ]);
}
