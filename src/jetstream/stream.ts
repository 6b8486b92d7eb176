/** The work queue: its stream and consumer, how an event is published to it, and what the server answers. */
import { given } from '../base/foreign-values.js';
import { idFrom } from '../relay/relayed-event.js';
import { isUuid } from '../wire/ndjson.js';
import type { JetstreamSettings, NatsClient, NatsMessage } from './client.js';
import { JetstreamError } from './client.js';
import { LinkError } from './connection.js';
import type { Link } from './connection.js';

const NS_PER_MS = 1_000_000;

/** How many servers must keep an event, at least, so that one of them may be lost. */
const SAFE_REPLICAS = 3;

/** A repeated publish with the same id is dropped by the server within this time, if the stream is created here. */
const DUPLICATE_WINDOW_MS = 120_000;

/** The stream forgets an event so much later than a relay does: a relay counts what it drops, and the server does not. */
const AGE_MARGIN_MS = 3_600_000;

/** The smallest window and age that the server accepts. */
const MIN_WINDOW_MS = 100;

/** One consumer for all relays: the server hands each event to one of them. */
const CONSUMER = 'relays';

/** What a stream is created with. */
export interface StreamLimits {
  readonly maxBytes: number;
  readonly maxAgeMs: number;
  readonly ackWaitMs: number;
  /** The number of the first event, from NATS 2.10 on. An acknowledgement for a stream of the same name that was deleted must meet none. */
  readonly firstSeq: number;
}

/** What is known of the stream once it is there. */
export interface StreamFacts {
  /** Whether an event that it confirmed survives the loss of a server, or a power loss. */
  readonly isDurable: boolean;
  /** How old the server lets an event become; undefined for no limit. */
  readonly maxAgeMs: number | undefined;
  /** When it was made: another stream of the same name has another time. */
  readonly created: string | undefined;
}

/** What the server answers to a request about a stream. */
interface ApiAnswer {
  readonly error?: { readonly code?: number; readonly err_code?: number; readonly description?: string };
  readonly config?: Readonly<Record<string, unknown>>;
  readonly duplicate?: boolean;
  readonly created?: string;
}

/** Codes of the server: https://github.com/nats-io/nats-server/blob/main/server/errors.json */
/** The servers have no leader now. */
const UNAVAILABLE = 10_008;
const STREAM_NOT_FOUND = 10_059;
const STREAM_NAME_IN_USE = 10_058;
/** Larger than a message of the stream may be. */
const TOO_LARGE = 10_054;
const CONSUMER_EXISTS: ReadonlySet<number | undefined> = new Set([10_013, 10_105, 10_148]);

/** The subject of the events of a stream. */
export function subjectOf(stream: string): string {
  return `${stream}.events`;
}

/** Asks the server. @throws (rejects) LinkError */
async function ask(link: Link, subject: string, body: object | undefined, timeoutMs: number): Promise<ApiAnswer> {
  const { data } = await link.request(subject, body === undefined ? '' : JSON.stringify(body), timeoutMs);
  const answer = parse(data);
  if (answer === undefined) throw new LinkError('network');
  if (answer.error?.err_code === UNAVAILABLE) throw new LinkError('no_stream');
  return answer;
}

/** The JSON object of a message. @returns Undefined for anything else. */
function parse(data: Uint8Array): ApiAnswer | undefined {
  try {
    const value: unknown = JSON.parse(Buffer.from(data).toString());
    return typeof value === 'object' && value !== null ? value : undefined;
  } catch {
    return undefined;
  }
}

/**
 * Finds the stream, or creates it.
 *
 * @throws (rejects) LinkError; JetstreamError `stream_unfit`.
 */
export async function ensureStream(link: Link, settings: JetstreamSettings, limits: StreamLimits): Promise<StreamFacts> {
  const { stream, replicas, publishTimeoutMs } = settings;
  const maxAgeMs = Math.max(MIN_WINDOW_MS, limits.maxAgeMs + AGE_MARGIN_MS);
  const find = () => ask(link, `$JS.API.STREAM.INFO.${stream}`, undefined, publishTimeoutMs);
  let answer = await find();
  if (answer.error?.err_code === STREAM_NOT_FOUND) {
    const config = {
      name: stream,
      subjects: [subjectOf(stream)],
      retention: 'workqueue',
      storage: 'file',
      discard: 'new',
      max_bytes: limits.maxBytes,
      max_age: maxAgeMs * NS_PER_MS,
      duplicate_window: Math.min(DUPLICATE_WINDOW_MS, maxAgeMs) * NS_PER_MS,
      num_replicas: replicas,
      first_seq: limits.firstSeq,
    };
    answer = await ask(link, `$JS.API.STREAM.CREATE.${stream}`, config, publishTimeoutMs);
    // Another relay was faster.
    if (answer.error?.err_code === STREAM_NAME_IN_USE) answer = await find();
  }
  return factsOf(answer, settings);
}

function factsOf({ error, config, created }: ApiAnswer, { stream, syncsAlways }: JetstreamSettings): StreamFacts {
  if (config === undefined) throw unfit(`the stream ${stream} cannot be used: ${words(error)}`);
  const { retention, storage, subjects, discard, num_replicas: replicas, max_age: age } = config;
  if (retention !== 'workqueue') throw unfit(`the stream ${stream} is no work queue: its retention must be "workqueue"`);
  if (discard !== 'new') throw unfit(`the stream ${stream} drops old events when it is full: its "discard" must be "new"`);
  if (config['no_ack'] === true) throw unfit(`the stream ${stream} confirms no event: its "no_ack" must be false`);
  if (!Array.isArray(subjects) || !subjects.includes(subjectOf(stream)))
    throw unfit(`the stream ${stream} does not have the subject ${subjectOf(stream)}`);
  const isSafe = storage === 'file' && (syncsAlways || Number(replicas) >= SAFE_REPLICAS);
  const maxAgeMs = Number(age) / NS_PER_MS;
  return { isDurable: isSafe, maxAgeMs: maxAgeMs > 0 ? maxAgeMs : undefined, created };
}

/**
 * Finds the consumer, or creates it.
 *
 * @returns How long the server waits for an acknowledgement, in milliseconds.
 * @throws (rejects) LinkError; JetstreamError `stream_unfit`.
 */
export async function ensureConsumer(
  link: Link,
  settings: JetstreamSettings,
  { ackWaitMs }: Pick<StreamLimits, 'ackWaitMs'>,
): Promise<number> {
  const { stream, publishTimeoutMs } = settings;
  const find = () => ask(link, `$JS.API.CONSUMER.INFO.${stream}.${CONSUMER}`, undefined, publishTimeoutMs);
  let answer = await find();
  if (answer.config === undefined) {
    const config = {
      durable_name: CONSUMER,
      ack_policy: 'explicit',
      ack_wait: ackWaitMs * NS_PER_MS,
      deliver_policy: 'all',
      max_ack_pending: -1,
      max_deliver: -1,
    };
    answer = await ask(link, `$JS.API.CONSUMER.DURABLE.CREATE.${stream}.${CONSUMER}`, { stream_name: stream, config }, publishTimeoutMs);
    if (CONSUMER_EXISTS.has(answer.error?.err_code)) answer = await find();
  }
  const { config } = answer;
  if (config === undefined) throw unfit(`the consumer ${CONSUMER} of the stream ${stream} cannot be used: ${words(answer.error)}`);
  if (config['ack_policy'] !== 'explicit') throw unfit(`the consumer ${CONSUMER} of the stream ${stream} must acknowledge explicitly`);
  if (Number(config['max_deliver'] ?? -1) > 0)
    throw unfit(`the consumer ${CONSUMER} of the stream ${stream} gives events up: its "max_deliver" must be -1`);
  if (config['deliver_subject'] !== undefined)
    throw unfit(`the consumer ${CONSUMER} of the stream ${stream} must be one that is asked for events`);
  return Number(config['ack_wait']) / NS_PER_MS || ackWaitMs;
}

/**
 * Has the server forget requests for events whose asker is gone: it looks when it is asked about the consumer. Otherwise the first event
 * that is returned to it waits for the whole time of an acknowledgement (seen in nats-server 2.9.10). Never rejects.
 */
export async function forgetRequests(link: Link, { stream, publishTimeoutMs }: JetstreamSettings): Promise<void> {
  await ask(link, `$JS.API.CONSUMER.INFO.${stream}.${CONSUMER}`, undefined, publishTimeoutMs).catch(() => undefined);
}

function unfit(message: string): JetstreamError {
  return new JetstreamError('stream_unfit', message);
}

/** The server's own words hold names and numbers of its settings. */
function words(error: ApiAnswer['error']): string {
  return typeof error?.description === 'string' ? error.description.replaceAll(/[^\x20-\x7e]/g, ' ').slice(0, 200) : 'no answer';
}

/** Where events are asked for. */
export function nextSubject(stream: string): string {
  return `$JS.API.CONSUMER.MSG.NEXT.${stream}.${CONSUMER}`;
}

/** An event on its way to the stream. */
export interface QueuedEvent {
  /** Unique in the world, and the same in every attempt: the server drops a repeat if it remembers the id. */
  readonly id: string;
  readonly target: string;
  /** In milliseconds since 1970. */
  readonly acceptedAtMs: number;
  /** Whether an earlier attempt may have stored it. If the server remembers that, it drops the repeat, and this mark with it. */
  readonly mayBeSecond: boolean;
}

const ID = 'Nats-Msg-Id';
const ACCEPTED_AT = 'Cosmos-Accepted-At';
const MAY_BE_SECOND = 'Cosmos-May-Be-Second';

/** Headers and framing of an event, in bytes, at most. */
export const MESSAGE_OVERHEAD_BYTES = 256;

/**
 * What became of a publish: `stored`; `duplicate` if the stream had its id; `full`, which is certainly not stored; or why that is unknown
 * or must be tried again.
 */
export type Published = 'stored' | 'duplicate' | 'full' | LinkError['reason'] | 'stream_error';

/** Publishes an event once. Never rejects. */
export async function publishEvent(
  link: Link,
  { client, stream, publishTimeoutMs }: Pick<JetstreamSettings, 'client' | 'stream' | 'publishTimeoutMs'>,
  event: QueuedEvent,
): Promise<Published> {
  try {
    // A server ends the connection at a message that is larger with its headers, and the client looks at its payload alone.
    if (Buffer.byteLength(event.target) + MESSAGE_OVERHEAD_BYTES > (link.maxBytes ?? Infinity)) return 'too_large';
    const { data } = await link.request(subjectOf(stream), event.target, publishTimeoutMs, headersOf(client, event));
    const answer = parse(data);
    const error = answer === undefined ? undefined : given(answer, 'error');
    if (answer !== undefined && error === undefined && 'seq' in answer) return given(answer, 'duplicate') === true ? 'duplicate' : 'stored';
    if (error?.err_code === TOO_LARGE) return 'too_large';
    return /^(?:maximum|insufficient|resource)/.test(error?.description ?? '') ? 'full' : 'stream_error';
  } catch (error) {
    return error instanceof LinkError ? error.reason : 'stream_error';
  }
}

function headersOf(client: NatsClient, { id, acceptedAtMs, mayBeSecond }: QueuedEvent) {
  const headers = client.headers();
  headers.set(ID, id);
  headers.set(ACCEPTED_AT, String(Math.trunc(acceptedAtMs)));
  if (mayBeSecond) headers.set(MAY_BE_SECOND, '1');
  return headers;
}

/** An event that the server delivered. */
export interface Delivery {
  /** Its number in the stream, and its time: another stream of the same name has the same numbers. */
  readonly key: string;
  /** Its UUID, the same in each delivery: that of its message, or one that follows from its place in the stream. */
  readonly id: string;
  /** By the clock of the server, in milliseconds since 1970. */
  readonly storedAtMs: number;
  /** The subject of its acknowledgement. */
  readonly ackSubject: string;
  readonly target: string;
  /** As its producer says; undefined if it does not. */
  readonly acceptedAtMs: number | undefined;
  /** Whether another process, or an earlier connection of this one, got it before, or it may be twice in the stream. */
  readonly mayBeSecond: boolean;
}

/** `$JS.ACK.STREAM.CONSUMER.DELIVERIES.STREAMSEQ...`, or the same after a domain and the hash of an account. */
const SHORT_ACK_PARTS = 9;

/** @returns Undefined for a message that is no event, such as a status. */
export function readDelivery({ data, headers, reply }: NatsMessage): Delivery | undefined {
  if (reply === undefined || !reply.startsWith('$JS.ACK.')) return undefined;
  const parts = reply.split('.');
  const first = parts.length === SHORT_ACK_PARTS ? 4 : 6;
  const { [first]: deliveries, [first + 1]: streamSeq, [first + 3]: timeNs } = parts;
  if (deliveries === undefined || streamSeq === undefined || timeNs === undefined) return undefined;
  const acceptedAtMs = Number(headers?.get(ACCEPTED_AT));
  const key = `${streamSeq}.${timeNs}`;
  const storedAtMs = Number(timeNs) / NS_PER_MS;
  const id = headers?.get(ID) ?? '';
  return {
    key,
    id: isUuid(id) ? id : idFrom(storedAtMs, `${parts[first - 2]}.${key}`),
    storedAtMs,
    ackSubject: reply,
    target: Buffer.from(data).toString(),
    acceptedAtMs: Number.isFinite(acceptedAtMs) && acceptedAtMs > 0 ? acceptedAtMs : undefined,
    mayBeSecond: Number(deliveries) > 1 || headers?.get(MAY_BE_SECOND) === '1',
  };
}

/** What an acknowledgement says. */
export const ACK = '+ACK';
export const NAK = '-NAK';
export const IN_PROGRESS = '+WPI';
