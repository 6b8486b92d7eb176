import { execFileSync } from 'node:child_process';
import { chmodSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import test from 'ava';

import { Log } from '../../src/base/log.js';
import { resolveSettings, resolveSettingsWith, shouldEmit } from '../../src/opt-out/settings.js';
import type { SettingsOptions } from '../../src/opt-out/settings.js';
import { readConfigFile, readConfigFileLater } from '../../src/base/machine.js';
import { rereadTelemetryFiles } from '../../src/opt-out/telemetry-json.js';
import { systemClock } from '../../src/base/clock.js';

const OWN = '/home/pat/.config/acme/telemetry.json';
const POLICY = '/etc/xdg/acme/telemetry.json';
const env = { HOME: '/home/pat' };

/** Asks on Linux with some files: a text each, or the code of the error that opening it gives. */
function ask(files: Record<string, { text: string } | { code: string }>, options: SettingsOptions = {}) {
  const opened: string[] = [];
  const warned: string[] = [];
  const log = new Log({ debug: () => {}, warn: (line) => warned.push(line) }, systemClock);
  const readFile = (file: string): string => {
    opened.push(file);
    const found = files[file] ?? { code: 'ENOENT' };
    if ('text' in found) return found.text;
    throw Object.assign(new Error('secret text of a library'), { code: found.code });
  };
  const settings = resolveSettingsWith({ product: 'acme', env, ...options }, { readFile, platform: 'linux', log });
  return { emits: shouldEmit(settings), opened, warned, rules: settings.rules.filter(({ source }) => source.kind === 'file') };
}

const rule = (name: string, value: string, optsOut: boolean, file: string, line?: number) => ({
  name,
  value,
  optsOut,
  source: { kind: 'file', path: file, ...(line !== undefined && { line }) },
});

test('policy first, then the own file, each with its line', (t) => {
  t.deepEqual(ask({ [POLICY]: { text: '{\n"enabled": false}' }, [OWN]: { text: '{"enabled": true}' } }), {
    emits: false,
    opened: [POLICY, OWN],
    warned: [],
    rules: [rule('policy file', 'false', true, POLICY, 2), rule('config file', 'true', false, OWN, 1)],
  });
  t.deepEqual(ask({}), { emits: true, opened: [POLICY, OWN], warned: [], rules: [] });
});

test('every policy file that exists counts, wherever a variable points', (t) => {
  const places = { env: { ...env, XDG_CONFIG_DIRS: '/a:/b', XDG_CONFIG_HOME: '/own' } };
  const no = { text: '{"enabled": false}' };
  for (const file of ['/a/acme/telemetry.json', '/b/acme/telemetry.json', POLICY, '/own/acme/telemetry.json']) {
    t.like(ask({ [file]: no }, places), {
      emits: false,
      opened: ['/a/acme/telemetry.json', '/b/acme/telemetry.json', POLICY, '/own/acme/telemetry.json'],
    });
  }
  t.true(ask({ [OWN]: no }, places).emits, 'its place is another one');
});

test("a policy's yes is nobody's consent", (t) => {
  const yes = { text: '{"enabled": true}' };
  t.like(ask({ [POLICY]: yes }, { consent: 'opt-in' }), { emits: false, rules: [], warned: [] });
  t.true(ask({ [OWN]: yes }, { consent: 'opt-in' }).emits);
});

test('a file that is not there says nothing', (t) => {
  for (const code of ['ENOENT', 'ENOTDIR']) t.like(ask({ [POLICY]: { code }, [OWN]: { code } }), { emits: true, warned: [], rules: [] });
});

test('a file that cannot be used opts out, with a warning that holds nothing of it', (t) => {
  for (const code of ['EACCES', 'EISDIR', 'ELOOP', 'EFBIG', 'EILSEQ', 'ENOTFILE', 'EIO']) {
    t.deepEqual(ask({ [OWN]: { code } }), {
      emits: false,
      opened: [POLICY, OWN],
      warned: [`[telemetry] config_unreadable: ${OWN} cannot be used (${code}), which counts as an opt-out`],
      rules: [rule('config file', code, true, OWN)],
    });
  }
  t.deepEqual(ask({ [POLICY]: { text: '{"enabled": true, "token": "s3cret"' } }).warned, [
    `[telemetry] config_unreadable: ${POLICY} cannot be used (not JSON), which counts as an opt-out`,
  ]);
  t.like(ask({ [OWN]: { text: '{\n\n"enabled": "no"}' } }), {
    emits: false,
    warned: [`[telemetry] config_unreadable: ${OWN}:3 cannot be used ("enabled" is neither true nor false), which counts as an opt-out`],
  });
});

test('nothing is opened once the environment or the program has opted out', (t) => {
  const optOuts: SettingsOptions[] = [
    { enabled: false },
    { env: { ...env, DO_NOT_TRACK: '1' } },
    { env: { ...env, SCARF_NO_ANALYTICS: '1' } },
    { env: { ...env, ACME_TELEMETRY: '0' } },
    { product: 'cosmos', env: { ...env, AIRFLOW__COSMOS__ENABLE_TELEMETRY: 'false' } },
  ];
  for (const options of optOuts)
    t.like(ask({ [OWN]: { text: '{"enabled": true}' } }, options), { emits: false, opened: [] }, JSON.stringify(options));
  const cosmos = ask({ '/etc/xdg/cosmos/telemetry.json': { text: '{"enabled": false}' } }, { product: 'cosmos' });
  t.deepEqual(cosmos.opened, ['/etc/xdg/cosmos/telemetry.json', '/home/pat/.config/cosmos/telemetry.json'], 'airflow.cfg stays shut');
});

test('an environment that does not say where a file is opts out', async (t) => {
  const torn = new Proxy(
    { ...env },
    {
      get: (target, name) => {
        if (name === 'XDG_CONFIG_HOME') throw new Error('secret');
        return Reflect.get(target, name) as unknown;
      },
    },
  );
  t.like(ask({}, { env: torn }), { emits: false, opened: [] });
  const rules = await rereadTelemetryFiles(
    { product: 'acme', env: torn, platform: 'linux' },
    () => Promise.reject(new Error('not asked')),
    undefined,
  );
  t.true(rules.some((each) => each.optsOut));
});

test.serial('on a real disk: what is no readable file of at most 64 KiB opts out, at once and later alike', async (t) => {
  const home = mkdtempSync(path.join(tmpdir(), 'telemetry-files-'));
  t.teardown(() => rmSync(home, { recursive: true, force: true }));
  const folder = path.join(home, 'acme');
  const file = path.join(folder, 'telemetry.json');
  const here = { XDG_CONFIG_HOME: home };
  const cases: [what: string, make: () => void, value: string | undefined][] = [
    ['no folder', () => rmSync(folder, { recursive: true }), undefined],
    ['a folder without it', () => {}, undefined],
    ['a link that leads nowhere', () => symlinkSync('nowhere', file), undefined],
    ['a yes', () => writeFileSync(file, '{"enabled": true}'), 'true'],
    [
      'a no through a link',
      () => {
        writeFileSync(path.join(folder, 'real'), '{"enabled": false}');
        symlinkSync('real', file);
      },
      'false',
    ],
    ['not UTF-8', () => writeFileSync(file, '\ufeff{"enabled": true}', 'utf16le'), 'EILSEQ'],
    ['too large', () => writeFileSync(file, `{"enabled": true}${' '.repeat(70_000)}`), 'more than 64 KiB'],
    ['far too large', () => writeFileSync(file, `{"enabled": true}${' '.repeat(1_100_000)}`), 'EFBIG'],
  ];
  if (process.platform !== 'win32') {
    cases.push(
      ['a folder', () => mkdirSync(file), 'EISDIR'],
      [
        'links in a circle',
        () => {
          symlinkSync('other', file);
          symlinkSync('telemetry.json', path.join(folder, 'other'));
        },
        'ELOOP',
      ],
      ['a pipe', () => execFileSync('mkfifo', [file]), 'ENOTFILE'],
      ['a device', () => symlinkSync('/dev/zero', file), 'ENOTFILE'],
    );
    if (process.getuid?.() !== 0)
      cases.push([
        'not readable',
        () => {
          writeFileSync(file, '{}');
          chmodSync(file, 0);
        },
        'EACCES',
      ]);
  }
  for (const [what, make, value] of cases) {
    rmSync(folder, { recursive: true, force: true });
    mkdirSync(folder);
    make();
    const found = resolveSettings({ product: 'acme', env: here }).rules.filter(({ source }) => source.kind === 'file');
    t.deepEqual(
      found.map((each) => each.value),
      value === undefined ? [] : [value],
      what,
    );
    t.deepEqual(await rereadTelemetryFiles({ product: 'acme', env: here }, readConfigFileLater, undefined), found, `${what}, later`);
    t.is(shouldEmit(resolveSettings({ product: 'acme', env: here })), value === undefined || value === 'true', what);
  }
  writeFileSync(path.join(home, 'plain'), 'x'.repeat(200_000));
  t.is(await readConfigFileLater(path.join(home, 'plain')), readConfigFile(path.join(home, 'plain')));
});
