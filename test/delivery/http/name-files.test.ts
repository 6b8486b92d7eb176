import { execFileSync } from 'node:child_process';
import { mkdtemp, rm, unlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { candidates, findInHosts, hostsFilePath, machineNames, readNameRules, TextFile } from '../../../src/delivery/http/name-files.js';
import { proves } from '../../helpers/promises.js';
import { nameMachine } from '../../helpers/dns-server.js';

type Texts = NonNullable<Parameters<typeof nameMachine>[0]>;

/** The names that DNS is asked for. */
function asked(host: string, texts: Texts): string[] {
  return candidates(host, readNameRules(nameMachine(texts)));
}

const searches: [string, string, Texts, string[]][] = [
  ['no file at all', 'collector', {}, ['collector']],
  ['the domain of the host, if the file names none', 'collector', { hostname: 'Pod.Example.org' }, ['collector.example.org', 'collector']],
  ['a search list in the file comes before the domain of the host', 'a', { resolvConf: 'search x', hostname: 'h.y' }, ['a.x', 'a']],
  ['the last of search and domain counts', 'a', { resolvConf: 'search x y\ndomain z\n' }, ['a.z', 'a']],
  ['domain takes one name', 'a', { resolvConf: 'domain x y\n' }, ['a.x', 'a']],
  ['spaces, tabs and carriage returns', 'a', { resolvConf: 'search \t x\ty \r\n' }, ['a.x', 'a.y', 'a']],
  ['comments and indented lines are none', 'a', { resolvConf: '#search x\n;search y\n search z\nsearched q\n' }, ['a']],
  ['dots around a domain do not count', 'a', { resolvConf: 'search .x. Y.' }, ['a.x', 'a.y', 'a']],
  ['the root in a search list is the name as it is, once', 'a', { resolvConf: 'search . x' }, ['a', 'a.x']],
  ['a domain that stands twice is asked once', 'a', { resolvConf: 'search x x' }, ['a.x', 'a']],
  ['a final dot', 'a.', { resolvConf: 'search x' }, ['a']],
  ['one dot, and ndots is 1', 'a.b', { resolvConf: 'search x' }, ['a.b', 'a.b.x']],
  ['one dot, and ndots is 2', 'a.b', { resolvConf: 'search x\noptions ndots:2' }, ['a.b.x', 'a.b']],
  ['ndots 0', 'a', { resolvConf: 'search x\noptions ndots:0' }, ['a', 'a.x']],
  [
    'ndots is 15 at most',
    `${'a.'.repeat(15)}b`,
    { resolvConf: 'search x\noptions ndots:99' },
    [`${'a.'.repeat(15)}b`, `${'a.'.repeat(15)}b.x`],
  ],
  ['ndots without a number', 'a', { resolvConf: 'search x\noptions ndots:many' }, ['a', 'a.x']],
  ['options add up over lines', 'a', { resolvConf: 'options ndots:0\noptions rotate\nsearch x' }, ['a', 'a.x']],
  ['no-tld-query', 'a', { resolvConf: 'search x\noptions no-tld-query' }, ['a.x']],
  ['no-tld-query without domains', 'a', { resolvConf: 'options no-tld-query' }, ['a']],
  ['LOCALDOMAIN', 'a', { resolvConf: 'search x', env: { LOCALDOMAIN: 'y z' } }, ['a.y', 'a.z', 'a']],
  ['RES_OPTIONS', 'a.b', { resolvConf: 'search x\noptions ndots:1', env: { RES_OPTIONS: 'ndots:3' } }, ['a.b.x', 'a.b']],
  ['a name that would be too long', 'a', { resolvConf: `search ${'x.'.repeat(126)}x y` }, ['a.y', 'a']],
];

for (const [title, host, texts, expected] of searches) {
  test(`search domains: ${title}`, (t) => t.deepEqual(asked(host, texts), expected));
}

const sources: [string, string[]][] = [
  ['', ['files', 'dns']],
  ['passwd: files\n', ['files', 'dns']],
  ['hosts: files dns', ['files', 'dns']],
  ['hosts:\tdns files # files', ['dns', 'files']],
  ['# hosts: dns\n  hosts: files\n', ['files']],
  ['hosts: dns\nhosts: files', ['files']],
  ['hosts: files mdns4_minimal [NOTFOUND=return] dns mdns4', ['files', 'dns']],
  ['hosts: files myhostname resolve [!UNAVAIL=return] dns', ['files', 'dns']],
  ['hosts: dns [NOTFOUND=return] files', ['dns!', 'files']],
  ['hosts: dns [!UNAVAIL=return] files', ['dns!', 'files']],
  ['hosts: dns [!NOTFOUND=return] files', ['dns', 'files']],
  ['hosts: files [SUCCESS=continue notfound=return] dns', ['files!', 'dns']],
  ['hosts: nis [NOTFOUND=return] ldap', ['files', 'dns']],
];

for (const [text, expected] of sources) {
  test(`nsswitch.conf: ${JSON.stringify(text)}`, (t) => {
    const rules = readNameRules(nameMachine({ nsswitch: text }));
    t.deepEqual(
      rules.sources.map(({ kind, isLast }) => kind + (isLast ? '!' : '')),
      expected,
    );
  });
}

test('the families are those of the machine, and no-aaaa leaves IPv4', (t) => {
  t.deepEqual(readNameRules(nameMachine({ families: [6] })).families, [6]);
  t.deepEqual(readNameRules(nameMachine({ families: [6], resolvConf: 'options no-aaaa' })).families, [4]);
});

test('rotate', (t) => {
  t.true(readNameRules(nameMachine({ resolvConf: 'options rotate' })).rotates);
  t.false(readNameRules(nameMachine()).rotates);
});

test('on Windows there is a hosts file alone, and the environment of glibc does not count', (t) => {
  const rules = readNameRules(machineNames('win32', { SystemRoot: '/nowhere', LOCALDOMAIN: 'x', RES_OPTIONS: 'rotate' }));
  t.like(rules, { hosts: '', search: [], rotates: false, families: [4, 6] });
});

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

test('hosts file: a name has all addresses of its lines', (t) => {
  t.deepEqual(findInHosts(HOSTS, 'example.org'), [
    { address: '192.0.2.1', family: 4 },
    { address: '2001:db8::1', family: 6 },
  ]);
  t.deepEqual(findInHosts(HOSTS, 'www.example.org'), [{ address: '192.0.2.1', family: 4 }]);
  t.deepEqual(findInHosts(HOSTS, 'zone.example'), [{ address: 'fe80::1%lo0', family: 6 }]);
  t.deepEqual(findInHosts(HOSTS, 'blocked.example'), [{ address: '0.0.0.0', family: 4 }]);
});

for (const name of ['commented.example', 'hidden.example', 'broken.example', 'last.example', 'xample.org', 'absent.example', '192.0.2.1']) {
  test(`hosts file: no address for ${name}`, (t) => {
    t.deepEqual(findInHosts(HOSTS, name), []);
  });
}

test('hosts file: each system has its path', (t) => {
  t.is(hostsFilePath('linux', {}), '/etc/hosts');
  t.is(hostsFilePath('darwin', { SystemRoot: 'D:\\W' }), '/etc/hosts');
  t.is(hostsFilePath('win32', { SystemRoot: 'D:\\W' }), 'D:\\W\\System32\\drivers\\etc\\hosts');
  t.is(hostsFilePath('win32', {}), 'C:\\Windows\\System32\\drivers\\etc\\hosts');
});

test('a file is read up to its limit, again when it has changed, and is empty when it is gone', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'cosmos-telemetry-'));
  t.teardown(() => rm(folder, { recursive: true }));
  const path = join(folder, 'hosts');
  const file = new TextFile(path, 12);
  t.is(file.read(), '');
  await writeFile(path, 'first');
  t.is(file.read(), 'first');
  t.is(file.read(), 'first');
  await writeFile(path, 'the second is longer');
  t.is(file.read(), 'the second i');
  await unlink(path);
  t.is(file.read(), '');
});

test('a file that cannot be read now keeps its last text', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'cosmos-telemetry-'));
  t.teardown(() => rm(folder, { recursive: true, force: true }));
  const path = join(folder, 'hosts');
  const file = new TextFile(path, 100);
  await writeFile(path, 'text');
  t.is(file.read(), 'text');
  await rm(folder, { recursive: true });
  await writeFile(folder, 'a file where the folder was');
  t.is(file.read(), 'text');
});

if (process.platform !== 'win32') {
  test('a folder, a pipe and a device are empty, and nothing waits for them', async (t) => {
    const folder = await mkdtemp(join(tmpdir(), 'cosmos-telemetry-'));
    t.teardown(() => rm(folder, { recursive: true }));
    execFileSync('mkfifo', [join(folder, 'pipe')]);
    for (const path of [folder, join(folder, 'pipe'), '/dev/zero']) t.is(new TextFile(path, 100).read(), '');
  });

  test('the machine tells what it knows of names', (t) => {
    const rules = readNameRules(machineNames(process.platform, { LOCALDOMAIN: 'x.example' }));
    t.deepEqual(rules.search, ['x.example']);
    t.true(rules.families.length > 0);
    t.is(typeof rules.hosts, 'string');
  });
}

function refuse(): never {
  throw Object.assign(new Error('uv_os_gethostname'), { code: 'ERR_SYSTEM_ERROR' });
}

test(proves('machine-facts', 'a host that does not tell its name still finds addresses'), (t) => {
  t.deepEqual(candidates('collector', readNameRules({ ...nameMachine({}), hostname: refuse })), ['collector']);
});
