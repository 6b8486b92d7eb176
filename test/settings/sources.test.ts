import test from 'ava';

import { Log } from '../../src/base/log.js';
import { resolveSettings, resolveSettingsWith, shouldEmit } from '../../src/opt-out/settings.js';
import type { SettingsOptions } from '../../src/opt-out/settings.js';
import { systemClock } from '../../src/base/clock.js';

interface Answer {
  emits: boolean;
  opened: string[];
  warned: string[];
  rule: unknown;
}

/** Asks with a file system of one file, an airflow.cfg: a text, or the code of the error that opening it gives. */
function ask(options: SettingsOptions, file: { text: string } | { code: string }): Answer {
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

test('the file is opened for Cosmos alone, and only when nothing else has decided', (t) => {
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

test('a file that is not there says nothing', (t) => {
  for (const code of ['ENOENT', 'ENOTDIR']) {
    t.deepEqual(ask({ env: { HOME } }, { code }), { emits: true, opened: [PATH], warned: [], rule: undefined });
  }
});

test('a file that cannot be read opts out and warns, by its code alone', (t) => {
  for (const code of ['EACCES', 'EISDIR', 'EPERM', 'EIO', 'ELOOP', 'EFBIG', 'EILSEQ', 'ENOTFILE']) {
    t.deepEqual(ask({ env: { HOME } }, { code }), {
      emits: false,
      opened: [PATH],
      warned: [`[telemetry] config_unreadable: ${PATH} cannot be used (${code}), which counts as an opt-out`],
      rule: { name: '[cosmos] enable_telemetry', value: code, optsOut: true, source: { kind: 'file', path: PATH } },
    });
  }
  t.like(ask({ env: { HOME } }, { code: 'a sentence with a secret' }), {
    emits: false,
    warned: [`[telemetry] config_unreadable: ${PATH} cannot be used (cannot be read), which counts as an opt-out`],
    rule: { value: 'cannot be read' },
  });
});

test('whatever reading throws, it opts out', (t) => {
  for (const thrown of [null, undefined, 'ENOENT', 7, {}, { code: 7 }]) {
    const readFile = (): string => {
      // oxlint-disable-next-line typescript/only-throw-error -- an injected reader may throw anything
      throw thrown;
    };
    t.false(shouldEmit(resolveSettingsWith({ env: { HOME } }, { readFile })));
  }
  t.false(shouldEmit(resolveSettingsWith({ env: { HOME } }, { readFile: () => undefined as unknown as string })));
});

test('a file that Python would not parse opts out and names the line', (t) => {
  t.deepEqual(ask({ env: { HOME } }, { text: '[core]\nfernet_key = s3cret\n[core]\n' }), {
    emits: false,
    opened: [PATH],
    warned: [`[telemetry] config_unreadable: ${PATH}:3 cannot be used (section stands twice), which counts as an opt-out`],
    rule: {
      name: '[cosmos] enable_telemetry',
      value: 'section stands twice',
      optsOut: true,
      source: { kind: 'file', path: PATH, line: 3 },
    },
  });
  t.false(ask({ env: { HOME } }, { text: '\ufeff[cosmos]\nenable_telemetry = false\n' }).emits);
});

test('an unknown value counts as false, and warns with its place and no other option of the file', (t) => {
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

test('a value that is understood warns nobody', (t) => {
  for (const text of ['[cosmos]\nenable_telemetry = true\n', off.text, '[core]\nx = 1\n', ''])
    t.deepEqual(ask({ env: { HOME } }, { text }).warned, []);
  t.like(ask({ env: { HOME } }, { text: '[cosmos]\nenable_telemetry =\n  False\n' }), { emits: false, rule: { value: 'false' } });
  t.like(ask({ env: { HOME, NO: 'f' } }, { text: '[DEFAULT]\n\nenable_telemetry : $NO\n[cosmos]\n' }), {
    emits: false,
    warned: [],
    rule: { value: '$NO', source: { line: 3 } },
  });
});

test('a place that was named and cannot be worked out opts out', (t) => {
  t.deepEqual(ask({ env: { HOME, AIRFLOW_HOME: '~bob/airflow' } }, off), {
    emits: false,
    opened: [],
    warned: [
      '[telemetry] config_unreadable: ~bob/airflow/airflow.cfg cannot be used (its place cannot be worked out), which counts as an opt-out',
    ],
    rule: {
      name: '[cosmos] enable_telemetry',
      value: 'its place cannot be worked out',
      optsOut: true,
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

test('a variable that cannot be read is named in a warning', (t) => {
  const env = Object.defineProperty({ HOME }, 'ACME_TELEMETRY', {
    get: () => {
      throw new Error('secret');
    },
  });
  t.deepEqual(ask({ product: 'acme', env }, off).warned, [
    '[telemetry] environment_unreadable: ACME_TELEMETRY cannot be read, which counts as an opt-out',
  ]);
});

test('the real file system is asked where none is given', (t) => {
  t.true(shouldEmit(resolveSettings({ env: { AIRFLOW_CONFIG: '/nonexistent/airflow.cfg' } })));
  t.false(shouldEmit(resolveSettings({ env: { AIRFLOW_CONFIG: '/' } })));
});
