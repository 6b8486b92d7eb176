import test from 'ava';
import { retrying } from '../../src/index.js';
import { createTelemetryWith } from '../../src/client/telemetry.js';
import { recordingTransport, testEnvironment } from '../../src/testing/index.js';
import { proves } from '../helpers/promises.js';
import { telemetryRig, virtualMachine } from '../helpers/telemetry-rig.js';
import { VirtualClock } from '../helpers/virtual-clock.js';

test(
  proves('test-kit-opt-outs', 'with testEnvironment() a client under test is on, whatever the machine says and for either consent'),
  (t) => {
    t.deepEqual(testEnvironment('acme'), { ACME_TELEMETRY: '1' });
    t.deepEqual(testEnvironment('cosmos'), { COSMOS_TELEMETRY: '1', AIRFLOW__COSMOS__ENABLE_TELEMETRY: 'True' });
    for (const name of ['acme', 'cosmos'] as const) {
      for (const consent of ['opt-out', 'opt-in'] as const) {
        const { telemetry } = telemetryRig({ product: { name, version: '1.0.0' }, env: testEnvironment(name), consent });
        t.true(telemetry.enabled, `${name} ${consent}`);
      }
    }
    t.throws(() => testEnvironment('Acme'), {
      instanceOf: TypeError,
      message: 'Expected `product` to match ^[a-z][a-z0-9_]{0,31}$, got "Acme".',
    });
  },
);

// Serial: the environment and the warnings belong to the process.
test.serial(proves('test-kit-opt-outs', 'a recording transport says why it gets nothing, and does not let a test hang'), async (t) => {
  const warnings: Error[] = [];
  const onWarning = (warning: Error): void => void warnings.push(warning);
  process.on('warning', onWarning);
  const before = process.env['DO_NOT_TRACK'];
  process.env['DO_NOT_TRACK'] = '1';
  t.teardown(() => {
    process.off('warning', onWarning);
    if (before === undefined) delete process.env['DO_NOT_TRACK'];
    else process.env['DO_NOT_TRACK'] = before;
  });
  const product = { name: 'acme', version: '1.0.0' } as const;
  const transport = recordingTransport();
  const waiting = transport.waitFor(1);
  const telemetry = createTelemetryWith({ product, transport: retrying(transport) }, virtualMachine(new VirtualClock()));
  t.false(telemetry.enabled);
  const message = 'Telemetry is off because of DO_NOT_TRACK in the environment: ended after 0 of the 1 events waited for.';
  await t.throwsAsync(waiting, { message });
  await telemetry.close();
  await t.throwsAsync(transport.waitFor(1), { message });

  const asked = recordingTransport();
  createTelemetryWith({ product, transport: asked, env: { DO_NOT_TRACK: '1' } }, virtualMachine(new VirtualClock()));
  await t.throwsAsync(asked.waitFor(2), { message: message.replace('the 1 events', 'the 2 events') });
  const unasked = recordingTransport();
  createTelemetryWith({ product, transport: unasked, env: {}, consent: 'opt-in' }, virtualMachine(new VirtualClock()));
  await t.throwsAsync(unasked.waitFor(1), {
    message: 'Telemetry is off because of consent in the program: ended after 0 of the 1 events waited for.',
  });
  await new Promise((resolve) => {
    setImmediate(resolve);
  });
  t.deepEqual(
    warnings.map(({ message: text }) => text),
    [
      'Telemetry is off because of DO_NOT_TRACK in the environment, so nothing is recorded; testEnvironment() makes an `env` without opt-outs.',
    ],
    'a test that opts out itself is not warned',
  );
});
