import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { findInHosts, hostsFilePath, readHosts } from '../../../src/delivery/http/name-lookup.js';

const HOSTS = [
  '# 192.0.2.9 commented.example',
  '127.0.0.1 localhost',
  '192.0.2.1\tExample.org  www.example.org # and a comment: hidden.example',
  '2001:db8::1 example.org',
  'fe80::1%lo0 zone.example',
  'not-an-address broken.example',
  '0.0.0.0 blocked.example\r',
  'last.example',
].join('\n');

test('a name has all addresses of its lines', (t) => {
  t.deepEqual(findInHosts(HOSTS, 'example.org'), [
    { address: '192.0.2.1', family: 4 },
    { address: '2001:db8::1', family: 6 },
  ]);
  t.deepEqual(findInHosts(HOSTS, 'www.example.org'), [{ address: '192.0.2.1', family: 4 }]);
  t.deepEqual(findInHosts(HOSTS, 'zone.example'), [{ address: 'fe80::1%lo0', family: 6 }]);
  t.deepEqual(findInHosts(HOSTS, 'blocked.example'), [{ address: '0.0.0.0', family: 4 }]);
});

for (const name of ['commented.example', 'hidden.example', 'broken.example', 'last.example', 'xample.org', 'absent.example', '192.0.2.1']) {
  test(`not a name of the file: ${name}`, (t) => {
    t.deepEqual(findInHosts(HOSTS, name), []);
  });
}

test('each system has its place', (t) => {
  t.is(hostsFilePath('linux', {}), '/etc/hosts');
  t.is(hostsFilePath('darwin', { SystemRoot: 'D:\\W' }), '/etc/hosts');
  t.is(hostsFilePath('win32', { SystemRoot: 'D:\\W' }), 'D:\\W\\System32\\drivers\\etc\\hosts');
  t.is(hostsFilePath('win32', {}), 'C:\\Windows\\System32\\drivers\\etc\\hosts');
});

test('a file is read as it is, and a missing one is empty', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'cosmos-telemetry-'));
  t.teardown(() => rm(folder, { recursive: true }));
  await writeFile(join(folder, 'hosts'), HOSTS);
  t.is(await readHosts(join(folder, 'hosts')), HOSTS);
  t.is(await readHosts(join(folder, 'absent')), '');
  t.is(await readHosts(folder), '');
});
