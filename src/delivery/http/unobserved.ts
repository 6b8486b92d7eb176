/**
 * Keeps our requests out of what observes the requests of a host: APM agents would add the trace of the user whose request the host just
 * serves, and would record ours among the host's own. Agents patch `request` of `node:http` and `node:https`, listen to Node's
 * diagnostics channels, or obey the context of OpenTelemetry. Libraries for tests (nock, msw) replace the class `ClientRequest`, and
 * those still get our requests.
 */
import { channel } from 'node:diagnostics_channel';
import type { Channel } from 'node:diagnostics_channel';
import http from 'node:http';
import type { ClientRequest, OutgoingHttpHeader, RequestOptions } from 'node:http';
import https from 'node:https';
import { isPolluted } from './pollution.js';

/** The channels on which Node publishes a request while it is made, and those from which dd-trace makes spans of connects and look-ups. */
const CHANNELS = ['http.client.request.created', 'http.client.request.start', 'apm:net:tcp:start', 'apm:dns:resolve:start'].map((name) =>
  channel(name),
);

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

/** What node-fetch calls as `http.request`. The class is read at each call: a library for tests may have replaced it. */
const plainRequest = ((url: string, options: RequestOptions): ClientRequest =>
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

/** All headers of a request but `connection`, which Node adds as it writes them. */
const OWN_HEADERS: ReadonlySet<string> = new Set(['accept', 'host', 'proxy-authorization', 'user-agent']);

/** Two steps of Node that are not documented: the last one that every header passes, and the one that says that a request starts. */
interface Steps {
  _storeHeader?: (firstLine: string, headers: object) => void;
  _finish?: () => void;
}

/**
 * Has a request write those of its headers that are ours, as they are now, whatever is set on it later and by whatever way: some agents
 * patch the class of requests. Its start, which comes once it has a connection, is not observed either.
 */
export function isolateRequest(request: ClientRequest): void {
  const own: Record<string, OutgoingHttpHeader> = {};
  for (const name of request.getRawHeaderNames()) {
    if (OWN_HEADERS.has(name.toLowerCase())) own[name] = request.getHeader(name) ?? '';
  }
  // Sentry wraps `_storeHeader` of the class of requests, so it is taken from the class below.
  const { _storeHeader: storeHeader } = http.OutgoingMessage.prototype as Steps;
  const { _finish: finish } = http.ClientRequest.prototype as Steps;
  const steps = request as Steps;
  if (storeHeader !== undefined) steps._storeHeader = (firstLine) => storeHeader.call(request, firstLine, own);
  if (finish !== undefined) steps._finish = () => unpublished(() => finish.call(request));
}

/** Every copy of `@opentelemetry/api` 1.x keeps under this key what the host registered. */
const API_KEY = Symbol.for('opentelemetry.js.api.1');

/** The context key that `suppressTracing` of `@opentelemetry/core` sets. Its keys are `Symbol.for` of their description. */
const SUPPRESS_KEY = Symbol.for('OpenTelemetry SDK Context Key SUPPRESS_TRACING');

interface Context {
  setValue(key: symbol, value: unknown): Context;
}

interface ContextManager {
  active(): Context;
  with<T>(context: Context, run: () => T): T;
}

/**
 * Runs a function in a context in which OpenTelemetry starts no span and adds no trace header: requests of telemetry are noise in the
 * host's traces, and our wire carries no ids. Without OpenTelemetry it only runs the function.
 *
 * @param run called exactly once, synchronously; what it throws is thrown
 */
export function suppressTracing<T>(run: () => T): T {
  const api = (globalThis as { [API_KEY]?: { context?: ContextManager } })[API_KEY];
  if (api === undefined) return run();
  let started = false;
  let ran: { result: T } | undefined;
  const runOnce = (): T => {
    started = true;
    ran ??= { result: run() };
    return ran.result;
  };
  try {
    const manager = api.context;
    if (manager !== undefined) manager.with(manager.active().setValue(SUPPRESS_KEY, true), runOnce);
  } catch (error) {
    // An unknown version or a stub may throw. The request matters more than its span.
    if (started && ran === undefined) throw error;
  }
  return runOnce();
}
