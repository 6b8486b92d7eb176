import { AsyncLocalStorage } from 'node:async_hooks';
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import http from 'node:http';
import test from 'ava';
import type { ExecutionContext } from 'ava';
import { suppressTracing } from '../../../src/delivery/http/suppress-tracing.js';
import { freePort, startHttp, until } from '../../helpers/loopback.js';
import { runSender } from '../../helpers/run-sender.js';
import { send, STILL, transportTo, unconnected } from '../../helpers/sending.js';
import { proves } from '../../helpers/promises.js';

const ofNode = { ClientRequest: http.ClientRequest, request: http.request, get: http.get };
// The types of Node leave the options out.
const Base = http.ClientRequest as unknown as new (url: string, options: http.RequestOptions) => http.ClientRequest;

test.afterEach.always(() => {
  Object.assign(http, ofNode);
});

/** A host that replaces the requests of its process, as libraries for tests do: here, to use an agent of its own. */
function useOwnAgent(): void {
  Object.assign(http, {
    ClientRequest: class extends Base {
      constructor(url: string, options: http.RequestOptions) {
        super(url, { ...options, agent: false });
      }
    },
  });
}

test.serial('a request over an agent of the host may have been written, whatever happens to it', async (t) => {
  const transport = transportTo(t, await freePort());
  t.deepEqual(await send(transport), unconnected('refused'));
  useOwnAgent();
  t.deepEqual(await send(transport), { kind: 'rejected', reason: 'network' });
});

test.serial('a request over an agent of the host is bounded and counted, too', async (t) => {
  useOwnAgent();
  const server = await startHttp(t, (incoming, response) => {
    if (incoming.url === '/base/ok') response.end();
  });
  const transport = transportTo(t, server.port, { attemptTimeoutMs: 150 });
  t.deepEqual(await send(transport, '/ok'), { kind: 'sent' });
  t.deepEqual(await send(transport, '/silent'), { kind: 'rejected', reason: 'timeout' });
  await until(() => server.connections.every((socket) => socket.destroyed));
});

/** A library that replaces the class of requests. */
function observe(seen: http.ClientRequest[], onAnswer?: (status: number | undefined) => void): void {
  Object.assign(http, {
    ClientRequest: class extends Base {
      constructor(url: string, options: http.RequestOptions) {
        super(url, options);
        seen.push(this);
        if (onAnswer !== undefined) this.once('response', ({ statusCode }) => onAnswer(statusCode));
      }
    },
  });
}

test.serial('node-fetch does not get the response', async (t) => {
  const server = await startHttp(t, (_incoming, response) => response.writeHead(503, { 'retry-after': '7' }).end('busy'));
  const seen: http.ClientRequest[] = [];
  observe(seen);
  const sending = send(transportTo(t, server.port));
  await until(() => seen.length === 1);
  t.is(seen[0]?.listenerCount('response'), 1);
  t.deepEqual(await sending, { kind: 'deferred', waitMs: 7000, reason: 'http_503' });
});

test.serial('an instrumentation that observes a request gets the response, too', async (t) => {
  const server = await startHttp(t, (incoming, response) =>
    response.writeHead(incoming.url === '/base/busy' ? 503 : 200, { 'retry-after': '7' }).end('body'),
  );
  const seen: http.ClientRequest[] = [];
  const statuses: unknown[] = [];
  observe(seen, (status) => statuses.push(status));
  const transport = transportTo(t, server.port, {}, { clock: STILL });
  t.deepEqual(await send(transport, '/ok'), { kind: 'sent' });
  t.deepEqual(await send(transport, '/busy'), { kind: 'deferred', waitMs: 7000, reason: 'http_503' });
  t.deepEqual(statuses, [200, 503]);
  t.is(server.connections.length, 1);
});

function asUrl(code: string): string {
  return `data:text/javascript,${encodeURIComponent(code)}`;
}

/** The option with which Node replaces node-fetch as Bun does: by a fetch that ignores `agent` and refuses a fake AbortSignal. */
function replaceNodeFetch(): string {
  const replacement = asUrl(`
    import { Readable } from 'node:stream';
    export default async (url, { agent, signal, ...init }) => {
      if (signal !== null && !(signal instanceof AbortSignal)) throw new TypeError('signal is not of type AbortSignal');
      const { status, headers, body } = await fetch(url, { ...init, signal });
      return { status, headers, body: body === null ? null : Readable.fromWeb(body) };
    };`);
  const hooks = asUrl(`
    export const resolve = (name, context, next) =>
      name.startsWith('node-fetch') ? { url: ${JSON.stringify(replacement)}, shortCircuit: true } : next(name, context);`);
  return `--import=${asUrl(`import { register } from 'node:module'; register(${JSON.stringify(hooks)});`)}`;
}

test('in a runtime that replaces node-fetch, sends are bounded and counted, too', async (t) => {
  const server = await startHttp(t, (_request, response) => {
    if (server.targets.length === 1) response.writeHead(200, { connection: 'close' }).end('ok');
  });
  const options = { endpoint: `http://127.0.0.1:${server.port}`, attemptTimeoutMs: 1500 };
  const end = await runSender(t, { options, sends: 2 }, { NODE_OPTIONS: replaceNodeFetch() });
  t.deepEqual(end.outcomes, [{ kind: 'sent' }, { kind: 'rejected', reason: 'timeout' }]);
  t.is(server.targets.length, 2);
  await until(() => server.connections.every((socket) => socket.destroyed));
});

const API = Symbol.for('opentelemetry.js.api.1');
const SUPPRESS = Symbol.for('OpenTelemetry SDK Context Key SUPPRESS_TRACING');
const holder = globalThis as { [API]?: unknown };

/** As contexts of `@opentelemetry/api`: immutable, each made from another. */
class FakeContext {
  readonly #values: ReadonlyMap<symbol, unknown>;

  constructor(values: ReadonlyMap<symbol, unknown> = new Map()) {
    this.#values = values;
  }

  getValue(key: symbol): unknown {
    return this.#values.get(key);
  }

  setValue(key: symbol, value: unknown): FakeContext {
    return new FakeContext(new Map([...this.#values, [key, value]]));
  }
}

/** As the context manager of a host. */
class FakeContextManager {
  readonly #storage = new AsyncLocalStorage<FakeContext>();

  active(): FakeContext {
    return this.#storage.getStore() ?? new FakeContext();
  }

  with<T>(context: FakeContext, run: () => T): T {
    return this.#storage.run(context, run);
  }
}

test.beforeEach(() => {
  delete holder[API];
});

test.after.always(() => {
  delete holder[API];
});

test.serial('without OpenTelemetry, suppressTracing only runs the function', (t) => {
  t.is(
    suppressTracing(() => 7),
    7,
  );
});

test.serial('suppressTracing runs the function once, in a context with the suppress key and all other values', (t) => {
  const manager = new FakeContextManager();
  holder[API] = { version: '1.9.0', context: manager };
  const own = Symbol('own');
  let runs = 0;
  manager.with(new FakeContext().setValue(own, 'kept'), () => {
    const seen = suppressTracing(() => {
      runs += 1;
      return [manager.active().getValue(SUPPRESS), manager.active().getValue(own)];
    });
    t.deepEqual(seen, [true, 'kept']);
    t.is(manager.active().getValue(SUPPRESS), undefined);
  });
  t.is(runs, 1);
});

const odd: readonly (readonly [string, unknown])[] = [
  ['no context manager', { version: '1.9.0' }],
  [
    'one that throws',
    {
      context: {
        active: () => {
          throw new Error('odd');
        },
      },
    },
  ],
  ['one without contexts', { context: { active: () => undefined, with: () => 0 } }],
  ['one that runs nothing', { context: { active: () => new FakeContext(), with: () => 0 } }],
  [
    'one that runs it twice',
    { context: { active: () => new FakeContext(), with: (_context: unknown, run: () => unknown) => [run(), run()] } },
  ],
  [
    'one that runs it, then throws',
    {
      context: {
        active: () => new FakeContext(),
        with: (_context: unknown, run: () => unknown) => {
          run();
          throw new Error('odd');
        },
      },
    },
  ],
  ['something else in its place', 7],
];

for (const [name, api] of odd) {
  test.serial(`suppressTracing ignores an unknown API: ${name}`, (t) => {
    holder[API] = api;
    let runs = 0;
    const result = suppressTracing(() => {
      runs += 1;
      return 'result';
    });
    t.is(result, 'result');
    t.is(runs, 1);
  });
}

test.serial('suppressTracing throws what the function throws, and runs it once', (t) => {
  holder[API] = { context: new FakeContextManager() };
  let runs = 0;
  t.throws(
    () =>
      suppressTracing(() => {
        runs += 1;
        throw new Error('own');
      }),
    { message: 'own' },
  );
  t.is(runs, 1);
});

test.serial(proves('requests-untraced', 'each request of a send is made where tracing is suppressed, redirects included'), async (t) => {
  const manager = new FakeContextManager();
  const seen: unknown[] = [];
  const server = await startHttp(t, (request, response) => {
    if (request.url === '/end') response.end();
    else response.writeHead(302, { location: '/end', connection: 'close' }).end();
  });
  // An instrumentation of http sees this context: the one in which a request asks its agent for a connection.
  const transport = transportTo(
    t,
    0,
    { endpoint: `http://collector.test:${server.port}` },
    {
      lookup: (_name, options, callback) => {
        seen.push(manager.active().getValue(SUPPRESS));
        const v4 = { address: '127.0.0.1', family: 4 };
        process.nextTick(() => (options.all === true ? callback(null, [v4]) : callback(null, v4.address, 4)));
      },
    },
  );
  holder[API] = { context: manager };
  t.deepEqual(await send(transport, '/start'), { kind: 'sent' });
  t.deepEqual(server.targets, ['/start', '/end']);
  t.deepEqual(seen, [true, true]);
});

test.serial(
  proves('requests-untraced', 'no look-up and no connection is part of the request in whose handler the event was published'),
  async (t) => {
    const server = await startHttp(t, (request, response) => {
      if (request.url === '/end') response.end();
      else response.writeHead(302, { location: '/end', connection: 'close' }).end();
    });
    const request = new AsyncLocalStorage<string>();
    const seen: unknown[] = [];
    // New Relic patches this method, and takes a connection for a part of the request in whose context it is opened.
    const agent = http.Agent.prototype;
    const createConnection = Reflect.get(agent, 'createConnection');
    agent.createConnection = function (...args) {
      seen.push(request.getStore());
      return createConnection.apply(this, args);
    };
    t.teardown(() => {
      agent.createConnection = createConnection;
    });
    const transport = transportTo(
      t,
      0,
      { endpoint: `http://collector.test:${server.port}` },
      {
        lookup: (_name, options, callback) => {
          seen.push(request.getStore());
          const v4 = { address: '127.0.0.1', family: 4 };
          process.nextTick(() => (options.all === true ? callback(null, [v4]) : callback(null, v4.address, 4)));
        },
      },
    );
    await request.run('the request of a user', async () => {
      t.deepEqual(await send(transport, '/start'), { kind: 'sent' });
      t.is(request.getStore(), 'the request of a user', 'the caller stays in its own context');
    });
    t.deepEqual(server.targets, ['/start', '/end']);
    t.deepEqual(seen, [undefined, undefined], 'one look-up for each of two connections');
  },
);

/** What an APM agent does to the requests of its process. It records those that it sees, and leaves a trace id on them by every way. */
function instrument(t: ExecutionContext): { spans: string[] } {
  const spans: string[] = [];
  const mark = (request: http.ClientRequest, by: string): void => {
    spans.push(`${by} ${request.path}`);
    if (!request.headersSent) request.setHeader(`x-trace-${by}`, 'the trace of a user');
  };
  for (const name of ['request', 'get'] as const) {
    const original = http[name] as (...args: unknown[]) => http.ClientRequest;
    Object.assign(http, {
      [name]: (...args: unknown[]) => {
        const made = original(...args);
        mark(made, name);
        return made;
      },
    });
  }
  const agent = http.Agent.prototype as unknown as { addRequest: (request: http.ClientRequest, ...more: unknown[]) => void };
  const { addRequest } = agent;
  agent.addRequest = function (this: http.Agent, request, ...more) {
    request.setHeader('traceparent', '00-1-1-01');
    addRequest.call(this, request, ...more);
  };
  const request = http.ClientRequest.prototype;
  const setHeader = Reflect.get(request, 'setHeader') as (name: string, value: unknown) => http.ClientRequest;
  request.setHeader = function (name, value) {
    if (name.toLowerCase() === 'host') setHeader.call(this, 'x-datadog-trace-id', '1');
    setHeader.call(this, name, value);
    return this;
  };
  const onMade = (message: unknown): void => mark((message as { request: http.ClientRequest }).request, 'channel');
  const channels = ['http.client.request.created', 'http.client.request.start'];
  for (const name of channels) subscribe(name, onMade);
  t.teardown(() => {
    agent.addRequest = addRequest;
    Reflect.deleteProperty(request, 'setHeader');
    for (const name of channels) unsubscribe(name, onMade);
  });
  return { spans };
}

test.serial(proves('requests-own-headers', 'APM agents see no request of ours, and add no header to it'), async (t) => {
  const headers: string[][] = [];
  const server = await startHttp(t, (incoming, response) => {
    headers.push(incoming.rawHeaders.filter((_text, index) => index % 2 === 0).map((name) => name.toLowerCase()));
    response.end();
  });
  const transport = transportTo(t, server.port);
  const { spans } = instrument(t);
  for (let event = 0; event < 3; event += 1) t.deepEqual(await send(transport, '/v3/dag_run'), { kind: 'sent' });
  t.deepEqual(spans, []);
  for (const names of headers) t.deepEqual(names.toSorted(), ['accept', 'connection', 'host', 'user-agent']);
  await new Promise<void>((resolve) => {
    http.get({ port: server.port, path: '/own', agent: false }, (response) => response.resume().once('end', resolve));
  });
  t.true(spans.includes('get /own'), 'the requests of the host are seen');
  t.true(headers[3]?.includes('traceparent'), 'and traced');
});
