import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import test from 'ava';

import { airflowCfgPlace } from '../../src/opt-out/airflow-cfg.js';
import { readConfigFile } from '../../src/base/machine.js';

const folder = mkdtempSync(join(tmpdir(), 'config-file-'));
test.after.always(() => {
  rmSync(folder, { recursive: true, force: true });
});

function file(name: string, content: string | Uint8Array): string {
  const path = join(folder, name);
  writeFileSync(path, content);
  return path;
}

test('looks where Airflow looks', (t) => {
  const table: [env: Record<string, string>, path: string][] = [
    [{ HOME: '/home/pat' }, '/home/pat/airflow/airflow.cfg'],
    [{ HOME: '/home/pat/' }, '/home/pat/airflow/airflow.cfg'],
    [{ HOME: '' }, '/airflow/airflow.cfg'],
    [{ USERPROFILE: '/users/pat' }, '/users/pat/airflow/airflow.cfg'],
    [{ HOME: '/home/pat', AIRFLOW_HOME: '/opt/airflow' }, '/opt/airflow/airflow.cfg'],
    [{ HOME: '/home/pat', AIRFLOW_HOME: '/opt/airflow/' }, '/opt/airflow/airflow.cfg'],
    [{ HOME: '/home/pat', AIRFLOW_HOME: '~/af' }, '/home/pat/af/airflow.cfg'],
    [{ HOME: '/home/pat', AIRFLOW_HOME: '$HOME/af' }, '/home/pat/af/airflow.cfg'],
    [{ HOME: '/home/pat', AIRFLOW_HOME: '/opt/$NOWHERE' }, '/opt/$NOWHERE/airflow.cfg'],
    [{ HOME: '/home/pat', AIRFLOW_HOME: '' }, 'airflow.cfg'],
    [{ HOME: '/home/pat', AIRFLOW_HOME: 'af/../link/..' }, 'af/../link/../airflow.cfg'],
    [{ AIRFLOW_HOME: '/opt/airflow', AIRFLOW_CONFIG: '/etc/airflow.cfg' }, '/etc/airflow.cfg'],
    [{ HOME: '/home/pat', AIRFLOW_CONFIG: '${HOME}/my.cfg' }, '/home/pat/my.cfg'],
    [{ AIRFLOW_HOME: '/opt/airflow', AIRFLOW_CONFIG: '' }, '/opt/airflow/airflow.cfg'],
  ];
  for (const [env, path] of table) t.deepEqual(airflowCfgPlace(env), { kind: 'path', path }, JSON.stringify(env));
});

test('a place that was named and cannot be worked out is unknown, no place at all is none', (t) => {
  t.deepEqual(airflowCfgPlace({}), { kind: 'none' });
  t.deepEqual(airflowCfgPlace({ HOME: '~bob' }), { kind: 'unknown', path: '~/airflow/airflow.cfg' });
  t.deepEqual(airflowCfgPlace({ AIRFLOW_HOME: '~/af' }), { kind: 'unknown', path: '~/af/airflow.cfg' });
  t.deepEqual(airflowCfgPlace({ HOME: '/h', AIRFLOW_HOME: '~bob/af' }), { kind: 'unknown', path: '~bob/af/airflow.cfg' });
  t.deepEqual(airflowCfgPlace({ HOME: '/h', AIRFLOW_CONFIG: '$LOOP', LOOP: 'x$LOOP' }), { kind: 'unknown', path: '$LOOP' });
});

test('reads a file, its byte order mark included, through a link too', (t) => {
  const path = file('plain.cfg', '\ufeff[cosmos]\r\nnäme = 1\n');
  symlinkSync(path, join(folder, 'link.cfg'));
  t.is(readConfigFile(path), '\ufeff[cosmos]\r\nnäme = 1\n');
  t.is(readConfigFile(join(folder, 'link.cfg')), '\ufeff[cosmos]\r\nnäme = 1\n');
  t.is(readConfigFile(file('empty.cfg', '')), '');
});

test('reads up to 1 MiB and refuses more', (t) => {
  const full = 'x'.repeat(1024 * 1024);
  t.is(readConfigFile(file('full.cfg', full)), full);
  t.throws(() => readConfigFile(file('large.cfg', `${full}x`)), { code: 'EFBIG' });
});

test('refuses what is not UTF-8', (t) => {
  t.throws(() => readConfigFile(file('latin1.cfg', Uint8Array.of(0x5b, 0xe4, 0x5d))), { code: 'EILSEQ' });
  t.throws(() => readConfigFile(file('utf16.cfg', Buffer.from('\ufeff[cosmos]', 'utf16le'))), { code: 'EILSEQ' });
});

test('says what node:fs says of a file that is not there', (t) => {
  t.throws(() => readConfigFile(join(folder, 'missing.cfg')), { code: 'ENOENT' });
  t.throws(() => readConfigFile(join(file('a.cfg', ''), 'airflow.cfg')), { code: 'ENOTDIR' });
});

test('refuses a folder, and neither waits for a pipe nor reads a device', (t) => {
  mkdirSync(join(folder, 'folder.cfg'));
  t.throws(() => readConfigFile(join(folder, 'folder.cfg')), { code: 'EISDIR' });
  if (process.platform === 'win32') return;
  execFileSync('mkfifo', [join(folder, 'pipe.cfg')]);
  t.throws(() => readConfigFile(join(folder, 'pipe.cfg')), { code: 'ENOTFILE' });
  t.throws(() => readConfigFile('/dev/zero'), { code: 'ENOTFILE' });
});
