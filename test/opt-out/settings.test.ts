import test from 'ava';
import * as fc from 'fast-check';
import { anyText } from '../helpers/arbitraries.js';
import { consentWithdrawn, explainSettings, resolveSettings, resolveSettingsWith, shouldEmit } from '../../src/opt-out/settings.js';
import type { Rule, Settings, SettingsOptions } from '../../src/opt-out/settings.js';
import { readVectors } from '../helpers/vectors.js';

const missing = {
  readFile: (): string => {
    throw Object.assign(new Error('no such file'), { code: 'ENOENT' });
  },
};

/** A machine with this airflow.cfg and no other file. */
const cfg = (text: string) => ({ readFile: (path: string): string => (path.endsWith('telemetry.json') ? missing.readFile() : text) });
const on = '[cosmos]\nenable_telemetry = true\n';
const off = '[cosmos]\nenable_telemetry = false\n';
const flags = ({ enableTelemetry, doNotTrack, noAnalytics }: Settings): string => [enableTelemetry, doNotTrack, noAnalytics].join(' ');

const shownValue = (text: string): string | undefined => resolveSettingsWith({ env: { DO_NOT_TRACK: text } }, missing).rules[0]?.value;

const explained = (options: SettingsOptions, machine: { readFile: (path: string) => string } = missing): string => {
  const { enabled, rules } = explainSettings(resolveSettingsWith(options, machine));
  return `${enabled} ${rules.map((rule) => rule.name).join(' ')}`;
};

const emits =
  (options: SettingsOptions, machine: { readFile: (path: string) => string } = missing) =>
  (): boolean =>
    shouldEmit(resolveSettingsWith(options, machine));

/** Runs a function while `Object.prototype` has a value, as after a prototype pollution elsewhere in the host. */
function polluted<T>(name: string, value: unknown, run: () => T): T {
  // oxlint-disable-next-line no-extend-native -- the attack itself
  Object.defineProperty(Object.prototype, name, { value, configurable: true, enumerable: false, writable: true });
  try {
    return run();
  } finally {
    Reflect.deleteProperty(Object.prototype, name);
  }
}

test('every recorded environment emits or not, as in Cosmos', (t) => {
  const { cases } = readVectors('settings.json') as { cases: { env: Record<string, string>; should_emit: boolean }[] };
  t.is(cases.length, 57);
  for (const { env, should_emit } of cases) t.is(shouldEmit(resolveSettingsWith({ env }, missing)), should_emit, JSON.stringify(env));
});

test('truth table: which setting opts out of which product, and which of the three flags says so', (t) => {
  // product, environment, airflow.cfg ('' = none), options, enableTelemetry doNotTrack noAnalytics
  const table: [product: string, env: Record<string, string>, file: string, options: SettingsOptions, flags: string][] = [
    ['acme', {}, '', {}, 'true false false'],
    ['acme', {}, off, {}, 'true false false'],
    ['acme', { DO_NOT_TRACK: '1' }, '', {}, 'true true false'],
    ['acme', { SCARF_NO_ANALYTICS: 'yes' }, '', {}, 'true false true'],
    ['acme', { DO_NOT_TRACK: '1', SCARF_NO_ANALYTICS: '1' }, '', {}, 'true true true'],
    ['acme', { ACME_TELEMETRY: '0' }, '', {}, 'false false false'],
    ['acme', { ACME_TELEMETRY: '1' }, '', {}, 'true false false'],
    ['acme', { ACME_TELEMETRY: '1', DO_NOT_TRACK: '1' }, '', {}, 'true true false'],
    ['acme', { ACME_TELEMETRY: '1' }, '', { enabled: false }, 'false false false'],
    ['acme', { AIRFLOW__COSMOS__ENABLE_TELEMETRY: 'false' }, '', {}, 'true false false'],
    ['acme', {}, '', { consent: 'opt-in' }, 'false false false'],
    ['acme', {}, on, { consent: 'opt-in' }, 'false false false'],
    ['acme', { ACME_TELEMETRY: 'yes' }, '', { consent: 'opt-in' }, 'true false false'],
    ['acme', { ACME_TELEMETRY: 'yes', SCARF_NO_ANALYTICS: '1' }, '', { consent: 'opt-in' }, 'true false true'],
    ['acme', { ACME_TELEMETRY: 'yes' }, '', { consent: 'opt-in', enabled: false }, 'false false false'],
    ['acme', { DO_NOT_TRACK: '0', SCARF_NO_ANALYTICS: '0' }, '', { consent: 'opt-in' }, 'false false false'],
    ['acme', { AIRFLOW__COSMOS__ENABLE_TELEMETRY: 'true' }, '', { consent: 'opt-in' }, 'false false false'],
    ['cosmos', {}, '', {}, 'true false false'],
    ['cosmos', {}, on, {}, 'true false false'],
    ['cosmos', {}, off, {}, 'false false false'],
    ['cosmos', { COSMOS_TELEMETRY: '1' }, off, {}, 'false false false'],
    ['cosmos', { COSMOS_TELEMETRY: '0' }, on, {}, 'false false false'],
    ['cosmos', { ACME_TELEMETRY: '0' }, '', {}, 'true false false'],
    ['cosmos', { AIRFLOW__COSMOS__ENABLE_TELEMETRY: 'true' }, off, {}, 'true false false'],
    ['cosmos', { AIRFLOW__COSMOS__ENABLE_TELEMETRY: 'false' }, on, {}, 'false false false'],
    ['cosmos', { AIRFLOW__COSMOS__ENABLE_TELEMETRY: 'on' }, on, {}, 'false false false'],
    ['cosmos', {}, '', { consent: 'opt-in' }, 'false false false'],
    ['cosmos', {}, on, { consent: 'opt-in' }, 'true false false'],
    ['cosmos', {}, off, { consent: 'opt-in' }, 'false false false'],
    ['cosmos', { AIRFLOW__COSMOS__ENABLE_TELEMETRY: 't' }, '', { consent: 'opt-in' }, 'true false false'],
    ['cosmos', { COSMOS_TELEMETRY: 'enabled' }, '', { consent: 'opt-in' }, 'true false false'],
    ['cosmos', { COSMOS_TELEMETRY: 'enabled' }, off, { consent: 'opt-in' }, 'false false false'],
    ['cosmos', { DO_NOT_TRACK: 'none' }, on, { consent: 'opt-in' }, 'true false false'],
  ];
  for (const [product, env, file, options, expected] of table) {
    const machine = file === '' ? missing : cfg(file);
    const settings = resolveSettingsWith({ product, env: { HOME: '/home/pat', ...env }, ...options }, machine);
    t.is(flags(settings), expected, JSON.stringify({ product, env, file, options }));
    t.is(shouldEmit(settings), expected === 'true false false');
  }
});

test('every combination: one no wins, and an opt-in needs a yes', (t) => {
  type Say = 'yes' | 'no' | 'nothing';
  const tracking: [string | undefined, Say][] = [
    [undefined, 'nothing'],
    ['0', 'nothing'],
    ['1', 'no'],
  ];
  const own: [string | undefined, Say][] = [
    [undefined, 'nothing'],
    ['1', 'yes'],
    ['0', 'no'],
    ['', 'no'],
  ];
  const airflow: [string | undefined, Say][] = [
    [undefined, 'nothing'],
    ['True', 'yes'],
    ['False', 'no'],
    ['maybe', 'no'],
  ];
  const files: [string | undefined, Say][] = [
    [undefined, 'nothing'],
    ['[core]', 'nothing'],
    [on, 'yes'],
    [off, 'no'],
    ['[cosmos]\nx', 'no'],
  ];
  let asked = 0;
  for (const product of ['acme', 'cosmos']) {
    for (const consent of ['opt-out', 'opt-in'] as const) {
      for (const [dnt, dntSays] of tracking) {
        for (const [scarf, scarfSays] of tracking) {
          for (const [switched, switchSays] of own) {
            for (const [variable, variableSays] of airflow) {
              for (const [file, fileSays] of files) {
                const env: NodeJS.ProcessEnv = { HOME: '/h' };
                if (dnt !== undefined) env['DO_NOT_TRACK'] = dnt;
                if (scarf !== undefined) env['SCARF_NO_ANALYTICS'] = scarf;
                if (switched !== undefined) env[product === 'acme' ? 'ACME_TELEMETRY' : 'COSMOS_TELEMETRY'] = switched;
                if (variable !== undefined) env['AIRFLOW__COSMOS__ENABLE_TELEMETRY'] = variable;
                const airflowSays = variable === undefined ? fileSays : variableSays;
                const says = [dntSays, scarfSays, switchSays, product === 'cosmos' ? airflowSays : 'nothing'];
                const expected = !says.includes('no') && (consent === 'opt-out' || says.includes('yes'));
                const machine = file === undefined ? missing : cfg(file);
                if (shouldEmit(resolveSettingsWith({ product, env, consent }, machine)) !== expected)
                  t.fail(JSON.stringify({ product, env, consent, file }));
                if (shouldEmit(resolveSettingsWith({ product, env, consent, enabled: false }, machine))) t.fail('enabled: false');
                asked += 1;
              }
            }
          }
        }
      }
    }
  }
  t.is(asked, 2880);
});

test('rules are in order of precedence, each with its source', (t) => {
  const env = { HOME: '/h', DO_NOT_TRACK: '0', SCARF_NO_ANALYTICS: '', COSMOS_TELEMETRY: ' Yes ' };
  const settings = resolveSettingsWith({ env, consent: 'opt-in' }, cfg('\n[cosmos]\nx: 1\nEnable_Telemetry: True # wanted\n'));
  t.deepEqual(settings.rules, [
    { name: 'DO_NOT_TRACK', value: '0', optsOut: false, source: { kind: 'env' } },
    { name: 'SCARF_NO_ANALYTICS', value: '', optsOut: false, source: { kind: 'env' } },
    { name: 'COSMOS_TELEMETRY', value: ' Yes ', optsOut: false, source: { kind: 'env' } },
    { name: '[cosmos] enable_telemetry', value: 'True', optsOut: false, source: { kind: 'file', path: '/h/airflow/airflow.cfg', line: 4 } },
    { name: 'consent', value: 'opt-in', optsOut: false, source: { kind: 'option' } },
  ]);
  const all = { DO_NOT_TRACK: '1', SCARF_NO_ANALYTICS: '1', COSMOS_TELEMETRY: '0', AIRFLOW__COSMOS__ENABLE_TELEMETRY: 'f' };
  t.deepEqual(
    resolveSettingsWith({ env: all, enabled: false, consent: 'opt-in' }, missing).rules.map(({ name, optsOut }) => `${name} ${optsOut}`),
    [
      'enabled true',
      'DO_NOT_TRACK true',
      'SCARF_NO_ANALYTICS true',
      'COSMOS_TELEMETRY true',
      'AIRFLOW__COSMOS__ENABLE_TELEMETRY true',
      'consent true',
    ],
  );
});

test('the default is a rule only if it applies', (t) => {
  const byDefault: Rule = { name: 'default', value: 'enabled', optsOut: false, source: { kind: 'default' } };
  t.deepEqual(resolveSettingsWith({ env: {} }, missing).rules, [byDefault]);
  t.deepEqual(resolveSettingsWith({ env: { ACME_TELEMETRY: '1' }, product: 'acme' }, missing).rules.at(-1), byDefault);
  t.deepEqual(resolveSettingsWith({ env: {}, enabled: false }, missing).rules, [
    { name: 'enabled', value: 'false', optsOut: true, source: { kind: 'option' } },
  ]);
});

test('a shown value is short, on one line, and without control characters', (t) => {
  t.is(shownValue('x'.repeat(64)), 'x'.repeat(64));
  t.is(shownValue('x'.repeat(65)), `${'x'.repeat(63)}…`);
  t.is(shownValue('a\u001b[31m\n\u202eb'), 'a\u{fffd}[31m\u{fffd}\u{fffd}b');
  t.is(shownValue(`${'x'.repeat(62)}😀😀`), `${'x'.repeat(62)}\u{fffd}…`);
});

test('the deciding rule comes first', (t) => {
  t.is(explained({ env: {} }), 'true default');
  t.is(explained({ env: { DO_NOT_TRACK: '0' } }), 'true default DO_NOT_TRACK');
  t.is(explained({ env: { DO_NOT_TRACK: '0', SCARF_NO_ANALYTICS: '1' } }), 'false SCARF_NO_ANALYTICS DO_NOT_TRACK');
  t.is(explained({ product: 'acme', env: { DO_NOT_TRACK: '0', ACME_TELEMETRY: '1' } }), 'true ACME_TELEMETRY DO_NOT_TRACK default');
  t.is(explained({ product: 'acme', env: { ACME_TELEMETRY: '1', DO_NOT_TRACK: '1' } }), 'false DO_NOT_TRACK ACME_TELEMETRY');
  t.is(explained({ env: { DO_NOT_TRACK: '0', HOME: '/h' } }, cfg(on)), 'true [cosmos] enable_telemetry DO_NOT_TRACK default');
  t.is(explained({ env: { COSMOS_TELEMETRY: '1', HOME: '/h' } }, cfg(off)), 'false [cosmos] enable_telemetry COSMOS_TELEMETRY');
  t.is(explained({ env: { DO_NOT_TRACK: '0' }, consent: 'opt-in' }), 'false consent DO_NOT_TRACK');
  t.is(explained({ env: { COSMOS_TELEMETRY: '1' }, consent: 'opt-in' }), 'true COSMOS_TELEMETRY consent');
  t.deepEqual(explainSettings({ enableTelemetry: true, doNotTrack: false, noAnalytics: false, rules: [] }), { enabled: true, rules: [] });
});

test('settings are deeply frozen', (t) => {
  const settings = resolveSettingsWith({ env: { HOME: '/h', COSMOS_TELEMETRY: '1', DO_NOT_TRACK: '1' }, consent: 'opt-in' }, cfg(off));
  const parts: object[] = [settings, settings.rules, ...settings.rules, ...settings.rules.map((rule) => rule.source)];
  t.true(parts.length > 6);
  for (const part of parts) t.true(Object.isFrozen(part));
});

test('a wrong option throws a TypeError with its name and value', (t) => {
  const wrong = (options: unknown, message: RegExp): void => {
    const error = t.throws(() => resolveSettingsWith(options as SettingsOptions, missing), { instanceOf: TypeError });
    t.regex(error.message, message);
  };
  for (const product of ['', 'Acme', '9lives', 'a-b', 'a b', 'acme\n', 'ä', 'x'.repeat(33)])
    wrong({ product }, /^Expected `product` to match .*, got "/);
  wrong({ product: 'Acme' }, /"Acme"\.$/);
  wrong({ product: 7 }, /`product` .* got 7\.$/);
  wrong({ product: { toString: () => 'acme' } }, /`product` .* got an object\.$/);
  wrong({ product: 'https://user:secret@host/' }, /got "https:\/\/\*\*\*@host\/"\.$/);
  wrong({ consent: 'optin' }, /`consent` .* got "optin"\.$/);
  wrong({ consent: true }, /`consent` .* got true\.$/);
  wrong({ enabled: true }, /`enabled` .* got true\.$/);
  wrong({ enabled: 0 }, /`enabled` .* got 0\.$/);
  wrong({ products: 'acme' }, /known keys only, got `products`\.$/);
  t.notThrows(() => resolveSettingsWith({ product: 'a'.repeat(32), env: {}, consent: undefined, enabled: undefined }, missing));
});

test('the defaults are product cosmos and this process', (t) => {
  const before = process.env['DO_NOT_TRACK'];
  try {
    process.env['DO_NOT_TRACK'] = '1';
    t.true(resolveSettings().doNotTrack);
    t.true(resolveSettings({ product: 'acme' }).doNotTrack);
    t.false(shouldEmit());
  } finally {
    if (before === undefined) delete process.env['DO_NOT_TRACK'];
    else process.env['DO_NOT_TRACK'] = before;
  }
  t.true(shouldEmit(resolveSettings({ env: {} })));
});

test('shouldEmit() is false for anything but complete settings, and never throws', (t) => {
  const good = { enableTelemetry: true, doNotTrack: false, noAnalytics: false, rules: [] };
  t.true(shouldEmit(good));
  const throwing = new Proxy(good, {
    get: () => {
      throw new Error('no');
    },
  });
  const inherited = Object.create(good) as unknown;
  for (const garbage of [
    null,
    0,
    1,
    '',
    'on',
    true,
    [],
    {},
    () => good,
    Symbol('x'),
    throwing,
    inherited,
    { ...good, doNotTrack: undefined },
    { ...good, enableTelemetry: 1 },
    { ...good, noAnalytics: 0 },
  ]) {
    t.false(shouldEmit(garbage as Settings));
  }
});

test('a polluted Object.prototype never turns telemetry on', (t) => {
  const yes: [name: string, value: unknown, ask: () => boolean][] = [
    ['ACME_TELEMETRY', '1', emits({ product: 'acme', env: {}, consent: 'opt-in' })],
    ['COSMOS_TELEMETRY', '1', emits({ env: {}, consent: 'opt-in' })],
    ['AIRFLOW__COSMOS__ENABLE_TELEMETRY', 'true', emits({ env: {}, consent: 'opt-in' })],
    ['AIRFLOW__COSMOS__ENABLE_TELEMETRY', 'true', emits({ env: { HOME: '/h' } }, cfg(off))],
    ['product', 'acme', emits({ env: { AIRFLOW__COSMOS__ENABLE_TELEMETRY: 'false' } })],
    ['env', { ACME_TELEMETRY: '1' }, () => shouldEmit(resolveSettingsWith({ product: 'acme', consent: 'opt-in' }, missing))],
    ['enableTelemetry', true, () => shouldEmit({ doNotTrack: false, noAnalytics: false } as Settings)],
    ['DO_NOT_TRACK', '0', emits({ env: Object.create({ DO_NOT_TRACK: '1' }) as NodeJS.ProcessEnv })],
    [
      'AIRFLOW_HOME',
      '/nowhere',
      () =>
        shouldEmit(
          resolveSettingsWith(
            { env: { HOME: '/h' } },
            {
              readFile: (path) => (path === '/h/airflow/airflow.cfg' ? off : cfg('').readFile(path)),
            },
          ),
        ),
    ],
    [
      'HOME',
      '/nowhere',
      () =>
        shouldEmit(
          resolveSettingsWith(
            { env: { AIRFLOW_HOME: '$HOME' } },
            {
              readFile: (path) => (path === '$HOME/airflow.cfg' ? off : cfg('').readFile(path)),
            },
          ),
        ),
    ],
    ['enable_telemetry', 'true', emits({ env: { HOME: '/h' } }, cfg(off))],
  ];
  for (const [name, value, ask] of yes) {
    t.false(ask(), `${name} before`);
    t.false(polluted(name, value, ask), name);
  }
  t.false(polluted('DO_NOT_TRACK', '1', emits({ env: {} })), 'an opt-out counts even on Object.prototype');
  t.true(polluted('DO_NOT_TRACK', '0', emits({ env: {} })));
});

test('an environment that cannot be read opts out, with a rule that says so, and throws nothing', (t) => {
  const env = new Proxy(
    {},
    {
      get: () => {
        throw new Error('secret');
      },
    },
  );
  for (const product of ['acme', 'cosmos']) {
    const settings = resolveSettingsWith({ product, env }, missing);
    t.is(flags(settings), 'false true true');
    t.deepEqual(settings.rules[0], { name: 'DO_NOT_TRACK', value: 'cannot be read', optsOut: true, source: { kind: 'env' } });
  }
  for (const weird of ['DO_NOT_TRACK', 7, true, () => ({})])
    t.false(shouldEmit(resolveSettings({ env: weird as unknown as NodeJS.ProcessEnv })));
});

test('any environment and any file: nothing throws, and no unknown value is a yes', (t) => {
  const names = [
    'DO_NOT_TRACK',
    'SCARF_NO_ANALYTICS',
    'COSMOS_TELEMETRY',
    'AIRFLOW__COSMOS__ENABLE_TELEMETRY',
    'AIRFLOW_HOME',
    'AIRFLOW_CONFIG',
    'HOME',
    'A',
  ];
  const word = fc.constantFrom('', '0', '1', 'true', 'false', 'on', 'maybe', '$A', '~', '#');
  const text = anyText({ maxLength: 30 });
  // Every yes contains one of these, even if variables are expanded in it.
  const saidYes = /1|t|on|yes|enabled/i;
  fc.assert(
    fc.property(
      fc.dictionary(fc.constantFrom(...names), fc.oneof(word, text)),
      fc.oneof(word, text),
      fc.boolean(),
      (env, value, wrapped) => {
        const file = wrapped ? `[cosmos]\nenable_telemetry = ${value}` : value;
        const settings = resolveSettingsWith({ env, consent: 'opt-in' }, cfg(file));
        if (shouldEmit(settings)) t.true([value, ...Object.values(env)].some((answer) => saidYes.test(answer)));
        for (const rule of settings.rules) t.true(rule.value.length <= 64);
        t.is(explainSettings(settings).enabled, shouldEmit(settings));
      },
    ),
    { numRuns: 2000 },
  );
});

test('a yes in the environment can be withdrawn; a yes in airflow.cfg cannot', (t) => {
  const env: NodeJS.ProcessEnv = { ACME_TELEMETRY: 'yes' };
  const settings = resolveSettingsWith({ product: 'acme', env, consent: 'opt-in' }, missing);
  t.true(shouldEmit(settings));
  t.false(consentWithdrawn(settings, env));
  delete env['ACME_TELEMETRY'];
  t.true(consentWithdrawn(settings, env));

  const file = cfg(on);
  const cosmos: NodeJS.ProcessEnv = { HOME: '/home/pat', COSMOS_TELEMETRY: '1' };
  const both = resolveSettingsWith({ env: cosmos, consent: 'opt-in' }, file);
  t.true(shouldEmit(both));
  delete cosmos['COSMOS_TELEMETRY'];
  t.false(consentWithdrawn(both, cosmos));
});
