import { execFileSync } from 'node:child_process';
import { chmodSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import test from 'ava';
import * as fc from 'fast-check';
import { systemClock } from '../../src/base/clock.js';
import { Log } from '../../src/base/log.js';
import { readConfigFile, readConfigFileLater } from '../../src/base/machine.js';
import { explainSettings, resolveSettings, resolveSettingsWith, shouldEmit, toQuestion } from '../../src/opt-out/settings.js';
import type { SettingsOptions } from '../../src/opt-out/settings.js';
import { rulesLater } from '../../src/opt-out/sources.js';
import { configFile, configFilePath, policyFilePaths, policyFiles, readTelemetryJson } from '../../src/opt-out/telemetry-json.js';

const FILES = [policyFiles, configFile];

test('a telemetry.json says yes or no, and on which line', (t) => {
  const table: [text: string, enabled: boolean, line: number][] = [
    ['{"enabled":false}', false, 1],
    ['{"enabled": true}\n', true, 1],
    ['\ufeff{"enabled": true}', true, 1],
    ['{\n  "note": "enabled",\n  "enabled" : false\n}', false, 3],
    ['{\r\n\r\n"enabled"\r\n:\r\nfalse}', false, 3],
    ['{\r"x": 1,\r"enabled": true}', true, 3],
    ['{"a": {"enabled": true},\n"enabled": false}', false, 2],
    ['{"a": ["enabled", {"enabled": true}, "]}\\""],\n\n"enabled": false}', false, 3],
    ['{"\\u0065nabled": false}', false, 1],
    ['{"enabled": true, "later": {"version": 2}, "__proto__": {"enabled": false}}', true, 1],
  ];
  for (const [text, enabled, line] of table) t.deepEqual(readTelemetryJson(text), { kind: 'found', enabled, line }, text);
});

test('a telemetry.json without the key says nothing', (t) => {
  for (const text of ['{}', '{"Enabled": false}', '{"a": {"enabled": false}}', '{"a": "enabled"}', '{"__proto__": {"enabled": false}}']) {
    t.deepEqual(readTelemetryJson(text), { kind: 'absent' }, text);
  }
});

test('an invalid telemetry.json is broken, with the reason', (t) => {
  const table: [text: string, reason: string, line?: number][] = [
    ['', 'not JSON'],
    ['enabled: false', 'not JSON'],
    ['{"enabled": false', 'not JSON'],
    ["{'enabled': false}", 'not JSON'],
    ['{"enabled": False}', 'not JSON'],
    ['{"enabled": false,}', 'not JSON'],
    ['\ufeff\ufeff{}', 'not JSON'],
    ['false', 'not a JSON object'],
    ['null', 'not a JSON object'],
    ['[{"enabled": true}]', 'not a JSON object'],
    ['"enabled"', 'not a JSON object'],
    ['{"enabled": "false"}', '"enabled" is neither true nor false', 1],
    ['{\n"enabled": 1}', '"enabled" is neither true nor false', 2],
    ['{"enabled": null}', '"enabled" is neither true nor false', 1],
    ['{"enabled": false,\n"enabled": true}', 'duplicate "enabled"', 2],
    [`{"enabled": true}${' '.repeat(65_536 - 16)}`, 'more than 64 KiB'],
    [`{"enabled": true, "x": "${'ä'.repeat(32_760)}"}`, 'more than 64 KiB'],
    ['['.repeat(65_000), 'not JSON'],
  ];
  for (const [text, reason, line] of table) {
    t.deepEqual(
      readTelemetryJson(text),
      {
        kind: 'broken',
        reason,
        // Only these can be the beginning of a file that is still being written.
        isWhole: reason !== 'not JSON' && reason !== 'more than 64 KiB',
        ...(line !== undefined && { line }),
      },
      text.slice(0, 80),
    );
  }
  t.like(readTelemetryJson(`{"enabled": true}${' '.repeat(65_536 - 17)}`), { kind: 'found' });
  t.like(readTelemetryJson(`{"x": "${'\\"'.repeat(32_000)}", "enabled": true}`), { kind: 'found', line: 1 });
});

test('the key is found beside any other content', (t) => {
  const text = fc.string({ unit: fc.constantFrom('"', '\\', '{', '}', '[', ']', ':', ',', 'enabled', 'a') });
  const value = fc.letrec((tie) => ({
    any: fc.oneof(
      { maxDepth: 4 },
      text,
      fc.integer(),
      fc.array(tie('any'), { maxLength: 3 }),
      fc.dictionary(text, tie('any'), { maxKeys: 3 }),
    ),
  })).any;
  fc.assert(
    fc.property(fc.dictionary(text, value, { maxKeys: 4 }), fc.dictionary(text, value, { maxKeys: 4 }), (before, after) => {
      delete before['enabled'];
      delete after['enabled'];
      const parts = [JSON.stringify(before, null, 1).slice(1, -1), '\n"enabled":false', JSON.stringify(after, null, 1).slice(1, -1)];
      const json = `{${parts.filter((part) => part.trim() !== '').join(',')}}`;
      const line = json.split('\n').findIndex((each) => each.startsWith('"enabled":false')) + 1;
      t.deepEqual(readTelemetryJson(json), { kind: 'found', enabled: false, line });
    }),
    { numRuns: 500 },
  );
});

test("the config file is in the platform's usual place", (t) => {
  const table: [platform: NodeJS.Platform, env: Record<string, string>, expected: string | undefined][] = [
    ['linux', { HOME: '/home/pat' }, '/home/pat/.config/acme/telemetry.json'],
    ['linux', { HOME: '/home/pat/' }, '/home/pat/.config/acme/telemetry.json'],
    ['linux', { HOME: '/home/pat', XDG_CONFIG_HOME: '/cfg' }, '/cfg/acme/telemetry.json'],
    ['linux', { XDG_CONFIG_HOME: '/cfg' }, '/cfg/acme/telemetry.json'],
    ['linux', { HOME: '/home/pat', XDG_CONFIG_HOME: '' }, '/home/pat/.config/acme/telemetry.json'],
    ['linux', { HOME: '/home/pat', XDG_CONFIG_HOME: 'cfg' }, '/home/pat/.config/acme/telemetry.json'],
    ['linux', { HOME: '/home/pat', XDG_CONFIG_HOME: '~/cfg' }, '/home/pat/.config/acme/telemetry.json'],
    ['linux', { HOME: 'home/pat' }, undefined],
    ['linux', { HOME: '' }, undefined],
    ['linux', { APPDATA: 'C:\\a', USERPROFILE: 'C:\\p' }, undefined],
    ['freebsd', { HOME: '/home/pat' }, '/home/pat/.config/acme/telemetry.json'],
    ['darwin', { HOME: '/Users/pat', XDG_CONFIG_HOME: '/cfg' }, '/Users/pat/Library/Application Support/acme/telemetry.json'],
    ['darwin', { XDG_CONFIG_HOME: '/cfg' }, undefined],
    ['win32', { APPDATA: 'C:\\Users\\pat\\AppData\\Roaming' }, 'C:\\Users\\pat\\AppData\\Roaming\\acme\\telemetry.json'],
    ['win32', { AppData: 'D:\\Roaming' }, 'D:\\Roaming\\acme\\telemetry.json'],
    ['win32', { USERPROFILE: 'C:\\Users\\pat' }, 'C:\\Users\\pat\\AppData\\Roaming\\acme\\telemetry.json'],
    ['win32', { UserProfile: 'C:\\Users\\pat', APPDATA: 'Roaming' }, 'C:\\Users\\pat\\AppData\\Roaming\\acme\\telemetry.json'],
    ['win32', { HOME: '/home/pat', XDG_CONFIG_HOME: '/cfg' }, undefined],
  ];
  for (const [platform, env, expected] of table) t.is(configFilePath('acme', env, platform), expected, JSON.stringify({ platform, env }));
});

test('policy files are in each folder of the variable, and always in the fixed folder', (t) => {
  const table: [platform: NodeJS.Platform, env: Record<string, string>, paths: string[]][] = [
    ['linux', {}, ['/etc/xdg/acme/telemetry.json']],
    ['linux', { XDG_CONFIG_DIRS: '' }, ['/etc/xdg/acme/telemetry.json']],
    ['linux', { XDG_CONFIG_DIRS: '/a:/b/' }, ['/a/acme/telemetry.json', '/b/acme/telemetry.json', '/etc/xdg/acme/telemetry.json']],
    ['linux', { XDG_CONFIG_DIRS: '/etc/xdg:/a:/a' }, ['/etc/xdg/acme/telemetry.json', '/a/acme/telemetry.json']],
    ['linux', { XDG_CONFIG_DIRS: 'a:./b::~/c:/d' }, ['/d/acme/telemetry.json', '/etc/xdg/acme/telemetry.json']],
    ['openbsd', { HOME: '/home/pat' }, ['/etc/xdg/acme/telemetry.json']],
    ['darwin', { XDG_CONFIG_DIRS: '/a' }, ['/Library/Application Support/acme/telemetry.json']],
    ['win32', {}, ['C:\\ProgramData\\acme\\telemetry.json']],
    ['win32', { ProgramData: 'C:\\ProgramData' }, ['C:\\ProgramData\\acme\\telemetry.json']],
    ['win32', { PROGRAMDATA: 'D:\\Data' }, ['D:\\Data\\acme\\telemetry.json', 'C:\\ProgramData\\acme\\telemetry.json']],
    ['win32', { PROGRAMDATA: 'Data' }, ['C:\\ProgramData\\acme\\telemetry.json']],
  ];
  for (const [platform, env, paths] of table) t.deepEqual(policyFilePaths('acme', env, platform), paths, JSON.stringify({ platform, env }));
});

test('paths: an inherited environment counts, a polluted Object.prototype does not', (t) => {
  t.is(configFilePath('acme', Object.create({ HOME: '/home/pat' }) as NodeJS.ProcessEnv, 'linux'), '/home/pat/.config/acme/telemetry.json');
  t.is(configFilePath('acme', Object.create({ APPDATA: 'C:\\r' }) as NodeJS.ProcessEnv, 'win32'), 'C:\\r\\acme\\telemetry.json');
  // oxlint-disable-next-line no-extend-native -- the attack itself
  Object.defineProperty(Object.prototype, 'XDG_CONFIG_HOME', { value: '/nowhere', configurable: true, enumerable: false });
  try {
    t.is(configFilePath('acme', { HOME: '/home/pat' }, 'linux'), '/home/pat/.config/acme/telemetry.json');
  } finally {
    Reflect.deleteProperty(Object.prototype, 'XDG_CONFIG_HOME');
  }
});

test('paths: the defaults are this process and this platform', (t) => {
  t.is(configFilePath('acme'), configFilePath('acme', process.env, process.platform));
  t.deepEqual(policyFilePaths('acme'), policyFilePaths('acme', process.env, process.platform));
});

const OWN = '/home/pat/.config/acme/telemetry.json';
const POLICY = '/etc/xdg/acme/telemetry.json';
const env = { HOME: '/home/pat' };

/** Resolves settings on Linux with some files: the text of each, or the error code of opening it. */
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

test('the policy comes first, then the config file, each with its line', (t) => {
  t.deepEqual(ask({ [POLICY]: { text: '{\n"enabled": false}' }, [OWN]: { text: '{"enabled": true}' } }), {
    emits: false,
    opened: [POLICY, OWN],
    warned: [],
    rules: [rule('policy file', 'false', true, POLICY, 2), rule('config file', 'true', false, OWN, 1)],
  });
  t.deepEqual(ask({}), { emits: true, opened: [POLICY, OWN], warned: [], rules: [] });
});

test('every policy file that exists counts, also in the folders of a variable', (t) => {
  const places = { env: { ...env, XDG_CONFIG_DIRS: '/a:/b', XDG_CONFIG_HOME: '/own' } };
  const no = { text: '{"enabled": false}' };
  for (const file of ['/a/acme/telemetry.json', '/b/acme/telemetry.json', POLICY, '/own/acme/telemetry.json']) {
    t.like(ask({ [file]: no }, places), {
      emits: false,
      opened: ['/a/acme/telemetry.json', '/b/acme/telemetry.json', POLICY, '/own/acme/telemetry.json'],
    });
  }
  t.true(ask({ [OWN]: no }, places).emits, 'the config file is elsewhere');
});

test('a yes in the policy is no consent', (t) => {
  const yes = { text: '{"enabled": true}' };
  t.like(ask({ [POLICY]: yes }, { consent: 'opt-in' }), { emits: false, rules: [], warned: [] });
  t.true(ask({ [OWN]: yes }, { consent: 'opt-in' }).emits);
});

test('a missing telemetry.json gives no rule', (t) => {
  for (const code of ['ENOENT', 'ENOTDIR']) t.like(ask({ [POLICY]: { code }, [OWN]: { code } }), { emits: true, warned: [], rules: [] });
});

test('a file that cannot be read now is unknown: nothing is sent, and the warning holds its error code', (t) => {
  for (const code of ['EMFILE', 'ENFILE', 'EIO', 'ESTALE', 'ENOMEM', 'ETIMEDOUT', 'EACCES', 'EPERM', 'EISDIR', 'ELOOP', 'ENOTFILE']) {
    t.deepEqual(ask({ [OWN]: { code } }), {
      emits: false,
      opened: [POLICY, OWN],
      warned: [`[telemetry] config_unreadable: ${OWN} cannot be read (${code}): nothing is sent until it can be`],
      rules: [{ ...rule('config file', code, true, OWN), unknown: 'unreadable' }],
    });
    t.like(ask({ [OWN]: { code } }, { consent: 'opt-in' }), {
      emits: false,
      warned: [`[telemetry] config_unreadable: ${OWN} cannot be used (${code}), which counts as an opt-out`],
    });
  }
});

test('a file that may be half written is malformed; whole JSON of another form opts out; no warning holds text of the file', (t) => {
  for (const code of ['EILSEQ', 'EFBIG']) t.like(ask({ [OWN]: { code } }).rules[0], { value: code, optsOut: true, unknown: 'malformed' });
  t.deepEqual(ask({ [POLICY]: { text: '{"enabled": true, "token": "s3cret"' } }).warned, [
    `[telemetry] config_unreadable: ${POLICY} cannot be used (not JSON): nothing is sent, and it counts as an opt-out if it is still so in a minute`,
  ]);
  t.like(ask({ [OWN]: { text: '{\n\n"enabled": "no"}' } }), {
    emits: false,
    warned: [`[telemetry] config_unreadable: ${OWN}:3 cannot be used ("enabled" is neither true nor false), which counts as an opt-out`],
  });
});

test('an opt-out that was read decides, whatever else cannot be read', (t) => {
  const settings = resolveSettingsWith(
    { product: 'acme', env },
    {
      readFile: (asked) => {
        if (asked === OWN) return '{"enabled": false}';
        throw Object.assign(new Error('text of a library'), { code: 'EIO' });
      },
      platform: 'linux',
    },
  );
  t.deepEqual(
    explainSettings(settings).rules.map(({ name, value, unknown }) => [name, value, unknown]),
    [
      ['config file', 'false', undefined],
      ['policy file', 'EIO', 'unreadable'],
    ],
  );
});

test('no file is opened if the environment or the program opts out', (t) => {
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

test('an environment that cannot be read for a path opts out', async (t) => {
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
  const rules = await rulesLater(FILES, toQuestion({ product: 'acme', env: torn }), {
    readFile: () => Promise.reject(new Error('not asked')),
    platform: 'linux',
  });
  t.true(rules.some((each) => each.optsOut));
});

test('on a real disk: anything but a readable file of at most 64 KiB keeps telemetry off, at the start and later', async (t) => {
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
    t.deepEqual(
      await rulesLater(FILES, toQuestion({ product: 'acme', env: here }), { readFile: readConfigFileLater }),
      found,
      `${what}, later`,
    );
    t.is(shouldEmit(resolveSettings({ product: 'acme', env: here })), value === undefined || value === 'true', what);
  }
  writeFileSync(path.join(home, 'plain'), 'x'.repeat(200_000));
  t.is(await readConfigFileLater(path.join(home, 'plain')), readConfigFile(path.join(home, 'plain')));
});
