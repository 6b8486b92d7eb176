import test from 'ava';

import { debugMode } from '../../src/opt-out/variables.js';

const variable = 'ACME_TELEMETRY_DEBUG';

test('what the variable asks for', (t) => {
  for (const off of ['', ' ', '0', 'false', 'no', 'off', 'OFF', ' False\n']) t.is(debugMode('acme', { [variable]: off }), undefined, off);
  for (const on of ['1', 'true', 'yes', 'on', 'Yes', ' TRUE ']) t.deepEqual(debugMode('acme', { [variable]: on }), { variable }, on);
  for (const path of ['/tmp/audit', 'audit.log', './1', '2', 'enabled'])
    t.deepEqual(debugMode('acme', { [variable]: path }), { variable, path });
  t.is(debugMode('acme', {}), undefined);
  t.is(debugMode('acme', { COSMOS_TELEMETRY_DEBUG: '1' }), undefined, "another product's");
});

test('an environment that cannot be read is a wish to see', (t) => {
  const torn = Object.defineProperty({}, variable, {
    get: () => {
      throw new Error('secret');
    },
  });
  t.deepEqual(debugMode('acme', torn), { variable });
});

test('a polluted Object.prototype chooses no file', (t) => {
  // oxlint-disable-next-line no-extend-native -- the attack itself
  Object.defineProperty(Object.prototype, variable, { value: '/etc/passwd', configurable: true, enumerable: false });
  try {
    t.is(debugMode('acme', {}), undefined);
  } finally {
    Reflect.deleteProperty(Object.prototype, variable);
  }
});
