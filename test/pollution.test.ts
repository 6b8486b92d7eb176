// A polluted Object.prototype, as a flaw elsewhere in the host leaves it, chooses nothing and breaks nothing.
import { EventEmitter } from 'node:events';
import { isDeepStrictEqual } from 'node:util';
import test from 'ava';
import { integer, checkOptions } from '../src/base/check-options.js';
import { Ledger } from '../src/base/ledger.js';
import { toProgram } from '../src/cli/program.js';
import { noticeOf } from '../src/notice/privacy-notice.js';
import { EventBuilder } from '../src/delivery/event-builder.js';
import { AddressHistory } from '../src/delivery/http/address-history.js';
import { connectionOptions } from '../src/delivery/http/agents.js';
import { decideProxy } from '../src/delivery/http/proxy.js';
import { trustedEnvironment } from '../src/opt-out/variables.js';
import { checkRelayOptions } from '../src/relay/options.js';
import { PendingEvents } from '../src/relay/spool/pending-events.js';
import type { PendingEvent } from '../src/relay/spool/pending-events.js';
import { recordingTransport, startCollector } from '../src/testing/index.js';
import { createTelemetry, defineEvent } from '../src/index.js';
import type { Seen } from './helpers/polluted-callback-child.js';
import type { Pollution } from './helpers/polluted-child.js';
import { runChild } from './helpers/run-child.js';
import { proves } from './helpers/promises.js';

const ELSEWHERE = 'http://127.0.0.1:9';

/** Options, variables and names that Node and the dependencies read, each with a value that would do harm. */
const VALUES: Readonly<Record<string, unknown>> = {
  // Options of this package.
  endpoint: `${ELSEWHERE}/elsewhere`,
  proxy: ELSEWHERE,
  transport: { maxBatchSize: 1 },
  enabled: false,
  consent: 'opt-in',
  product: 'other',
  host: { name: 'other', version: '9.9.9' },
  events: { 'dag_run.failed': 'other' },
  env: { DO_NOT_TRACK: '1' },
  dagHash: 1,
  maxPendingEvents: 1,
  maxBatchSize: 0,
  lingerMs: 60_000,
  maxBatchBytes: 1,
  bytesOf: 1,
  handedOver: true,
  outcomes: 1,
  spreadMs: 60_000,
  concurrency: 0,
  drainConcurrency: 0,
  connectTimeoutMs: 1,
  attemptTimeoutMs: 1,
  retries: -1,
  minDelayMs: -1,
  maxDelayMs: -1,
  allowedRedirectHosts: ['127.0.0.1'],
  drainOnExit: 1,
  exitDeadlineMs: 'x',
  deadlineMs: 1,
  logger: 1,
  random: 1,
  clock: 1,
  lookup: 1,
  load: 1,
  failureThreshold: 0,
  probeAfterMs: 0,
  pythonVersion: '2.7.0',
  example: 1,
  hostName: 'other',
  platform: 'win32',
  log: 1,
  descriptors: 1,
  kind: 'sent',
  reason: 'debug',
  waitMs: 1,
  unknown: 'malformed',
  line: 7,
  path: '/nowhere/file',
  breaker: { failureThreshold: 0 },
  abortedUnwritten: 1,
  unreadableAnswer: 1,
  aroundAttempt: 1,
  // Variables.
  http_proxy: ELSEWHERE,
  HTTP_PROXY: ELSEWHERE,
  all_proxy: ELSEWHERE,
  ALL_PROXY: ELSEWHERE,
  no_proxy: '*',
  ACME_TELEMETRY_ENDPOINT: `${ELSEWHERE}/elsewhere`,
  ACME_TELEMETRY_DEBUG: '/nowhere/audit',
  XDG_CONFIG_HOME: '/nowhere/else',
  XDG_CONFIG_DIRS: '/nowhere/dirs',
  AIRFLOW_HOME: '/nowhere/airflow',
  AIRFLOW_CONFIG: '/nowhere/airflow.cfg',
  SystemRoot: 'C:\\Elsewhere',
  // What the dependencies and Node read. Not `timeout`: with it, Node 20 cannot use a socket (its streams look events up in plain objects).
  signal: 1,
  priority: 'x',
  queueClass: 1,
  autoStart: false,
  intervalCap: 0,
  interval: -1,
  strict: true,
  carryoverConcurrencyCount: true,
  forever: true,
  factor: -1,
  minTimeout: -1,
  maxTimeout: -1,
  maxRetryTime: -1,
  randomize: true,
  shouldRetry: 1,
  shouldConsumeRetry: 1,
  onFailedAttempt: 1,
  unref: true,
  method: 'POST',
  body: 'x',
  data: 'x',
  redirect: 'follow',
  referrer: 'http://elsewhere.example/',
  referrerPolicy: 'unsafe-url',
  follow: 1,
  compress: true,
  agent: 1,
  highWaterMark: 1,
  hostname: 'elsewhere.example',
  port: 9,
  family: 6,
  localAddress: '203.0.113.1',
  socketPath: '/nowhere/socket',
  auth: 'user:password',
  setHost: false,
  fd: 0,
  socket: 1,
  onread: 1,
  allowHalfOpen: true,
  tries: 0,
  maxOutputLength: 1,
  dictionary: 'x',
  info: true,
  once: true,
  passive: 1,
  capture: true,
  timeout: 1000,
  encoding: 1,
  insecureHTTPParser: -1,
  get: 1,
  set: 1,
  value: 1,
  writable: 1,
  uniqueHeaders: 1,
  setDefaultHeaders: 1,
  joinDuplicateHeaders: 1,
  // What the language reads as it takes an array apart or awaits a value.
  return: 1,
  next: 1,
  done: 1,
  // oxlint-disable-next-line unicorn/no-thenable -- this is the pollution
  then: 1,
};

/** With these, Node throws in a callback of its own as it handles a request, or node-fetch throws as it makes one, so nothing is sent. */
const ENDS_PROCESS = new Set(['signal', 'timeout', 'encoding', 'return', ...(throwsAtEvents() ? ['lookup'] : [])]);

/** Whether Node throws as it emits an event whose name is polluted: seen in Node 24 and 26, not in Node 20. */
function throwsAtEvents(): boolean {
  const emitter = Object.assign(new EventEmitter(), { _events: { lookup: 1 } });
  try {
    emitter.emit('lookup');
    return false;
  } catch {
    return true;
  }
}

/** With these, Node itself cannot load a module (`signal`, `path`, `auth`), or its own `node:dns` (`tries`). */
const STOPS_NODE = new Set(['signal', 'path', 'auth', 'tries', 'get', 'set', 'value', 'writable', ...ENDS_PROCESS]);

/** The requests of the n-th run: method, target and the headers that are not ours to choose. */
async function measure(t: { teardown(run: () => void): void }, values: Record<string, unknown>, when: Pollution['when']) {
  const collector = await startCollector();
  t.teardown(() => void collector.close());
  const { code, stdout, stderr } = await runChild(
    'polluted-child',
    [JSON.stringify({ endpoint: collector.url, values, when, waiting: [...ENDS_PROCESS] })],
    {},
  );
  const { results, failures } = (stdout === '' ? { results: [], failures: [stderr] } : JSON.parse(stdout)) as {
    results: unknown[];
    failures: string[];
  };
  const requests = (run: number) =>
    collector.requests
      .filter(({ url }) => url.startsWith(`/${run}/`))
      .map(({ method, url, headers }) => `${method} ${url.slice(String(run).length + 1)} ${JSON.stringify({ ...headers, host: '' })}`)
      .toSorted();
  return { code, results, failures, requests };
}

test(
  proves('prototype-pollution', 'each option, variable and name of a dependency on Object.prototype changes nothing and throws nothing'),
  async (t) => {
    const { code, results, failures, requests } = await measure(t, VALUES, 'each');
    t.deepEqual([code, failures], [0, []]);
    const names = ['nothing', ...Object.keys(VALUES)];
    t.is(results.length, names.length);
    const [expected] = results;
    t.like(expected, { isOn: true, isOff: false, once: true, stored: true, report: { sent: 3, failed: 0, dropped: 0 }, lines: [] });
    t.is(requests(0).length, 4);
    const changed = names.filter(
      (name, run) => !ENDS_PROCESS.has(name) && !isDeepStrictEqual([results[run], requests(run)], [expected, requests(0)]),
    );
    for (const name of ENDS_PROCESS) {
      const run = names.indexOf(name);
      t.like(results[run], { isOn: true, once: false, stored: true, report: { published: 3, sent: 0, dropped: 3, pending: 0 } }, name);
      t.is(requests(run).length, 0, `with ${name} no request is made`);
    }
    t.deepEqual(changed, [], JSON.stringify(results[names.indexOf(changed[0] ?? '')]));
  },
);

test(proves('prototype-pollution', 'all of them at once, before the package is imported, change nothing either'), async (t) => {
  const clean = await measure(t, {}, 'before');
  const values = Object.fromEntries(Object.entries(VALUES).filter(([name]) => !STOPS_NODE.has(name)));
  const polluted = await measure(t, values, 'before');
  t.deepEqual(polluted.failures, []);
  t.deepEqual(polluted.results, clean.results);
  t.deepEqual(polluted.requests(0), clean.requests(0));
  t.is(clean.requests(0).length, 4);
});

/** Options of streams, and names of events, which Node looks up among the listeners. */
const IN_CALLBACKS = ['signal', 'encoding', 'captureRejections', 'objectMode', 'timeout', 'newListener', 'removeListener', 'resume'];

test(
  proves('prototype-pollution', 'what is polluted while a request is under way, or while the relay accepts a connection, ends no process'),
  async (t) => {
    const { code, stdout, stderr } = await runChild('polluted-callback-child', [JSON.stringify(IN_CALLBACKS)]);
    t.is(code, 0, stderr);
    const { results, failures } = JSON.parse(stdout) as { results: Seen[]; failures: string[] };
    t.deepEqual(failures, []);
    t.deepEqual(
      results.map(({ name, sent }) => [name, sent]),
      IN_CALLBACKS.map((name) => [name, 1]),
    );
    for (const { name, answers, refused } of results) {
      const [polluted, clean] = answers;
      t.is(clean, 200, name);
      t.deepEqual([polluted, refused], refused === 0 ? [200, 0] : ['ECONNRESET', 1], `${name}: answered, or refused and counted`);
    }
    t.like(
      results.find(({ name }) => name === 'signal'),
      { refused: 1 },
    );
  },
);

const relay = () => ({ ...checkRelayOptions({ env: {} }) });
/** The checked options of a command without what holds functions: of that, the names. */
function program() {
  const { description, definitions, everyEvent, ...rest } = toProgram({ product: { name: 'acme', version: '1.0.0' } });
  const fields = [...definitions.values()].map((each) => [each.type, Object.keys(each.fields), each.metadata]);
  return { ...rest, consent: description.consent, notice: noticeOf(description), fields, everyEvent: Object.keys(everyEvent) };
}

/** Runs a function while `Object.prototype` has these values. */
function withPollution<T>(values: Readonly<Record<string, unknown>>, run: () => T): T {
  for (const [name, value] of Object.entries(values)) {
    // oxlint-disable-next-line no-extend-native -- this is the pollution
    Object.defineProperty(Object.prototype, name, { value, configurable: true, enumerable: true, writable: true });
  }
  try {
    return run();
  } finally {
    for (const name of Object.keys(values)) Reflect.deleteProperty(Object.prototype, name);
  }
}

test.serial('the options of the relay and of the command line are not taken from Object.prototype', (t) => {
  const values = {
    listen: '0.0.0.0:1',
    allowRemote: true,
    forward: `${ELSEWHERE}/elsewhere`,
    prefix: 'secret',
    spool: '/nowhere',
    verbatim: true,
    showEvents: true,
    proxy: ELSEWHERE,
    maxSpoolBytes: 1,
    endpoint: ELSEWHERE,
    command: 'rm',
    consent: 'opt-in',
    dbt: true,
    standardEvents: false,
    executionModes: ['local'],
    contact: 'Nobody.',
    retention: 'For ever.',
    metadata: {},
    dagHash: () => null,
  };
  t.deepEqual(withPollution(values, relay), relay());
  t.deepEqual(withPollution(values, program), program());
});

test.serial('a polluted NO_PROXY does not lead past a real proxy, and a polluted proxy is none', (t) => {
  const target = new URL('https://example.org/');
  const real = trustedEnvironment({ HTTPS_PROXY: 'http://proxy.example:3128' });
  t.is(withPollution({ no_proxy: '*', NO_PROXY: '*', https_proxy: '' }, () => decideProxy(target, undefined, real)).kind, 'proxied');
  t.is(
    withPollution({ https_proxy: ELSEWHERE, ALL_PROXY: ELSEWHERE }, () => decideProxy(target, undefined, trustedEnvironment({}))).kind,
    'direct',
  );
});

test.serial('options may be an instance of a class, whose accessors are checked and used', (t) => {
  class Options {
    get retries(): number {
      return 3;
    }
  }
  const checks = { retries: integer(0, 5) };
  t.is(checkOptions<{ retries?: number }>('options', new Options(), checks).retries, 3);
  t.is(withPollution({ retries: 1 }, () => checkOptions<{ retries?: number }>('options', {}, checks)).retries, undefined);
  class Wrong {
    get retries(): number {
      return 9;
    }
  }
  t.throws(() => checkOptions('options', new Wrong(), checks), { message: /`retries`/ });
});

test.serial(
  proves('prototype-pollution', 'no option of a connection comes from Object.prototype, and the check of certificates stays on'),
  (t) => {
    const values = { blockList: 1, hints: 1, NODE_TLS_REJECT_UNAUTHORIZED: '0' };
    const options = withPollution(values, () => connectionOptions({ host: 'collector.test' }, { port: 443 }));
    t.like(options, { host: 'collector.test', port: 443, blockList: undefined, hints: undefined, rejectUnauthorized: true });
    t.is(Object.getPrototypeOf(options), null);
    t.false('rejectUnauthorized' in connectionOptions({}, {}));
  },
);

test.serial('how many events are ready is not read from Object.prototype', async (t) => {
  // Not among the others: from Node 26 on a socket of Node reads the name of its event there, too.
  const transport = recordingTransport();
  const telemetry = createTelemetry({ product: { name: 'acme', version: '1.2.0' }, transport, env: {} });
  // oxlint-disable-next-line eslint/no-extend-native -- that is what is tested
  Object.defineProperty(Object.prototype, 'ready', { value: 0, configurable: true, writable: true });
  try {
    telemetry.reportRun({ status: 'success', tasks: [{ owned: true, status: 'success' }] });
    t.like(await telemetry.drain({ deadlineMs: 60_000 }), { sent: 2, pending: 0 });
  } finally {
    Reflect.deleteProperty(Object.prototype, 'ready');
  }
});

/** What lists that are too short give, if code reads them by index. It fits everything that the package keeps in lists. */
const AT_AN_INDEX = { seq: 0, fromSeq: 0, timeMs: 1, sinceMs: -1, name: 'n', accepts: () => true, pair: () => '&n=taken', family: 6 };
const INDEXES = Object.fromEntries(Array.from({ length: 70 }, (_, index) => [String(index), AT_AN_INDEX]));

test.serial(
  proves('prototype-pollution', 'numbers as names do not hold drain() and close(), and let no undeclared field pass'),
  async (t) => {
    const transport = recordingTransport();
    const telemetry = createTelemetry({ product: { name: 'acme', version: '1.2.0' }, transport, env: {} });
    const publish = () => {
      telemetry.reportRun({ status: 'success', tasks: [{ owned: true, status: 'success' }] });
      const metrics = { status: 'success', task_count: 1, acme_task_count: 1, n: 'undeclared' } as const;
      telemetry.publish('dag_run', metrics);
    };
    // What it loads with its first event is not what is tested.
    publish();
    await telemetry.drain({ deadlineMs: 60_000 });
    for (const [name, value] of Object.entries(INDEXES)) {
      // oxlint-disable-next-line eslint/no-extend-native -- that is what is tested
      Object.defineProperty(Object.prototype, name, { value, configurable: true, enumerable: false, writable: true });
    }
    const reports: unknown[] = [];
    try {
      publish();
      reports.push(await telemetry.drain({ deadlineMs: 5000 }));
      publish();
      reports.push(await telemetry.close({ deadlineMs: 5000 }));
    } finally {
      for (const name of Object.keys(INDEXES)) Reflect.deleteProperty(Object.prototype, name);
    }
    t.like(reports[0], { timedOut: false, sent: 6, pending: 0, fieldsDropped: 2 });
    t.like(reports[1], { timedOut: false, sent: 9, pending: 0, fieldsDropped: 3 });
    t.false(transport.events.some(({ metrics }) => 'n' in metrics));
  },
);

/** An event of a relay. */
const made = (seq: number): PendingEvent => ({
  seq,
  target: `/${seq}`,
  acceptedAtMs: 0,
  sinceMs: seq,
  mayBeSecond: false,
  isWaiting: false,
});

test.serial('numbers as names add nothing to an event, the events of a relay and the addresses of a host', (t) => {
  const tick = defineEvent('tick', {});
  const seen = () => {
    const pending = new PendingEvents<PendingEvent>();
    const none = [pending.oldestSeq, pending.oldestSinceMs];
    for (const seq of [3, 1, 2]) pending.add(made(seq));
    const taken = pending.take(5).map(({ seq }) => seq);
    const found = [
      { address: '192.0.2.1', family: 4 },
      { address: '192.0.2.2', family: 4 },
    ];
    const event = {
      seq: 0,
      definition: { ...tick, metadata: undefined },
      metrics: { n: 'x' },
      packed: undefined,
      timeMs: 1,
      built: undefined,
    };
    const target = new EventBuilder({}, new Ledger()).build(event).requestTarget();
    const addresses = new AddressHistory().order('a.test', found).addresses.length;
    return { none, taken, left: pending.take(1).length, addresses, target };
  };
  const expected = { none: [undefined, Infinity], taken: [1, 2, 3], left: 0, addresses: 2, target: '/v3/tick?' };
  t.deepEqual(seen(), expected);
  t.deepEqual(withPollution(INDEXES, seen), expected);
});
