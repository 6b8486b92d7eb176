import test from 'ava';

import { configFilePath, policyFilePaths } from '../../src/opt-out/telemetry-json.js';

test("the person's own file stands where the platform keeps such files", (t) => {
  const table: [platform: NodeJS.Platform, env: Record<string, string>, path: string | undefined][] = [
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
  for (const [platform, env, path] of table) t.is(configFilePath('acme', env, platform), path, JSON.stringify({ platform, env }));
});

test('policy files stand in each folder that is named, and always in the one that no variable moves', (t) => {
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

test('an inherited environment counts, a polluted Object.prototype does not lead away', (t) => {
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

test('by default it is this process and this platform', (t) => {
  t.is(configFilePath('acme'), configFilePath('acme', process.env, process.platform));
  t.deepEqual(policyFilePaths('acme'), policyFilePaths('acme', process.env, process.platform));
});
