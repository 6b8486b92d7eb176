/*
 * Events as lines of JSON, many in a POST, to an endpoint of one's own. The connections, proxies, names and limits are those of
 * `fetchTransport`; the lines are those of `wire/ndjson.ts`.
 */
import { anObject, anyOf, aUrl, checkOptions, integer, MAX_TIMER_MS, milliseconds } from '../../base/check-options.js';
import type { Check } from '../../base/check-options.js';
import { systemClock } from '../../base/clock.js';
import type { Clock } from '../../base/clock.js';
import { DEFAULTS } from '../../base/constants.js';
import { describe, hrefOf } from '../../base/describe.js';
import { bare, bareStreamOptions } from '../../base/foreign-values.js';
import { Log } from '../../base/log.js';
import type { UrlObject } from '../../base/platform-types.js';
import { ndjsonLine, NdjsonLines } from '../../wire/ndjson.js';
import { circuitBreaker } from '../circuit-breaker.js';
import type { TlsSettings } from '../http/agents.js';
import { checkTransportOptions, FetchTransport, loadClient } from '../http/fetch-transport.js';
import type { FetchTransportOptions, FetchTransportParts } from '../http/fetch-transport.js';
import { retrying } from '../retry.js';
import { eventParts, steering, UNANSWERED_REASONS, UNWRITTEN_REASON } from '../transport.js';
import type { EventOutcome, EventParts, SendOutcome, Steering, Transport, UsageEvent } from '../transport.js';
import { partialOutcome } from './answers.js';
import { checkTls } from './certificates.js';
import { OwnHeaders } from './own-headers.js';
import type { HeadersOption } from './own-headers.js';

/**
 * Options of `ndjsonTransport`.
 *
 * @example
 * const options: NdjsonTransportOptions = {
 *   endpoint: 'https://events.acme.example/ingest?source=acme',
 *   headers: async () => ({ authorization: `Bearer ${await Promise.resolve('token')}` }),
 *   lingerMs: 5000,
 * };
 */
export interface NdjsonTransportOptions extends Omit<FetchTransportOptions, 'endpoint'> {
  /**
   * The very URL that is posted to, its query included: http or https, without credentials and fragment.
   * @example 'https://clickhouse.acme.example/?query=INSERT%20INTO%20usage_events%20FORMAT%20JSONEachRow'
   */
  endpoint: string | UrlObject;
  /**
   * Headers of each request, for example `authorization`, or a function that is asked for them before each attempt. Only the endpoint's own
   * origin gets them. No log, error or debug line shows them. If the function fails, its events are tried again and then fail as
   * `headers_failed`.
   * @default none
   * @example { authorization: 'Bearer token' }
   */
  headers?: HeadersOption | undefined;
  /** The authorities to trust instead of Node's, in PEM. @default Node's */
  ca?: string | Uint8Array | readonly (string | Uint8Array)[] | undefined;
  /** The certificate that the client shows, in PEM, perhaps with those between it and its authority. It needs `key`. @default none */
  cert?: string | Uint8Array | undefined;
  /** The private key of `cert`, in PEM, without a passphrase. @default none */
  key?: string | Uint8Array | undefined;
  /** The most events in a request, 1 to 10,000. @default 512 */
  maxBatchSize?: number | undefined;
  /** How long a request waits for more events, in milliseconds, up to an hour. @default 1000 */
  lingerMs?: number | undefined;
  /** Whether bodies above 1 KiB are compressed by gzip. @default true */
  gzip?: boolean | undefined;
  /** Retries of a request, with exponential backoff and full jitter from 250 ms; 0 to 100. @default 2 */
  retries?: number | undefined;
}

/** What tests replace. @internal */
export interface NdjsonTransportParts extends Pick<FetchTransportParts, 'clock' | 'lookup' | 'load' | 'log'> {
  random?: () => number;
}

const HOUR_MS = 3_600_000;

const PEM: Check = ['a text or bytes in PEM', (value) => isPem(value)];
const PEMS: Check = ['a text or bytes in PEM, or a list of these', (value) => isPem(value) || (Array.isArray(value) && value.every(isPem))];

function isPem(value: unknown): boolean {
  return (typeof value === 'string' && value !== '') || value instanceof Uint8Array;
}

/**
 * Delivers events as lines of JSON (NDJSON): up to 512 in a POST, compressed by gzip above 1 KiB, over the connections, proxies and name
 * look-up of `fetchTransport`. It retries, and has a circuit breaker: do not put further ones around it. A retry is safe, since each line
 * has the `id` of its event: the receiver deduplicates by it.
 *
 * - 2xx is `sent`. A body `{"errors":[{"id":"...","status":400}]}` names the events that were not accepted, each with a status that is
 *   judged
 *   like that of a response. A 207 without such a body is tried again.
 * - 408, 425, 429, 5xx, timeouts and broken connections are tried again, after `Retry-After` if there is one. Other statuses are final.
 * - 413 halves the batch. One event that is still too large is `refused` as `too_large`.
 * - 307 and 308 are followed like redirects of `fetchTransport`. Other redirects are refused, since they ask for a GET.
 *
 * It loads and opens nothing before the first send. Its connections and timers do not hold the process.
 *
 * @param options The endpoint is required; all else has a default.
 * @throws TypeError naming the option, and its value unless that is secret, for an unknown option or a bad value.
 * @example
 * const transport = ndjsonTransport({ endpoint: 'https://events.acme.example/ingest', headers: { authorization: 'Bearer token' } });
 * const telemetry = createTelemetry({ product: { name: 'acme', version: '1.2.0' }, transport });
 * console.log(transport.maxBatchSize, transport.lingerMs); // 512 1000
 */
export function ndjsonTransport(options: NdjsonTransportOptions): Transport {
  return ndjsonTransportWith(options);
}

/** As `ndjsonTransport`, with time, names and loading as parameters. @internal */
export function ndjsonTransportWith(options: NdjsonTransportOptions, parts: NdjsonTransportParts = {}): Transport {
  const checked = checkNdjsonOptions(options);
  const { retries } = checked;
  const { clock = systemClock, random = Math.random } = bare(parts);
  const attempts = new NdjsonTransport(checked, { ...parts, clock });
  return retrying(circuitBreaker(attempts, { clock, random }), { retries, random, clock });
}

interface Checked {
  readonly url: string;
  readonly http: FetchTransportOptions;
  readonly headers: OwnHeaders;
  readonly tls: TlsSettings | undefined;
  readonly maxBatchSize: number;
  readonly lingerMs: number;
  readonly gzip: boolean;
  readonly retries: number;
  readonly attemptTimeoutMs: number;
}

function checkNdjsonOptions(options: NdjsonTransportOptions): Checked {
  const anything: Check = ['anything', () => true];
  const checked = checkOptions<NdjsonTransportOptions>('options of ndjsonTransport', options, {
    endpoint: aUrl,
    headers: anything,
    ca: PEMS,
    cert: PEM,
    key: PEM,
    maxBatchSize: integer(1, 10_000),
    lingerMs: milliseconds(0, HOUR_MS),
    gzip: anyOf(true, false),
    retries: integer(0, 100),
    connectTimeoutMs: milliseconds(1, MAX_TIMER_MS),
    attemptTimeoutMs: milliseconds(1, MAX_TIMER_MS),
    allowedRedirectHosts: anything,
    proxy: anything,
    maxSockets: anything,
    env: anObject,
    logger: anything,
  });
  const {
    endpoint,
    headers,
    ca,
    cert,
    key,
    maxBatchSize = 512,
    lingerMs = 1000,
    gzip = true,
    retries = DEFAULTS.retries,
    ...rest
  } = checked;
  const url = parseUrl(endpoint);
  const tls = checkTls({ ca, cert, key });
  if (tls !== undefined && !url.startsWith('https:')) {
    throw new TypeError('Expected `endpoint` to be an https URL, since `ca`, `cert` and `key` are of no use without TLS.');
  }
  const http = { ...rest, endpoint: new URL(url).origin };
  // It checks the options that both have.
  const { attemptTimeoutMs } = checkTransportOptions(http);
  return { url, http, headers: new OwnHeaders(headers), tls, maxBatchSize, lingerMs, gzip, retries, attemptTimeoutMs };
}

function parseUrl(value: unknown): string {
  const text = hrefOf(value) ?? value;
  if (typeof text === 'string' && URL.canParse(text) && !text.includes('#')) {
    const url = new URL(text);
    if ((url.protocol === 'http:' || url.protocol === 'https:') && url.username === '' && url.password === '') return url.href;
  }
  throw new TypeError(`Expected \`endpoint\` to be an http or https URL without credentials and fragment, got ${describe(value)}.`);
}

/** The outcome of events whose request was not written: they go back to where they came from. */
const UNWRITTEN: EventOutcome = { kind: 'deferred', waitMs: 0, reason: UNWRITTEN_REASON };
const INVALID: EventOutcome = { kind: 'refused', reason: 'invalid' };
const TOO_LARGE: EventOutcome = { kind: 'refused', reason: 'too_large' };
const HEADERS_FAILED: EventOutcome = { kind: 'retryable', reason: 'headers_failed' };

/** Room in an answer to name each event, with its reason. */
const ANSWER_BYTES_PER_EVENT = 256;

/** A body up to this size fits into one packet, or nearly: to compress it costs more than it saves. */
const GZIP_ABOVE_BYTES = 1024;

/** Level 1: on lines of the same few fields it is as good as level 6 within a fifth, and takes a third of the time. */
const GZIP_OPTIONS = { level: 1 };

/** After so many requests without a 413, twice as many events are tried in one. */
const GROW_AFTER = 32;

/** So many lines are one text: V8 has a costlier place for larger ones than these. */
const LINES_PER_WRITE = 64;

const FIRST_BYTES = 65_536;
const MAX_KEPT_BYTES = 1_048_576;

/** The text of one request, in memory that is used again: to get and to free it would cost more than to fill it. */
class TextBuffer {
  #bytes: Buffer | undefined;
  #length = 0;

  get bytes(): Uint8Array {
    return (this.#bytes ?? Buffer.alloc(0)).subarray(0, this.#length);
  }

  clear(): void {
    if (this.#bytes !== undefined && this.#bytes.length > MAX_KEPT_BYTES) this.#bytes = undefined;
    this.#length = 0;
  }

  write(text: string): void {
    // UTF-8 has at most three bytes for each unit of a text.
    const needed = this.#length + 3 * text.length;
    const old = this.#bytes;
    if (old === undefined || old.length < needed) {
      this.#bytes = Buffer.allocUnsafeSlow(Math.max(FIRST_BYTES, 2 * needed));
      old?.copy(this.#bytes, 0, 0, this.#length);
    }
    this.#length += this.#bytes?.write(text, this.#length) ?? 0;
  }
}

/** One attempt for each batch; more if the server wants smaller ones. */
class NdjsonTransport implements Transport {
  readonly maxBatchSize: number;
  readonly lingerMs: number;
  readonly #checked: Checked;
  readonly #http: FetchTransport;
  readonly #clock: Clock;
  readonly #log: Log;
  /** How many events a request may have: fewer after a 413. */
  #limit: number;
  /** Requests of that many events since the last 413. */
  #accepted = 0;

  readonly #text = new TextBuffer();
  /** By what all events of a type have. */
  readonly #lines = new WeakMap<EventParts['base'], NdjsonLines>();
  readonly [steering]: Steering;

  constructor(checked: Checked, parts: NdjsonTransportParts & { clock: Clock }) {
    const { clock, log = new Log(checked.http.logger, clock), lookup } = bare(parts);
    const load: NonNullable<FetchTransportParts['load']> = parts.load ?? (async (settings) => (await loadClient()).openNodeHttp(settings));
    this.#checked = checked;
    this.#clock = clock;
    this.#log = log;
    this.maxBatchSize = this.#limit = checked.maxBatchSize;
    this.lingerMs = checked.lingerMs;
    const { tls } = checked;
    this.#http = new FetchTransport(checked.http, { clock, log, lookup, tls, load, abortedUnwritten: UNWRITTEN });
    this[steering] = { ...this.#http[steering], shows: (event) => `POST ${checked.url} ${lineOf(event, clock)}` };
  }

  async send(events: readonly UsageEvent[], signal: AbortSignal): Promise<SendOutcome> {
    if (signal.aborted) return UNWRITTEN;
    const { length } = events;
    const untilMs = this.#clock.now() + this.#checked.attemptTimeoutMs;
    const outcomes: EventOutcome[] = [];
    while (outcomes.length < length) {
      const from = outcomes.length;
      const end = Math.min(length, from + this.#limit);
      const outcome = await this.#post(events.slice(from, end), signal);
      if (outcome.kind === 'partial') outcomes.push(...outcome.outcomes);
      else if (!isTooLarge(outcome)) for (let index = from; index < end; index += 1) outcomes.push(outcome);
      else if (end - from === 1) outcomes.push(TOO_LARGE);
      this.#learn(end - from, outcome);
      // What was not tried goes back: without a final answer there is no reason to try it now, and the dispatcher ends a send that takes
      // too long.
      if (signal.aborted || !isFinal(outcome) || this.#clock.now() >= untilMs) while (outcomes.length < length) outcomes.push(UNWRITTEN);
    }
    const [first] = outcomes;
    return first !== undefined && outcomes.every((outcome) => outcome === first) ? first : { kind: 'partial', outcomes };
  }

  close(): void {
    this.#http.close();
  }

  /** Fewer events after a 413, and more after many requests without one. */
  #learn(events: number, outcome: SendOutcome): void {
    if (isTooLarge(outcome)) {
      this.#limit = Math.min(this.#limit, Math.max(1, Math.floor(events / 2)));
      this.#accepted = 0;
    } else if (events === this.#limit && this.#limit < this.maxBatchSize && (outcome.kind === 'sent' || outcome.kind === 'partial')) {
      this.#accepted += 1;
      if (this.#accepted < GROW_AFTER) return;
      this.#limit = Math.min(this.maxBatchSize, this.#limit * 2);
      this.#accepted = 0;
    }
  }

  async #post(events: readonly UsageEvent[], signal: AbortSignal): Promise<SendOutcome> {
    const { url, headers, gzip, attemptTimeoutMs } = this.#checked;
    const ownHeaders = await headers.read(signal, attemptTimeoutMs, this.#clock);
    if (signal.aborted) return UNWRITTEN;
    if (ownHeaders === undefined) {
      this.#log.warn(
        'headers_failed',
        'the `headers` of ndjsonTransport gave none, or none that HTTP allows: nothing is sent without them',
      );
      return HEADERS_FAILED;
    }
    let text: Uint8Array;
    try {
      text = this.#textOf(events);
    } catch {
      return INVALID;
    }
    // Without it a server may compress its answer (RFC 9110, 12.5.3), which is not inflated here.
    const content: Record<string, string> = { 'content-type': 'application/x-ndjson', 'accept-encoding': 'identity' };
    let body: Uint8Array;
    if (gzip && text.length > GZIP_ABOVE_BYTES) {
      body = process.getBuiltinModule('node:zlib').gzipSync(text, bareStreamOptions(GZIP_OPTIONS));
      content['content-encoding'] = 'gzip';
    } else body = Buffer.from(text);
    content['content-length'] = String(body.length);
    const outcome = await this.#http.attempt(url, signal, {
      body,
      headers: content,
      ownHeaders,
      maxAnswerBytes: ANSWER_BYTES_PER_EVENT * events.length,
      judge: (byStatus, status, received, answer) => partialOutcome({ byStatus, status, received, answer, events, clock: this.#clock }),
    });
    // The receiver knows a line that it has already: what may have been read may be sent again.
    return outcome.kind === 'rejected' && UNANSWERED_REASONS.has(outcome.reason) ? { ...outcome, kind: 'retryable' } : outcome;
  }

  /** The lines are not kept while the request is under way: the garbage collector would carry each piece of them along. */
  #textOf(events: readonly UsageEvent[]): Uint8Array {
    const text = this.#text;
    text.clear();
    for (let from = 0; from < events.length; from += LINES_PER_WRITE) {
      const lines = events.slice(from, from + LINES_PER_WRITE).map((event) => this.#partsLineOf(event) ?? lineOf(event, this.#clock));
      // An empty text at the end puts a newline after the last line.
      lines.push('');
      text.write(lines.join('\n'));
    }
    return text.bytes;
  }

  #partsLineOf(event: UsageEvent): string | undefined {
    const { [eventParts]: given } = event;
    // A transport may hand on a proxy with other metrics, which answers with the parts of what is behind it.
    if (given?.of !== event) return undefined;
    const { base, own, metadata } = given;
    let lines = this.#lines.get(base);
    if (lines === undefined) this.#lines.set(base, (lines = new NdjsonLines(event, base)));
    return lines.line(event, own, metadata);
  }
}

/** Whether an answer decides over the events of its request. It says nothing of others, one of which may be why it is a refusal. */
function isFinal({ kind }: SendOutcome): boolean {
  return kind === 'sent' || kind === 'partial' || kind === 'rejected' || kind === 'refused';
}

function isTooLarge(outcome: SendOutcome): boolean {
  return outcome.kind === 'rejected' && outcome.reason === 'http_413';
}

/** An event that a test made may lack a time and kinds. */
function lineOf(event: UsageEvent, clock: Clock): string {
  const { id, type, metrics, timeMs = clock.wallNow() } = event;
  return ndjsonLine({ id, timeMs, type, metrics, kindOf: (name) => event.kindOf?.(name) });
}
