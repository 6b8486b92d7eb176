// Batches whose limits or sizes come from a transport that runs code of its own.
import test from 'ava';
import { circuitBreaker, retrying } from '../../src/index.js';
import type { Transport } from '../../src/index.js';
import { ScriptedTransport } from '../helpers/scripted-transport.js';
import { addsUp, telemetryRig } from '../helpers/telemetry-rig.js';
import { settle } from '../helpers/virtual-clock.js';

function batching(maxBatchSize: number, more: Partial<Transport>): ScriptedTransport {
  return Object.assign(new ScriptedTransport({ maxBatchSize }), more);
}

const sizes = ({ sends }: ScriptedTransport): number[] => sends.map(({ events }) => events.length);

test('events that wait because fewer than a batch were taken wait no longer', async (t) => {
  const scripted = batching(512, { lingerMs: 1000, maxBatchBytes: 100, bytesOf: ({ metrics }) => (Number(metrics['n']) < 4 ? 90 : 1) });
  const { publish, succeed, clock, telemetry } = telemetryRig({ scripted, concurrency: 1 });
  await publish(60);
  await clock.advance(1000);
  await succeed();
  t.deepEqual(sizes(scripted), [1, 1, 1, 2, 4, 8, 16, 27], 'large events, then as many as have fitted, doubled');
  t.is(telemetry.stats().sent, 60);
});

test('a full batch that its bytes could have ended leaves the next one its wait', async (t) => {
  const scripted = batching(4, { lingerMs: 1000, maxBatchBytes: 100, bytesOf: () => 1 });
  const { publish, succeed, clock } = telemetryRig({ scripted, concurrency: 1 });
  await publish(6);
  await succeed();
  t.deepEqual(sizes(scripted), [4]);
  await clock.advance(1000);
  t.deepEqual(sizes(scripted), [4, 2]);
  await succeed();
});

test('the accounts balance, and a drain waits, while a transport tells the size of an event', async (t) => {
  const seen: boolean[] = [];
  let drained: Promise<unknown> | undefined;
  let isDrained = false;
  const bytesOf = (): number => {
    seen.push(addsUp(telemetry.stats()));
    drained ??= telemetry.drain().then(() => (isDrained = true));
    return 30;
  };
  const scripted = batching(10, { maxBatchBytes: 100, bytesOf });
  const { publish, succeed, telemetry } = telemetryRig({ scripted, concurrency: 2 });
  await publish(8);
  t.true(seen.length > 0);
  t.deepEqual(new Set(seen), new Set([true]));
  t.false(isDrained, 'nothing has been answered');
  await succeed();
  await drained;
  t.true(addsUp(telemetry.stats()));
  t.is(telemetry.stats().sent, 8);
});

test('an opt-out that comes while a transport tells the size of an event stops the batch', async (t) => {
  const env: Record<string, string> = {};
  const bytesOf = (): number => {
    env['DO_NOT_TRACK'] = '1';
    t.false(telemetry.enabled);
    return 30;
  };
  const scripted = batching(10, { maxBatchBytes: 100, bytesOf });
  const { publish, telemetry } = telemetryRig({ scripted, env, concurrency: 2 });
  await publish(8);
  await settle();
  t.deepEqual(sizes(scripted), []);
  const stats = telemetry.stats();
  t.like(stats, { published: 8, dropped: 8, pending: 0, reasons: { opted_out: 8 } });
  t.true(addsUp(stats));
});

test('a decorator does not hide a wrong `bytesOf` from the check of the options', (t) => {
  for (const decorator of [retrying, circuitBreaker]) {
    const wrong = decorator(batching(10, { maxBatchBytes: 100, bytesOf: 'x' as never }));
    t.throws(() => telemetryRig({ transport: wrong }), { instanceOf: TypeError, message: /^Expected `bytesOf` to be a function/ });
  }
});

test('a getter that answers otherwise after the check changes no limit into nonsense', async (t) => {
  for (const name of ['maxBatchSize', 'lingerMs', 'maxBatchBytes'] as const) {
    for (const later of [NaN, -1, 'x', Symbol('later'), null]) {
      let reads = 0;
      const scripted = batching(1, {});
      const get = (): unknown => (reads++ === 0 ? 1 : later);
      Object.defineProperty(scripted, name, { get });
      const { publish, succeed, telemetry } = telemetryRig({ scripted, maxPendingEvents: 4 });
      await publish(3);
      await succeed();
      t.is(telemetry.stats().sent, 3, `${name}: ${String(later)}`);
    }
  }
});
