/**
 * Keeps our requests out of what observes the requests of a host: APM agents would add the trace of the user whose request the host just
 * serves, and would record ours among the host's own. Agents patch `request` of `node:http` and `node:https`, listen to Node's
 * diagnostics channels, or obey the context of OpenTelemetry. Libraries for tests (nock, msw) replace the class `ClientRequest`, and
 * those still get our requests.
 */
import { channel } from 'node:diagnostics_channel';
import type { Channel } from 'node:diagnostics_channel';
import http from 'node:http';
import type { Agent, ClientRequest, RequestOptions } from 'node:http';
import https from 'node:https';
import type { Socket } from 'node:net';
import { isPolluted } from './pollution.js';
import { suppressTracing } from './suppress-tracing.js';

/** The channels on which Node publishes a request or a socket while it is made, and those from which dd-trace makes spans. */
const CHANNELS = [
  'http.client.request.created',
  'http.client.request.start',
  'net.client.socket',
  'apm:net:tcp:start',
  'apm:dns:resolve:start',
].map((name) => channel(name));

/** The channels on which Node publishes a request later, in callbacks of its own. */
const LATER_CHANNELS = ['http.client.request.error', 'http.client.response.finish'].map((name) => channel(name));

/**
 * Options of a request that we do not give. Node copies the options into an object with a prototype, so without these keys it would read
 * them from a polluted `Object.prototype`.
 */
const NOT_GIVEN = {
  auth: undefined,
  createConnection: undefined,
  insecureHTTPParser: undefined,
  joinDuplicateHeaders: undefined,
  localAddress: undefined,
  maxHeaderSize: undefined,
  setDefaultHeaders: undefined,
  setHost: undefined,
  signal: undefined,
  socketPath: undefined,
  timeout: undefined,
  uniqueHeaders: undefined,
};

/** `http.request`, as we and node-fetch call it. The class is read at each call: a library for tests may have replaced it. */
const plainRequest = ((url: URL, options: RequestOptions): ClientRequest =>
  // The types of Node leave the options out, which the class takes as `http.request` does. Libraries for tests take none without a
  // prototype, so there are such ones only where there is a need.
  Reflect.construct(http.ClientRequest, [
    url,
    isPolluted() ? { __proto__: null, ...options, ...NOT_GIVEN } : options,
  ]) as ClientRequest) as typeof http.request;

/**
 * Runs a function that makes one request of ours, so that nothing in the process observes the request.
 *
 * @param run called exactly once, synchronously; what it throws is thrown
 */
export function unobserved<T>(run: () => T): T {
  const { request } = http;
  const { request: secureRequest } = https;
  setRequest(http, plainRequest);
  setRequest(https, plainRequest);
  try {
    return unpublished(run);
  } finally {
    setRequest(http, request);
    setRequest(https, secureRequest);
  }
}

/**
 * Makes a request of ours with the client of `node:http`, so that nothing in the process observes it.
 *
 * @param body What is posted; undefined for a GET.
 * @returns the request; the error if Node refuses to make it
 */
export function requestUnobserved(
  url: URL,
  headers: Readonly<Record<string, string>>,
  agent: Agent,
  body?: Uint8Array,
): ClientRequest | Error {
  try {
    const request = unpublished(() => plainRequest(url, { method: body === undefined ? 'GET' : 'POST', headers, agent }));
    return body === undefined ? request.end() : request.end(body);
  } catch (error) {
    return error instanceof Error ? error : new Error(String(error));
  }
}

/** Changes nothing if the host has made its module read-only: our requests then still write no header but ours. */
function setRequest(module: { request: typeof http.request }, request: typeof http.request): void {
  try {
    module.request = request;
  } catch {}
}

/** Without a prototype: `Object.defineProperty` reads inherited properties of a descriptor, too. */
const SILENT = { __proto__: null, value: false, configurable: true };

/** Runs a function while no subscriber hears of it, and in a context without spans. */
function unpublished<T>(run: () => T): T {
  if (!CHANNELS.some(isHeard)) return suppressTracing(run);
  const silenced = CHANNELS.filter(isHeard);
  for (const each of silenced) Object.defineProperty(each, 'hasSubscribers', SILENT);
  try {
    return suppressTracing(run);
  } finally {
    for (const each of silenced) Reflect.deleteProperty(each, 'hasSubscribers');
  }
}

function isHeard({ hasSubscribers }: Channel): boolean {
  return hasSubscribers;
}

let isFiltered = false;

/** Has no subscriber hear of a request of ours, whenever Node publishes it. */
function neverPublish(): void {
  if (isFiltered) return;
  isFiltered = true;
  for (const each of LATER_CHANNELS) {
    // There is one if another copy of this package is loaded.
    const before = Object.getOwnPropertyDescriptor(each, 'publish')?.value as unknown;
    const publish = (message: unknown, name: string | symbol): void => {
      if (Object.hasOwn((message as { request: object }).request, 'headOfTelemetry')) return;
      // The class of a channel changes as its first subscriber comes and as its last one goes.
      const next: unknown = before ?? Reflect.get(Object.getPrototypeOf(each) as Channel, 'publish');
      (next as (...args: unknown[]) => void).call(each, message, name);
    };
    const descriptor = { __proto__: null, value: publish, configurable: true, writable: true };
    Object.defineProperty(each, 'publish', descriptor);
  }
}

/** Two steps of Node that are not documented: the last one that every header passes, and the one that says that a request starts. */
interface Steps {
  _header?: string | null;
  _storeHeader?: (this: Steps, firstLine: string, headers?: object) => void;
  _finish?: () => void;
  /**
   * What this request of ours writes, but for the header `connection`, which Node adds; empty once it is written. A property, since a weak
   * map of all requests would keep the garbage collector busy for longer than the request takes.
   */
  headOfTelemetry?: string;
  /** The body that follows the head; undefined for none, and once it is written. */
  bodyOfTelemetry?: Uint8Array | undefined;
}

/** The ends of a head: Node decides whether the connection is kept. */
const HEAD_ENDS: ReadonlySet<string> = new Set(['Connection: keep-alive\r\n\r\n', 'Connection: close\r\n\r\n']);

/** Something in the host has changed what a request of ours writes. Nothing of it was written. */
export class AlteredError extends Error {}

/** Both are taken from the class below: Sentry wraps `_storeHeader` of the class of requests, whose `_finish` tells of the start. */
const { _storeHeader: storeHeader, _finish: finish } = http.OutgoingMessage.prototype as Steps;

/** Sets a property also where a host has frozen the class, or has replaced the property there by an accessor. */
export function setOwn(object: object, name: string, value: unknown): void {
  const set = object as Record<string, unknown>;
  try {
    set[name] = value;
  } catch {}
  // An assignment costs less, but an accessor may have swallowed it.
  if (set[name] === value) return;
  Object.defineProperty(object, name, { __proto__: null, value, configurable: true, writable: true } as PropertyDescriptor);
}

/** One function for all requests: one for each would cost as much as the rest of the request. */
function storeOurs(this: Steps): void {
  // The lines are a part of the first one, so that Node adds nothing because of a header among them.
  storeHeader?.call(this, this.headOfTelemetry ?? '');
}

/**
 * Has a request write this head and nothing else, whatever else it was made from, and whatever is set on it later: some agents patch the
 * class of requests. If what would be written is different all the same, the request fails with an {@link AlteredError}: see
 * {@link guardWrites}. Neither its start, which comes once it has a connection, nor its end is observed.
 *
 * @param head the first line and the headers, but for `connection`; each line ends with CRLF
 * @param body what is posted; undefined for a GET
 */
export function isolateRequest(request: ClientRequest, head: string, body?: Uint8Array): void {
  neverPublish();
  const steps = request as Steps;
  if (finish !== undefined) setOwn(steps, '_finish', finish);
  // Deno has no such step.
  if (storeHeader === undefined) return;
  steps.headOfTelemetry = head;
  if (body !== undefined) steps.bodyOfTelemetry = body;
  // A head that is stored already is not ours, nor is another method, which would add headers.
  steps._header = null;
  request.method = body === undefined ? 'GET' : 'POST';
  request.useChunkedEncodingByDefault = false;
  setOwn(steps, '_storeHeader', storeOurs);
}

/** Lets nothing but the heads and bodies of our requests be written to a connection, each once: a second request would count twice. */
export function guardWrites(socket: Socket): void {
  const write = Reflect.get(socket, 'write') as (...args: unknown[]) => boolean;
  const guarded = (...args: unknown[]): boolean => {
    // Node's own: the request that has the connection now.
    const { _httpMessage: request } = socket as { _httpMessage?: (ClientRequest & Steps) | null };
    const head = request?.headOfTelemetry;
    // Deno has no head to compare with.
    if (storeHeader === undefined) return write.apply(socket, args);
    const { 0: data } = args;
    if (request && head && typeof data === 'string' && data.startsWith(head) && HEAD_ENDS.has(data.slice(head.length))) {
      request.headOfTelemetry = '';
      return write.apply(socket, args);
    }
    if (request && head === '') {
      if (data !== undefined && data === request.bodyOfTelemetry) {
        request.bodyOfTelemetry = undefined;
        return write.apply(socket, args);
      }
      // Node writes an empty text after a body, and learns by it that all is written.
      if (data === '') return write.apply(socket, args);
    }
    if (head !== '') request?.destroy(new AlteredError());
    return false;
  };
  setOwn(socket, 'write', guarded);
}
