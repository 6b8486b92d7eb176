import test from 'ava';
import * as fc from 'fast-check';
import { resolveSettingsWith } from '../../src/opt-out/settings.js';
import {
  airflowBoolean,
  airflowValue,
  debugMode,
  environmentOptsOut,
  expandVariables,
  optOutVariables,
  strip,
} from '../../src/opt-out/variables.js';
import { readVectors } from '../helpers/vectors.js';

const missing = {
  readFile: (): string => {
    throw Object.assign(new Error('no such file'), { code: 'ENOENT' });
  },
};

/** Whether the environment alone opts out in the settings: a home that does not exist is an opt-out of the file, not of a variable. */
const settingsOptOut = (product: string, env: NodeJS.ProcessEnv): boolean =>
  resolveSettingsWith({ product, env }, missing).rules.some(({ optsOut, source }) => optsOut && source.kind === 'env');

/** Whether the variables of a product opt out. */
const optsOut = (product: string, env: NodeJS.ProcessEnv): boolean => environmentOptsOut(env, optOutVariables(product));

/** An environment that a hostile host may pass, against the types. */
const odd = (env: unknown): NodeJS.ProcessEnv => env as NodeJS.ProcessEnv;

const unreadable = new Proxy(
  {},
  {
    get: () => {
      throw new Error('no');
    },
  },
);

test('the variables alone decide every recorded environment as Cosmos does', (t) => {
  const { cases } = readVectors('settings.json') as { cases: { env: Record<string, string>; should_emit: boolean }[] };
  for (const { env, should_emit } of cases) t.is(optsOut('cosmos', env), !should_emit, JSON.stringify(env));
});

test('each variable counts for its products only', (t) => {
  const table: [product: string, env: Record<string, string>, expected: boolean][] = [
    ['acme', { DO_NOT_TRACK: '1' }, true],
    ['acme', { SCARF_NO_ANALYTICS: '1' }, true],
    ['acme', { ACME_TELEMETRY: '0' }, true],
    ['acme', { ACME_TELEMETRY: '' }, true],
    ['acme', { ACME_TELEMETRY: 'maybe' }, true],
    ['acme', { ACME_TELEMETRY: ' Yes ' }, false],
    ['acme', { acme_telemetry: '0' }, false],
    ['acme', { COSMOS_TELEMETRY: '0' }, false],
    ['acme', { AIRFLOW__COSMOS__ENABLE_TELEMETRY: 'false' }, false],
    ['my_tool2', { MY_TOOL2_TELEMETRY: 'off' }, true],
    ['cosmos', { COSMOS_TELEMETRY: 'off' }, true],
    ['cosmos', { COSMOS_TELEMETRY: 'on' }, false],
    ['cosmos', { COSMOS_TELEMETRY: 'on', AIRFLOW__COSMOS__ENABLE_TELEMETRY: 'false' }, true],
    ['cosmos', { AIRFLOW__COSMOS__ENABLE_TELEMETRY: '' }, true],
    ['cosmos', { AIRFLOW__COSMOS__ENABLE_TELEMETRY: 'yes' }, true],
    ['cosmos', { AIRFLOW__COSMOS__ENABLE_TELEMETRY: 'true # said so' }, false],
    ['cosmos', { AIRFLOW__COSMOS__ENABLE_TELEMETRY: '$WANTED', WANTED: 'true' }, false],
    ['cosmos', { AIRFLOW__COSMOS__ENABLE_TELEMETRY: '$WANTED', WANTED: 'false' }, true],
    ['cosmos', { AIRFLOW__COSMOS__ENABLE_TELEMETRY: '$WANTED' }, true],
  ];
  for (const [product, env, expected] of table) t.is(optsOut(product, env), expected, JSON.stringify(env));
});

test("the product's own switch has five words for yes", (t) => {
  for (const word of ['1', 'true', 'on', 'yes', 'enabled', 'TRUE', ' On\n']) t.false(optsOut('acme', { ACME_TELEMETRY: word }), word);
  for (const word of ['0', 't', 'y', 'enable', '2', 'none', 'null', 'undefined', ' ', 'yes please', 'true # x']) {
    t.true(optsOut('acme', { ACME_TELEMETRY: word }), word);
  }
});

test('white space is stripped as in Python, not as in JavaScript', (t) => {
  t.is(strip('\u001c\u0085\u00a0\u3000 x y\t\u2029\u001f'), 'x y');
  t.is(strip('\ufeffx'), '\ufeffx');
  t.is(strip(' \t '), '');
  t.false(optsOut('acme', { DO_NOT_TRACK: '\u001cfalse\u0085' }));
  t.true(optsOut('acme', { DO_NOT_TRACK: '\ufefffalse' }));
});

test('Airflow knows six booleans', (t) => {
  for (const word of ['t', 'True', '1', ' TRUE ', '1#0']) t.true(airflowBoolean(word), word);
  for (const word of ['f', 'False', '0', 'false # true']) t.false(airflowBoolean(word), word);
  for (const word of ['yes', 'no', 'on', '', '#', 'true false', '01', 'true;']) t.is(airflowBoolean(word), undefined, word);
});

test('variables and the home directory are expanded until nothing changes, within bounds', (t) => {
  const env = { HOME: '/home/pat/', A: '$B', B: '${C}/d', C: '~', LOOP: 'x$LOOP', BOMB: 'x'.repeat(3000), ROOT: '/' };
  t.is(expandVariables('~/airflow', env), '/home/pat/airflow');
  t.is(expandVariables('$A', env), '/home/pat/d');
  t.is(expandVariables('/opt/$MISSING/${ALSO MISSING}', env), '/opt/$MISSING/${ALSO MISSING}');
  t.is(expandVariables('~root/airflow', env), '~root/airflow');
  t.is(expandVariables('a~', env), 'a~');
  t.is(expandVariables('~', { HOME: '/' }), '/');
  t.is(expandVariables('~/x', { USERPROFILE: '/users/pat' }), '/users/pat/x');
  t.is(expandVariables('~/x', {}), '~/x');
  t.is(expandVariables('$toString$constructor', {}), '$toString$constructor');
  t.is(expandVariables('$LOOP', env), undefined, 'endless');
  t.is(expandVariables('$BOMB'.repeat(500), env), undefined, 'too long');
  t.is(expandVariables('x'.repeat(5000), env), undefined);
});

test('a value that cannot be expanded is no boolean', (t) => {
  t.is(airflowValue('$LOOP', { LOOP: 'x$LOOP' }), undefined);
  t.is(airflowValue('~', { HOME: 'true' }), true);
});

test('the variables opt out if the environment cannot be read', (t) => {
  const getter = Object.defineProperty({}, 'DO_NOT_TRACK', {
    get: () => {
      throw new Error('no');
    },
  });
  for (const env of [unreadable, getter, null, undefined, 'DO_NOT_TRACK=1', 7, { DO_NOT_TRACK: {} }, { ACME_TELEMETRY: () => '1' }]) {
    t.true(optsOut('acme', odd(env)));
  }
});

test('values that are no text are read as text', (t) => {
  t.true(optsOut('acme', odd({ DO_NOT_TRACK: true })));
  t.true(optsOut('acme', odd({ DO_NOT_TRACK: 1 })));
  t.false(optsOut('acme', odd({ DO_NOT_TRACK: false })));
  t.false(optsOut('acme', odd({ DO_NOT_TRACK: undefined, SCARF_NO_ANALYTICS: null })));
});

test('an inherited opt-out counts, and so does one behind a proxy', (t) => {
  const parent = { DO_NOT_TRACK: '1' };
  const behind = new Proxy({}, { get: (_target, name) => (name === 'DO_NOT_TRACK' ? '1' : undefined) });
  for (const env of [Object.create(parent) as NodeJS.ProcessEnv, odd(behind)]) {
    t.true(optsOut('acme', env));
    t.true(settingsOptOut('acme', env));
  }
});

test('the gate and the settings agree about every environment', (t) => {
  const values = [
    '',
    '0',
    '1',
    ' ',
    'true',
    'True ',
    'false',
    'f',
    't',
    'none',
    'on',
    'off',
    'enabled',
    'yes',
    '$A',
    '${DO_NOT_TRACK}',
    '~',
    '#',
    '1#',
    '\u001c',
    '\ufeff0',
  ];
  const names = [
    'DO_NOT_TRACK',
    'SCARF_NO_ANALYTICS',
    'ACME_TELEMETRY',
    'COSMOS_TELEMETRY',
    'AIRFLOW__COSMOS__ENABLE_TELEMETRY',
    'A',
    'HOME',
  ];
  for (const product of ['acme', 'cosmos']) {
    for (const name of names) {
      for (const value of values)
        t.is(optsOut(product, { [name]: value }), settingsOptOut(product, { [name]: value }), `${product} ${name}=${value}`);
    }
  }
  const value = fc.oneof(fc.constantFrom(...values), fc.string({ maxLength: 12 }));
  fc.assert(
    fc.property(fc.constantFrom('acme', 'cosmos'), fc.dictionary(fc.constantFrom(...names), value), (product, env) => {
      t.is(optsOut(product, env), settingsOptOut(product, env));
    }),
    { numRuns: 2000 },
  );
});

const variable = 'ACME_TELEMETRY_DEBUG';

test('debug mode: off, on, or a file', (t) => {
  for (const off of ['', ' ', '0', 'false', 'no', 'off', 'OFF', ' False\n']) t.is(debugMode('acme', { [variable]: off }), undefined, off);
  for (const on of ['1', 'true', 'yes', 'on', 'Yes', ' TRUE ']) t.deepEqual(debugMode('acme', { [variable]: on }), { variable }, on);
  for (const path of ['/tmp/audit', 'audit.log', './1', '2', 'enabled'])
    t.deepEqual(debugMode('acme', { [variable]: path }), { variable, path });
  t.is(debugMode('acme', {}), undefined);
  t.is(debugMode('acme', { COSMOS_TELEMETRY_DEBUG: '1' }), undefined, 'the variable of another product');
});

test('debug mode is on if the environment cannot be read', (t) => {
  const torn = Object.defineProperty({}, variable, {
    get: () => {
      throw new Error('secret');
    },
  });
  t.deepEqual(debugMode('acme', torn), { variable });
});

test('debug mode: a polluted Object.prototype chooses no file', (t) => {
  // oxlint-disable-next-line no-extend-native -- the attack itself
  Object.defineProperty(Object.prototype, variable, { value: '/etc/passwd', configurable: true, enumerable: false });
  try {
    t.is(debugMode('acme', {}), undefined);
  } finally {
    Reflect.deleteProperty(Object.prototype, variable);
  }
});
