import { AsyncLocalStorage } from 'node:async_hooks';
import test from 'ava';
import { suppressTracing } from '../../../src/delivery/http/client.js';
import { startHttp } from '../../helpers/loopback.js';
import { send, transportTo } from '../../helpers/sending.js';

const API = Symbol.for('opentelemetry.js.api.1');
const SUPPRESS = Symbol.for('OpenTelemetry SDK Context Key SUPPRESS_TRACING');
const holder = globalThis as { [API]?: unknown };

/** As contexts of `@opentelemetry/api` are: never changed, each made from another. */
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

/** As a host's context manager is. */
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

test.serial('without OpenTelemetry it only runs', (t) => {
  t.is(
    suppressTracing(() => 7),
    7,
  );
});

test.serial('it runs once, in a context that suppresses tracing and keeps what else is in it', (t) => {
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
  test.serial(`anything odd there is ignored: ${name}`, (t) => {
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

test.serial('what is thrown inside is thrown, once', (t) => {
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

test.serial('each request of a send is made where tracing is suppressed, redirects included', async (t) => {
  const manager = new FakeContextManager();
  const seen: unknown[] = [];
  const server = await startHttp(t, (request, response) => {
    if (request.url === '/end') response.end();
    else response.writeHead(302, { location: '/end', connection: 'close' }).end();
  });
  // What an instrumentation of http sees: the context in which a request asks its agent for a connection.
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
