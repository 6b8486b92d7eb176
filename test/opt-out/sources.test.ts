import { readFileSync } from 'node:fs';
import test from 'ava';
import { systemClock } from '../../src/base/clock.js';
import { Log } from '../../src/base/log.js';
import { explainSettings, resolveSettings, resolveSettingsWith, shouldEmit } from '../../src/opt-out/settings.js';
import type { SettingsOptions } from '../../src/opt-out/settings.js';

interface Found {
  emits: boolean;
  opened: string[];
  warned: string[];
  rule: unknown;
}

/** Resolves settings with an airflow.cfg as the only file: its text, or the error code of opening it. */
function ask(options: SettingsOptions, file: { text: string } | { code: string }): Found {
  const opened: string[] = [];
  const warned: string[] = [];
  const log = new Log({ debug: () => {}, warn: (line) => warned.push(line) }, systemClock);
  const readFile = (path: string): string => {
    if (path.endsWith('telemetry.json')) throw Object.assign(new Error('no such file'), { code: 'ENOENT' });
    opened.push(path);
    if ('text' in file) return file.text;
    throw Object.assign(new Error('secret text of a library'), { code: file.code });
  };
  const settings = resolveSettingsWith(options, { readFile, log });
  return { emits: shouldEmit(settings), opened, warned, rule: settings.rules.find(({ source }) => source.kind === 'file') };
}

const HOME = '/home/pat';
const PATH = '/home/pat/airflow/airflow.cfg';
const off = { text: '[cosmos]\nenable_telemetry = false\n' };

test('airflow.cfg is opened for cosmos only, and only if nothing else has decided', (t) => {
  const untouched: SettingsOptions[] = [
    { product: 'acme', env: { HOME } },
    { product: 'acme', env: { HOME }, consent: 'opt-in' },
    { env: { HOME }, enabled: false },
    { env: { HOME, DO_NOT_TRACK: '1' } },
    { env: { HOME, SCARF_NO_ANALYTICS: '1' } },
    { env: { HOME, COSMOS_TELEMETRY: '0' } },
    { env: { HOME, AIRFLOW__COSMOS__ENABLE_TELEMETRY: 'true' } },
    { env: { HOME, AIRFLOW__COSMOS__ENABLE_TELEMETRY: 'false' } },
    { env: { HOME, AIRFLOW__COSMOS__ENABLE_TELEMETRY: '' } },
    { env: {} },
  ];
  for (const options of untouched) t.deepEqual(ask(options, off).opened, [], JSON.stringify(options));
  const once: SettingsOptions[] = [
    { env: { HOME } },
    { env: { HOME, DO_NOT_TRACK: '0' } },
    { env: { HOME, COSMOS_TELEMETRY: '1' } },
    { env: { HOME }, consent: 'opt-in' },
    { product: 'cosmos', env: { HOME, ACME_TELEMETRY: '0' } },
  ];
  for (const options of once) t.deepEqual(ask(options, off).opened, [PATH], JSON.stringify(options));
});

test('a missing airflow.cfg gives no rule', (t) => {
  for (const code of ['ENOENT', 'ENOTDIR']) {
    t.deepEqual(ask({ env: { HOME } }, { code }), { emits: true, opened: [PATH], warned: [], rule: undefined });
  }
});

test('an airflow.cfg that cannot be read is unknown, and the warning holds the error code alone', (t) => {
  for (const code of ['EACCES', 'EISDIR', 'EPERM', 'EIO', 'ELOOP', 'ENOTFILE', 'EMFILE', 'ENFILE', 'ESTALE', 'ENOMEM', 'ETIMEDOUT']) {
    t.deepEqual(ask({ env: { HOME } }, { code }), {
      emits: false,
      opened: [PATH],
      warned: [`[telemetry] config_unreadable: ${PATH} cannot be read (${code}): nothing is sent until it can be`],
      rule: { name: '[cosmos] enable_telemetry', value: code, optsOut: true, unknown: 'unreadable', source: { kind: 'file', path: PATH } },
    });
  }
  t.like(ask({ env: { HOME } }, { code: 'a sentence with a secret' }), {
    emits: false,
    warned: [`[telemetry] config_unreadable: ${PATH} cannot be read (cannot be read): nothing is sent until it can be`],
    rule: { value: 'cannot be read', unknown: 'unreadable' },
  });
  for (const code of ['EFBIG', 'EILSEQ'])
    t.like(ask({ env: { HOME } }, { code }), { emits: false, rule: { value: code, unknown: 'malformed' } });
});

test('whatever reading airflow.cfg throws, nothing is sent', (t) => {
  for (const thrown of [null, undefined, 'ENOENT', 7, {}, { code: 7 }]) {
    const readFile = (): string => {
      // oxlint-disable-next-line typescript/only-throw-error -- an injected reader may throw anything
      throw thrown;
    };
    t.false(shouldEmit(resolveSettingsWith({ env: { HOME } }, { readFile })));
  }
  t.false(shouldEmit(resolveSettingsWith({ env: { HOME } }, { readFile: () => undefined as unknown as string })));
});

test('an airflow.cfg that Python would not parse is malformed, and the warning names the line', (t) => {
  t.deepEqual(ask({ env: { HOME } }, { text: '[core]\nfernet_key = s3cret\n[core]\n' }), {
    emits: false,
    opened: [PATH],
    warned: [
      `[telemetry] config_unreadable: ${PATH}:3 cannot be used (duplicate section): nothing is sent, and it counts as an opt-out if it is still so in a minute`,
    ],
    rule: {
      name: '[cosmos] enable_telemetry',
      value: 'duplicate section',
      optsOut: true,
      unknown: 'malformed',
      source: { kind: 'file', path: PATH, line: 3 },
    },
  });
  t.false(ask({ env: { HOME } }, { text: '\ufeff[cosmos]\nenable_telemetry = false\n' }).emits);
});

test('an unknown value counts as false, and the warning holds its place and no other option of the file', (t) => {
  t.deepEqual(ask({ env: { HOME } }, { text: '[cosmos]\nenable_telemetry = %(key)s\nkey = s3cret\n' }), {
    emits: false,
    opened: [PATH],
    warned: [`[telemetry] setting_unknown: ${PATH}:2 says "%(key)s", neither true nor false, which counts as an opt-out`],
    rule: { name: '[cosmos] enable_telemetry', value: '%(key)s', optsOut: true, source: { kind: 'file', path: PATH, line: 2 } },
  });
  t.deepEqual(ask({ env: { HOME } }, { text: '[cosmos]\nenable_telemetry = maybe\n  key = s3cret\n' }).warned, [
    `[telemetry] setting_unknown: ${PATH}:2 says "maybe", neither true nor false, which counts as an opt-out`,
  ]);
  t.like(ask({ env: { HOME, KEY: 's3cret' } }, { text: '[cosmos]\nenable_telemetry = $KEY\n' }), { emits: false, rule: { value: '$KEY' } });
  t.deepEqual(ask({ env: { HOME, AIRFLOW__COSMOS__ENABLE_TELEMETRY: 'no\n' } }, off).warned, [
    '[telemetry] setting_unknown: AIRFLOW__COSMOS__ENABLE_TELEMETRY says "no\u{fffd}", neither true nor false, which counts as an opt-out',
  ]);
});

test('a known value gives no warning', (t) => {
  for (const text of ['[cosmos]\nenable_telemetry = true\n', off.text, '[core]\nx = 1\n', ''])
    t.deepEqual(ask({ env: { HOME } }, { text }).warned, []);
  t.like(ask({ env: { HOME } }, { text: '[cosmos]\nenable_telemetry =\n  False\n' }), { emits: false, rule: { value: 'false' } });
  t.like(ask({ env: { HOME, NO: 'f' } }, { text: '[DEFAULT]\n\nenable_telemetry : $NO\n[cosmos]\n' }), {
    emits: false,
    warned: [],
    rule: { value: '$NO', source: { line: 3 } },
  });
});

test('while a path of airflow.cfg cannot be resolved, nothing is sent', (t) => {
  t.deepEqual(ask({ env: { HOME, AIRFLOW_HOME: '~bob/airflow' } }, off), {
    emits: false,
    opened: [],
    warned: [
      '[telemetry] config_unreadable: ~bob/airflow/airflow.cfg cannot be read (its path cannot be resolved): nothing is sent until it can be',
    ],
    rule: {
      name: '[cosmos] enable_telemetry',
      value: 'its path cannot be resolved',
      optsOut: true,
      unknown: 'unreadable',
      source: { kind: 'file', path: '~bob/airflow/airflow.cfg' },
    },
  });
  const env = new Proxy(
    {},
    {
      get: (_target, name) => {
        if (name === 'AIRFLOW_HOME') throw new Error('secret');
      },
    },
  );
  t.like(ask({ env }, off), { emits: false, opened: [], rule: { value: 'cannot be read' } });
});

test('the warning names a variable that cannot be read', (t) => {
  const env = Object.defineProperty({ HOME }, 'ACME_TELEMETRY', {
    get: () => {
      throw new Error('secret');
    },
  });
  t.deepEqual(ask({ product: 'acme', env }, off).warned, [
    '[telemetry] environment_unreadable: ACME_TELEMETRY cannot be read, which counts as an opt-out',
  ]);
});

test('by default the real file system is used', (t) => {
  t.true(shouldEmit(resolveSettings({ env: { AIRFLOW_CONFIG: '/nonexistent/airflow.cfg' } })));
  t.false(shouldEmit(resolveSettings({ env: { AIRFLOW_CONFIG: '/' } })));
});

type Say = 'yes' | 'no' | 'nothing';

/** A value in one place, and what it says. */
type Case<T> = readonly [given: T, says: Say];

const ENVIRONMENTS: readonly Case<(name: string) => Record<string, string>>[] = [
  [() => ({}), 'nothing'],
  [() => ({ DO_NOT_TRACK: '0', SCARF_NO_ANALYTICS: '' }), 'nothing'],
  [(name) => ({ [`${name}_TELEMETRY`]: '1' }), 'yes'],
  [(name) => ({ [`${name}_TELEMETRY`]: 'on', DO_NOT_TRACK: 'false' }), 'yes'],
  [(name) => ({ [`${name}_TELEMETRY`]: '0' }), 'no'],
  [(name) => ({ [`${name}_TELEMETRY`]: 'sure' }), 'no'],
  [() => ({ DO_NOT_TRACK: '1' }), 'no'],
  [() => ({ SCARF_NO_ANALYTICS: 'yes' }), 'no'],
  [(name) => ({ [`${name}_TELEMETRY`]: '1', DO_NOT_TRACK: '1' }), 'no'],
];
const POLICIES: readonly Case<string | undefined>[] = [
  [undefined, 'nothing'],
  ['{}', 'nothing'],
  ['{"enabled": true}', 'nothing'],
  ['{"enabled": false}', 'no'],
  ['{"enabled": "true"}', 'no'],
  ['[]', 'no'],
];
const CONFIGS: readonly Case<string | undefined>[] = [
  [undefined, 'nothing'],
  ['{"later": 1}', 'nothing'],
  ['{"enabled": true}', 'yes'],
  ['{"enabled": false}', 'no'],
  ['true', 'no'],
];
const CFGS: readonly Case<string | undefined>[] = [
  [undefined, 'nothing'],
  ['[core]\n', 'nothing'],
  ['[cosmos]\nenable_telemetry = True\n', 'yes'],
  ['[cosmos]\nenable_telemetry = False\n', 'no'],
  ['[cosmos]\nenable_telemetry = on\n', 'no'],
];
/** Airflow's variable, for `cosmos`. If it is set, airflow.cfg is not read. */
const AIRFLOW: readonly Case<string | undefined>[] = [
  [undefined, 'nothing'],
  ['true', 'yes'],
  ['false', 'no'],
  ['maybe', 'no'],
];

const VARIABLES = ['DO_NOT_TRACK', 'SCARF_NO_ANALYTICS', 'ACME_TELEMETRY', 'COSMOS_TELEMETRY', 'AIRFLOW__COSMOS__ENABLE_TELEMETRY'];
const NAMES: Record<string, readonly string[]> = {
  enabled: ['enabled'],
  variable: VARIABLES,
  'policy file': ['policy file'],
  'config file': ['config file'],
  'airflow.cfg': ['[cosmos] enable_telemetry'],
  consent: ['consent'],
  default: ['default'],
};

/** The table of the page, written by hand. */
const page = readFileSync(new URL('../../../docs/opt-outs.md', import.meta.url), 'utf8');
const TABLE = (page.split('\n## What decides\n')[1] ?? '')
  .split('\n## ')[0]
  ?.split('\n')
  .filter((line) => line.startsWith('| '))
  .slice(2)
  .map((line) => line.replaceAll(/^\| | \|$|[`']/g, '').split(' | '));

function rowFor(says: readonly string[]): { isOn: boolean; names: readonly string[] } | undefined {
  const row = TABLE?.find((cells) => says.every((say, column) => cells[column] === 'any' || cells[column] === say));
  const [telemetry, decidedBy = ''] = row?.slice(6) ?? [];
  return row && { isOn: telemetry === 'on', names: NAMES[decidedBy] ?? [] };
}

function machineWith(files: Record<string, string | undefined>, opened: string[]) {
  const readFile = (path: string): string => {
    opened.push(path);
    const text = files[path];
    if (text === undefined) throw Object.assign(new Error('no such file'), { code: 'ENOENT' });
    return text;
  };
  return { readFile, platform: 'linux' } as const;
}

test('the table of docs/opt-outs.md is right for every combination, and names the deciding rule', (t) => {
  t.is(TABLE?.length, 10);
  let asked = 0;
  const used = new Set<string>();
  for (const product of ['acme', 'cosmos']) {
    const isCosmos = product === 'cosmos';
    for (const [environment, environmentSays] of ENVIRONMENTS) {
      for (const [airflow, airflowSays] of isCosmos ? AIRFLOW : AIRFLOW.slice(0, 3)) {
        for (const [policy, policySays] of POLICIES) {
          for (const [config, configSays] of CONFIGS) {
            for (const [cfgText, cfgSays] of isCosmos ? CFGS : CFGS.slice(2, 4)) {
              const env: NodeJS.ProcessEnv = { HOME: '/home/pat', ...environment(product.toUpperCase()) };
              if (airflow !== undefined) env['AIRFLOW__COSMOS__ENABLE_TELEMETRY'] = airflow;
              const variables = isCosmos ? [environmentSays, airflowSays] : [environmentSays];
              const variableSays = variables.includes('no') ? 'no' : variables.includes('yes') ? 'yes' : 'nothing';
              const files = {
                [`/etc/xdg/${product}/telemetry.json`]: policy,
                [`/home/pat/.config/${product}/telemetry.json`]: config,
                '/home/pat/airflow/airflow.cfg': cfgText,
              };
              for (const enabled of ['nothing', 'false']) {
                for (const consent of ['opt-out', 'opt-in'] as const) {
                  const opened: string[] = [];
                  const options = { product, env, consent, ...(enabled === 'false' && { enabled: false as const }) };
                  const settings = resolveSettingsWith(options, machineWith(files, opened));
                  const what = JSON.stringify({ ...options, policy, config, cfgText });
                  const row = rowFor([
                    enabled,
                    variableSays,
                    policySays,
                    configSays,
                    isCosmos && airflow === undefined ? cfgSays : 'nothing',
                    consent,
                  ]);
                  const [deciding] = explainSettings(settings).rules;
                  if (row?.isOn !== shouldEmit(settings) || !row.names.includes(deciding?.name ?? '')) t.fail(`${what}: ${deciding?.name}`);
                  if ((variableSays === 'no' || enabled === 'false') && opened.length > 0) t.fail(`${what} opened ${opened.join(', ')}`);
                  if (!isCosmos && opened.some((path) => path.endsWith('.cfg'))) t.fail(`${what} opened airflow.cfg`);
                  used.add(deciding?.name ?? '');
                  asked += 1;
                }
              }
            }
          }
        }
      }
    }
  }
  t.is(asked, 9 * 6 * 5 * 2 * 2 * (3 * 2 + 4 * 5));
  for (const name of [...VARIABLES, 'enabled', 'policy file', 'config file', '[cosmos] enable_telemetry', 'consent', 'default']) {
    t.true(used.has(name), name);
  }
});
