/* eslint-disable unicorn/no-thenable -- subscribers may return odd thenables */
import test from 'ava';
import { defineEvent } from '../../src/events/definition.js';
import { boolean, count, identifier, nullable, optional } from '../../src/events/fields.js';
import { FakeProduct } from '../helpers/product.js';
import { proves } from '../helpers/promises.js';
import { unhandledRejections } from '../helpers/unhandled-rejections.js';

const NOTE = { description: 'What it says.', reason: 'Why it is collected.' };
const OWN = defineEvent('own', { models: count(NOTE), name: optional(nullable(identifier(NOTE))), cached: optional(boolean(NOTE)) });

function refuses(): never {
  throw new Error('hunter2');
}

function setUp(open = true) {
  return new FakeProduct({ product: 'acme', events: [OWN], open });
}

/** Resolves when subscribers have been told what was published before, still in this turn of the event loop. */
async function told(): Promise<void> {
  await Promise.resolve();
}

/** A subscriber of the untyped bus. */
type Subscriber = (metrics: never, packed: string | undefined) => unknown;

test('a declared event reaches the consumer and each subscriber, with the packed metadata', async (t) => {
  const product = setUp();
  const seen: unknown[] = [];
  product.bus.on('own', (metrics, packed) => seen.push(metrics, packed));
  product.bus.on('dag_run', () => t.fail());
  t.true(product.bus.publish('own', { models: 1 }, 'packed'));
  t.true(product.bus.publish('own', { models: 2 }));
  t.deepEqual(seen, []);
  await told();
  t.deepEqual(seen, [{ models: 1 }, 'packed', { models: 2 }, undefined]);
  t.deepEqual(product.taken, [
    { definition: { ...OWN, metadata: undefined }, metrics: { models: 1 }, packed: 'packed' },
    { definition: { ...OWN, metadata: undefined }, metrics: { models: 2 }, packed: undefined },
  ]);
});

test('the metrics are copied: their owner may change them afterwards', (t) => {
  const product = setUp();
  const metrics = { models: 1, name: 'before' };
  product.bus.publish('own', metrics);
  metrics.models = 2;
  metrics.name = 'after';
  t.deepEqual(product.lastMetrics(), { models: 1, name: 'before' });
  t.false(Object.isFrozen(metrics));
});

test('subscribers get frozen metrics, so that none can change them for the next one or the consumer', async (t) => {
  const product = setUp();
  const errors: unknown[] = [];
  product.bus.on('own', (metrics: Record<string, unknown>) => {
    t.true(Object.isFrozen(metrics));
    errors.push(t.throws(() => (metrics['models'] = 99), { instanceOf: TypeError }));
  });
  product.bus.publish('own', { models: 1 });
  await told();
  t.is(errors.length, 1);
  t.deepEqual(product.lastMetrics(), { models: 1 });
});

test.serial(
  'a subscriber that throws, rejects or returns an odd thenable affects neither the publisher nor the next subscriber',
  async (t) => {
    const product = setUp();
    const broken: Subscriber[] = [
      () => {
        throw new Error('sync');
      },
      () => {
        // eslint-disable-next-line typescript/only-throw-error -- subscribers throw what they like
        throw undefined;
      },
      () => Promise.reject(new Error('async')),
      async () => {
        await Promise.resolve();
        throw new Error('later');
      },
      () => ({ then: refuses }),
      () => Object.defineProperty({}, 'then', { get: refuses }),
    ];
    let heard = 0;
    for (const subscriber of broken) {
      product.bus.on('own', subscriber);
      product.bus.on('own', () => (heard += 1));
    }
    const unhandled = await unhandledRejections(() => t.true(product.bus.publish('own', { models: 1 })));
    t.is(heard, broken.length);
    t.deepEqual(unhandled, []);
    t.is(product.taken.length, 1);
    t.deepEqual(product.lines, ['[telemetry] subscriber_failed: a subscriber of the bus threw or rejected']);
  },
);

test('a subscription ends once, and no other ends with it', async (t) => {
  const product = setUp();
  let heard = 0;
  const listener = () => (heard += 1);
  const off = product.bus.on('own', listener);
  const offAgain = product.bus.on('own', listener);
  product.bus.publish('own', { models: 1 });
  await told();
  t.is(heard, 2);
  off();
  off();
  product.bus.publish('own', { models: 1 });
  await told();
  t.is(heard, 3);
  t.false(Object.isFrozen(product.taken.at(-1)?.metrics), 'what waits is not frozen, which would cost the host');
  product.bus.publish('own', { models: 1 });
  offAgain();
  await told();
  t.is(heard, 3);
  t.is(product.taken.length, 3);
});

test('a subscriber may end its own subscription, or begin another, while it is called', async (t) => {
  const product = setUp();
  const heard: string[] = [];
  const off = product.bus.on('own', () => {
    heard.push('once');
    off();
    product.bus.on('own', () => heard.push('late'));
  });
  product.bus.publish('own', { models: 1 });
  product.bus.publish('own', { models: 1 });
  await told();
  t.deepEqual(heard, ['once'], 'both were published before the second subscription');
  product.bus.publish('own', { models: 1 });
  await told();
  t.deepEqual(heard, ['once', 'late']);
});

test('a subscriber may publish: its event comes after the current one, and the accounts always add up', async (t) => {
  const product = setUp();
  const sums: number[][] = [];
  product.bus.on('own', (metrics: { models: number }) => {
    const { published, sent, failed, dropped, pending } = product.stats();
    sums.push([published, sent + failed + dropped + pending]);
    if (metrics.models < 3) product.bus.publish('own', { models: metrics.models + 1 });
    product.bus.publish('unknown', {});
  });
  product.bus.publish('own', { models: 1 });
  await told();
  t.deepEqual(
    product.taken.map(({ metrics }) => metrics['models']),
    [1, 2, 3],
  );
  t.deepEqual(sums, [
    [1, 1],
    [3, 3],
    [5, 5],
  ]);
  t.like(product.stats(), { published: 6, pending: 3, dropped: 3, reasons: { invalid: 3 } });
});

test('a subscriber that answers each event with two others is stopped, and every event is counted', async (t) => {
  const product = setUp();
  const answers: boolean[] = [];
  const off = product.bus.on('own', () => {
    for (const models of [1, 2]) answers.push(product.bus.publish('own', { models }));
  });
  t.true(product.bus.publish('own', { models: 0 }));
  await told();
  t.is(answers.filter(Boolean).length, 2 + 4 + 8 + 16 + 32 + 64 + 128);
  const { published, pending, dropped, reasons } = product.stats();
  t.is(published, pending + dropped);
  t.is(pending, 1 + answers.filter(Boolean).length);
  t.deepEqual(reasons, { invalid: answers.filter((answer) => !answer).length });
  off();
  t.true(product.bus.publish('own', { models: 0 }));
});

test('a subscription to an undeclared type, or without a function, throws', (t) => {
  const { bus } = setUp();
  for (const type of ['unknown', '', 'toString', '__proto__', undefined, null, 7]) {
    t.throws(() => bus.on(type as string, () => undefined), { instanceOf: TypeError, message: /declared event type/ });
  }
  for (const listener of [undefined, null, {}, 'own']) {
    t.throws(() => bus.on('own', listener as object as Subscriber), { instanceOf: TypeError, message: /`listener`/ });
  }
});

test('an undeclared type is counted as invalid', (t) => {
  const product = setUp();
  for (const type of ['unknown', '', 'toString', '__proto__', undefined, null, 7, {}, Symbol('own')]) {
    t.false(product.bus.publish(type as string, { models: 1 }));
  }
  t.like(product.stats(), { published: 9, dropped: 9, pending: 0, reasons: { invalid: 9 } });
});

function revoked(target: object): object {
  const { proxy, revoke } = Proxy.revocable(target, {});
  revoke();
  return proxy;
}

const NO_METRICS: readonly [name: string, metrics: unknown][] = [
  ['nothing', undefined],
  ['null', null],
  ['a text', 'models'],
  ['a number', 7],
  ['a function', () => ({ models: 1 })],
  ['a list', [1]],
  ['a buffer', Buffer.alloc(10_000)],
  ['a getter that throws', Object.defineProperty({}, 'models', { enumerable: true, get: refuses })],
  ['a proxy that throws', new Proxy({ models: 1 }, { ownKeys: refuses })],
  ['a revoked proxy', revoked({})],
  ['a revoked proxy of a list', revoked([])],
];

for (const [name, metrics] of NO_METRICS) {
  test(`metrics that are ${name} are counted as invalid and never throw`, (t) => {
    const product = setUp();
    t.false(product.bus.publish('own', metrics as object));
    t.like(product.stats(), { published: 1, dropped: 1, pending: 0, reasons: { invalid: 1 } });
    t.notRegex(product.lines.join('\n'), /hunter2/);
  });
}

test('a value that no field could hold is dropped and counted before it waits', (t) => {
  const product = setUp();
  const held = { huge: true };
  for (const value of ['x'.repeat(257), held, [held], () => held, Symbol('held'), 1n, new Date(0), Promise.resolve(held)]) {
    t.true(product.bus.publish('own', { models: 1, name: value }));
    t.deepEqual(product.lastMetrics(), { models: 1 });
  }
  t.is(product.stats().fieldsDropped, 8);
  t.true(product.bus.publish('own', { models: 1, name: 'x'.repeat(256), cached: undefined }));
  t.is(product.stats().fieldsDropped, 8);
  t.is(product.lastMetrics()?.['name'], 'x'.repeat(256));
});

test('pending events are bounded: one with a hundred thousand names keeps the declared ones', (t) => {
  const product = setUp();
  const flood = Object.fromEntries(Array.from({ length: 100_000 }, (_, index) => [`k${index}`, 'x'.repeat(256)]));
  t.true(product.bus.publish('own', { ...flood, models: 1, more: undefined }));
  t.deepEqual(product.lastMetrics(), { models: 1 });
  t.is(product.stats().fieldsDropped, 100_000);
});

test.serial('a host that extends Object.prototype adds nothing to an event and to no account', (t) => {
  const product = setUp();
  const extension = { configurable: true, enumerable: true, writable: true };
  const shared = Object.getPrototypeOf({}) as object;
  Object.defineProperty(shared, 'extended', { ...extension, value: () => 'hunter2' });
  Object.defineProperty(shared, 'cached', { ...extension, value: true });
  try {
    product.bus.publish('own', { models: 1 });
    t.deepEqual(Object.keys(product.lastMetrics() ?? {}), ['models']);
    t.is(product.stats().fieldsDropped, 0);
  } finally {
    Reflect.deleteProperty(shared, 'extended');
    Reflect.deleteProperty(shared, 'cached');
  }
});

test('packed metadata that is no text or longer than 16 KiB is dropped, and its event is sent without it', (t) => {
  const product = setUp();
  product.bus.publish('own', { models: 1 }, 'x'.repeat(16 * 1024));
  t.is(product.stats().metadataUnreadable, 0);
  const unreadable: unknown[] = ['x'.repeat(16 * 1024 + 1), null, 7, {}, Object('packed')];
  for (const packed of unreadable) {
    t.true(product.bus.publish('own', { models: 1 }, packed as string));
    t.is(product.taken.at(-1)?.packed, undefined);
  }
  t.is(product.stats().metadataUnreadable, unreadable.length);
  t.is(product.stats().fieldsDropped, 0);
});

test('after close() all events count as closed', (t) => {
  const product = setUp();
  product.bus.publish('own', { models: 1 });
  product.bus.close();
  product.bus.on('own', () => t.fail());
  t.false(product.bus.publish('own', { models: 1 }));
  t.false(product.bus.publish('unknown', {}));
  t.false(product.bus.publishOwned('own', { models: 1 }, undefined));
  t.like(product.stats(), { published: 4, pending: 1, dropped: 3, reasons: { closed: 3 } });
});

test('after an opt-out the bus accepts, counts and logs nothing and calls no subscriber', async (t) => {
  const product = setUp(false);
  product.bus.on('own', () => t.fail());
  t.false(product.bus.publish('own', { models: 1 }));
  t.false(product.bus.publish('unknown', revoked({})));
  product.bus.close();
  t.false(product.bus.publish('own', { models: 1 }));
  await told();
  t.like(product.stats(), { published: 0, dropped: 0, pending: 0, reasons: {}, fieldsDropped: 0 });
  t.deepEqual(product.lines, []);
});

test(
  proves('bus-observers', 'subscribers get what would leave: declared fields with values of their kinds, and nothing else'),
  async (t) => {
    const product = setUp();
    const seen: unknown[] = [];
    product.bus.on('own', (metrics) => seen.push(metrics));
    product.bus.publish('own', { models: -1, name: 'a name', cached: undefined, secret: 'hunter2', list: [1] });
    product.bus.publish('own', { models: 2, name: null, cached: 'yes' });
    product.bus.publishOwned('own', { models: 3, secret: 'hunter2' }, undefined);
    await told();
    t.deepEqual(seen, [{}, { models: 2, name: null }, { models: 3 }]);
  },
);

test(proves('bus-observers', 'subscribers run after the code that published, before the loop turns'), async (t) => {
  const product = setUp();
  const order: string[] = [];
  product.bus.on('own', () => order.push('subscriber'));
  setImmediate(() => order.push('next turn'));
  process.nextTick(() => order.push('next tick'));
  product.bus.publish('own', { models: 1 });
  order.push('host');
  await new Promise((resolve) => {
    setImmediate(resolve);
  });
  t.deepEqual(order.slice(0, 1), ['host']);
  t.true(order.indexOf('subscriber') < order.indexOf('next turn'), order.join());
});

test('an opt-out that appears after an event was published reaches its subscribers first', async (t) => {
  const product = setUp();
  product.bus.on('own', () => t.fail());
  product.bus.publish('own', { models: 1 });
  product.isOptedOut = true;
  product.gate.check();
  await told();
  t.is(product.taken.length, 1);
});

test('of a flood in one turn subscribers get ten thousand events, the log says so, and the next turn is whole', async (t) => {
  const product = setUp();
  let heard = 0;
  product.bus.on('own', () => (heard += 1));
  for (let models = 0; models < 10_500; models += 1) product.bus.publish('own', { models });
  await told();
  t.is(heard, 10_000);
  t.is(product.taken.length, 10_500);
  t.deepEqual(product.lines, ['[telemetry] subscriber_behind: more events were published in one turn than subscribers can be told of']);
  product.bus.publish('own', { models: 1 });
  await told();
  t.is(heard, 10_001);
});

test('publishOwned takes the snapshot of a listener without a copy', (t) => {
  const product = setUp();
  const snapshot = { models: 1 };
  t.true(product.bus.publishOwned('own', snapshot, 'x'.repeat(16 * 1024 + 1)));
  t.is(product.taken.at(-1)?.metrics, snapshot);
  t.is(product.stats().metadataUnreadable, 1);
  t.false(product.bus.publishOwned('unknown', {}, undefined));
  t.like(product.stats(), { published: 2, dropped: 1, reasons: { invalid: 1 } });
});
