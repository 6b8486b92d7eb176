// Options whose getters throw, such as those of a strict mock: the error is a TypeError of ours that names the option.
import { EventEmitter } from 'node:events';
import test from 'ava';
import { circuitBreaker, count, createTelemetry, defineEvent, fetchTransport, retrying } from '../src/index.js';
import { jetstreamStore, jetstreamTransport } from '../src/jetstream/index.js';
import { ndjsonTransport } from '../src/delivery/ndjson/index.js';
import { otelTransport } from '../src/otel/index.js';
import { createRelay } from '../src/relay/index.js';
import { holdProcess } from './helpers/hold-process.js';

holdProcess(test);

const SECRET = 'hunter2';
const product = { name: 'acme', version: '1.2.0' } as const;
const send = () => Promise.resolve({ kind: 'sent' as const });
const days = count({ description: 'How many days.', reason: 'To test.' });

function throws(): never {
  throw new RangeError(SECRET);
}

/** The object with one property that throws when it is read. */
function throwingAt(name: PropertyKey, rest: object = {}): never {
  return Object.defineProperty({ ...rest }, name, { enumerable: true, get: throws }) as never;
}

/** As a strict mock does it: every name throws that it does not know. */
function strict(known: object): never {
  return new Proxy(known, {
    get: (target, name, receiver) => {
      if (name in target) return Reflect.get(target, name, receiver) as unknown;
      throw new RangeError(SECRET);
    },
  }) as never;
}

const client = { connect: () => Promise.reject(new Error('not called')), headers: () => ({}) };
const exporter = { export: () => undefined };
const create = (options: object) => createTelemetry({ product, endpoint: 'https://collector.test', env: {}, ...options });

/** Each function, what it needs, and the names of its options. */
const FUNCTIONS: Readonly<Record<string, { call: (options: never) => unknown; needs: object; names: readonly string[] }>> = {
  createTelemetry: {
    call: (options) => createTelemetry(options),
    needs: { product, endpoint: 'https://collector.test', env: {} },
    names: (
      'product endpoint host events dbt standardEvents executionModes common enabled consent dagHash contact retention command env owns ' +
      'transport maxPendingEvents concurrency drainConcurrency connectTimeoutMs attemptTimeoutMs retries allowedRedirectHosts proxy ' +
      'drainOnExit exitDeadlineMs spreadMs logger'
    ).split(' '),
  },
  createRelay: {
    call: (options) => createRelay(options),
    needs: { env: {} },
    names: [
      'listen',
      'allowedHosts',
      'prefix',
      'metricsListen',
      'forward',
      'forwardKind',
      'spool',
      'store',
      'maxSpoolBytes',
      'env',
      'logger',
    ],
  },
  ndjsonTransport: {
    call: (options) => ndjsonTransport(options),
    needs: { endpoint: 'https://collector.test/lines' },
    names: ['endpoint', 'headers', 'ca', 'cert', 'key', 'maxBatchSize', 'lingerMs', 'gzip', 'retries', 'attemptTimeoutMs', 'env', 'logger'],
  },
  otelTransport: {
    call: (options) => otelTransport(options),
    needs: { exporter, product },
    names: ['exporter', 'product', 'resource', 'handedOver', 'receiverDeduplicates', 'shutdownExporter', 'maxBatchSize', 'timeoutMs'],
  },
  jetstreamStore: {
    call: (options) => jetstreamStore(options),
    needs: { client },
    names: ['servers', 'connection', 'stream', 'replicas', 'syncsAlways', 'client', 'prefetch', 'ackWaitMs', 'required'],
  },
  jetstreamTransport: {
    call: (options) => jetstreamTransport(options),
    needs: { client },
    names: ['servers', 'connection', 'stream', 'replicas', 'client', 'maxBatchSize'],
  },
  fetchTransport: {
    call: (options) => fetchTransport(options),
    needs: { endpoint: 'https://collector.test' },
    names: ['endpoint', 'connectTimeoutMs', 'attemptTimeoutMs', 'allowedRedirectHosts', 'proxy', 'maxSockets', 'env', 'logger'],
  },
};

for (const [name, { call, needs, names }] of Object.entries(FUNCTIONS)) {
  test(`${name}: a getter that throws is named, and what it throws is not shown`, (t) => {
    for (const option of names) {
      t.throws(
        () => call(throwingAt(option, needs)),
        { instanceOf: TypeError, message: `Expected \`${option}\` to be readable, got a property that throws.` },
        option,
      );
    }
    const error = t.throws(() => call(throwingAt('nonsense', needs)), { instanceOf: TypeError, message: /`nonsense`/ });
    t.false(error.message.includes(SECRET));
    const { proxy, revoke } = Proxy.revocable({}, {});
    revoke();
    t.throws(() => call(proxy as never), { instanceOf: TypeError, message: /^Expected .* one that throws when it is read\.$|readable/ });
  });
}

for (const [what, call, message] of [
  [
    'send of a transport',
    () => create({ transport: throwingAt('send') }),
    '`transport` to be an object with `send()`, got one that throws when it is read',
  ],
  [
    'maxBatchSize of a transport',
    () => create({ transport: throwingAt('maxBatchSize', { send }) }),
    '`transport.maxBatchSize` to be readable, got a property that throws',
  ],
  [
    'bytesOf of a transport',
    () => create({ transport: throwingAt('bytesOf', { send }) }),
    '`transport.bytesOf` to be readable, got a property that throws',
  ],
  [
    'a strict mock of a transport',
    () => create({ transport: strict({ send, maxBatchSize: 1, lingerMs: 0, maxBatchBytes: 1, bytesOf: () => 1, close: () => undefined }) }),
    '`transport[Symbol(cosmos-telemetry.steering)]` to be readable, got a property that throws',
  ],
  ['a strict mock in retrying()', () => retrying(strict({ send })), '`maxBatchSize` to be readable, got a property that throws'],
  [
    'send in circuitBreaker()',
    () => circuitBreaker(throwingAt('send')),
    '`inner` to be an object with `send()`, got one that throws when it is read',
  ],
  [
    'warn of a logger',
    () => create({ logger: throwingAt('warn', { debug: () => {} }) }),
    '`logger` to be an object with `debug()` and `warn()`, got one that throws when it is read',
  ],
  [
    'the name of a product',
    () => create({ product: throwingAt('name', { version: '1' }) }),
    '`name` to be readable, got a property that throws',
  ],
  ['the version of a host', () => create({ host: throwingAt('version') }), '`version` to be readable, got a property that throws'],
  ['a common field', () => create({ common: throwingAt('ci') }), '`common.ci` to be readable, got a property that throws'],
  [
    'the value of a common field',
    () => create({ common: { ci: throwingAt('value', { field: days }) } }),
    '`value` to be readable, got a property that throws',
  ],
  ['the type of an event', () => create({ events: [throwingAt('type')] }), '`type` to be readable, got a property that throws'],
  ['a field of an event', () => defineEvent('tick', throwingAt('days')), '`fields.days` to be readable, got a property that throws'],
  [
    'the kind of a field',
    () => defineEvent('tick', { days: throwingAt('kind', days) }),
    'field `days` of event `tick` to be made by count(), oneOf() or another kind',
  ],
  [
    'export of an exporter',
    () => otelTransport({ exporter: throwingAt('export'), product }),
    /^Expected `exporter` to be an exporter .*, got one that throws when it is read\.$/,
  ],
  [
    'the name of a scope',
    () => otelTransport({ exporter, product: throwingAt('name', product) }),
    '`product.name` to be readable, got a property that throws',
  ],
  [
    'attributes of a resource',
    () => otelTransport({ exporter, product, resource: throwingAt('attributes') }),
    '`resource` to be a resource of OpenTelemetry, which has `attributes`, got one that throws when it is read',
  ],
] as const) {
  test(`${what} that throws is named, and what it throws is not shown`, (t) => {
    t.throws(call, { instanceOf: TypeError, message: typeof message === 'string' ? `Expected ${message}.` : message });
  });
}

test('register(): names, functions and methods that throw', (t) => {
  const telemetry = create({});
  const host = new EventEmitter();
  const cases: [() => unknown, string][] = [
    [() => telemetry.register(host, throwingAt('events')), 'Expected `events` to be readable, got a property that throws.'],
    [
      () => telemetry.register(host, { events: throwingAt('dag_run.success') }),
      "Expected `events['dag_run.success']` to be readable, got a property that throws.",
    ],
    [() => telemetry.register(host, { map: throwingAt('done') }), "Expected `map['done']` to be readable, got a property that throws."],
    [
      () => telemetry.register(throwingAt('on')),
      'Expected `host` to have on/off, addListener/removeListener or addEventListener, got an object.',
    ],
  ];
  for (const [call, message] of cases) t.throws(call, { instanceOf: TypeError, message });
  t.deepEqual(host.eventNames(), []);
});

test('a host with one pair of methods that throws is listened to by another pair', (t) => {
  const telemetry = create({});
  const added: string[] = [];
  const host = throwingAt('on', { addListener: (name: string) => added.push(name), removeListener: () => undefined });
  telemetry.register(host);
  t.is(added.length, 4);
});

test('a limit of a transport that can be read only once is none', async (t) => {
  let reads = 0;
  const transport = Object.defineProperty({ send }, 'maxBatchSize', {
    get: () => {
      reads += 1;
      if (reads > 1) throw new RangeError(SECRET);
      return 5;
    },
  });
  const telemetry = create({ transport });
  telemetry.reportRun({ status: 'success', tasks: [{ owned: true, status: 'success' }] });
  t.like(await telemetry.close({ deadlineMs: 60_000 }), { sent: 2, timedOut: false });
});
