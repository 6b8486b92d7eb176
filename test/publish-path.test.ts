import { createHook } from 'node:async_hooks';
import { EventEmitter } from 'node:events';
import zlib from 'node:zlib';
import test from 'ava';
import { compressTelemetryMetadata } from '../src/index.js';
import { telemetryRig } from './helpers/telemetry-rig.js';

/** Counts what an action creates that outlives a turn of the event loop: promises, timers, immediates, everything async. */
function asyncResourcesOf(act: () => void): string[] {
  const types: string[] = [];
  const hook = createHook({ init: (_id, type) => void types.push(type) });
  hook.enable();
  act();
  hook.disable();
  return types;
}

const dagRun = {
  dagId: 'orders',
  dag: {
    params: { __acme_telemetry_metadata__: compressTelemetryMetadata({ database: 'postgres' }) },
    tasks: [{ module: 'acme.operators.local' }],
  },
};

test.serial('publishing creates no promise, no timer and nothing else that is asynchronous', (t) => {
  const { telemetry } = telemetryRig();
  const host = new EventEmitter();
  telemetry.register(host);
  const types = asyncResourcesOf(() => {
    for (let event = 0; event < 1000; event += 1) {
      telemetry.publish('tick', { n: event });
      host.emit('dag_run.success', { dagRun });
    }
  });
  t.deepEqual(types, []);
  t.is(telemetry.stats().published, 2000);
});

test.serial('nothing is unpacked before the queue takes the event', async (t) => {
  const { telemetry, clock, transport } = telemetryRig();
  const host = new EventEmitter();
  telemetry.register(host);
  const real = zlib.inflateSync;
  let unpacked = 0;
  zlib.inflateSync = (...args: Parameters<typeof real>) => {
    unpacked += 1;
    return real(...args);
  };
  t.teardown(() => {
    zlib.inflateSync = real;
  });
  const { syncBuiltinESMExports } = await import('node:module');
  syncBuiltinESMExports();
  t.teardown(syncBuiltinESMExports);
  for (let event = 0; event < 10; event += 1) host.emit('dag_run.success', { dagRun });
  t.is(unpacked, 0);
  await clock.advance(0);
  t.is(transport.sends[0]?.events[0]?.metrics['database'], 'postgres');
  t.is(unpacked, 1, 'and the same packed text is unpacked once');
});
