import type { LookupAddress, LookupOptions } from 'node:dns';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import type { ExecutionContext } from 'ava';
import { systemClock } from '../../../src/base/clock.js';
import { findInHosts, hostsFilePath, NameLookup, readHosts } from '../../../src/delivery/http/name-lookup.js';
import { startDnsServer } from '../../helpers/dns-server.js';
import type { DnsAnswer, DnsServer } from '../../helpers/dns-server.js';
import { proves } from '../../helpers/promises.js';

interface Setup {
  answer?: (type: 'A' | 'AAAA', name: string) => DnsAnswer;
  hosts?: string;
  timeoutMs?: number;
  now?: () => number;
}

/** A look-up against a name server of the test. By default the server has one address of each family. */
async function setUp(t: ExecutionContext, setup: Setup = {}): Promise<{ names: NameLookup; server: DnsServer }> {
  const server = await startDnsServer(t, setup.answer ?? ((type) => (type === 'A' ? ['192.0.2.1'] : ['2001:db8::1'])));
  const clock = { ...systemClock, now: setup.now ?? (() => systemClock.now()) };
  const names = new NameLookup({
    timeoutMs: setup.timeoutMs ?? 2000,
    clock,
    readHosts: async () => setup.hosts ?? '',
    servers: [server.address],
  });
  t.teardown(() => names.close());
  return { names, server };
}

type Result = { code: string } | { address: string | LookupAddress[]; family: number | undefined };

async function resolve(names: NameLookup, host: string, options: LookupOptions = { all: true }): Promise<Result> {
  return new Promise((done) => {
    names.lookup(host, options, (error, address, family) => {
      done(error === null ? { address, family } : { code: error.code ?? '' });
    });
  });
}

const V4 = { address: '192.0.2.1', family: 4 };
const V6 = { address: '2001:db8::1', family: 6 };
const LOCAL = [
  { address: '127.0.0.1', family: 4 },
  { address: '::1', family: 6 },
];

test('a name has the addresses of its A and AAAA records, IPv4 first', async (t) => {
  const { names, server } = await setUp(t);
  t.deepEqual(await resolve(names, 'example.org'), { address: [V4, V6], family: undefined });
  t.deepEqual(server.questions.toSorted(), ['A example.org', 'AAAA example.org']);
});

test('a caller that does not ask for all addresses gets one, of the requested family', async (t) => {
  const { names } = await setUp(t);
  t.deepEqual(await resolve(names, 'example.org', {}), V4);
  t.deepEqual(await resolve(names, 'example.org', { family: 0 }), V4);
  t.deepEqual(await resolve(names, 'example.org', { family: 6 }), V6);
  t.deepEqual(await resolve(names, 'example.org', { family: 'IPv6' }), V6);
  t.deepEqual(await resolve(names, 'example.org', { family: 'IPv4', all: true }), { address: [V4], family: undefined });
});

test('addresses and localhost need no name server and no hosts file', async (t) => {
  const { names, server } = await setUp(t, { hosts: '192.0.2.66 localhost 10.0.0.1' });
  t.deepEqual(await resolve(names, '10.0.0.1', {}), { address: '10.0.0.1', family: 4 });
  t.deepEqual(await resolve(names, '[2001:db8::9]', {}), { address: '2001:db8::9', family: 6 });
  t.deepEqual(await resolve(names, 'localhost'), { address: LOCAL, family: undefined });
  t.deepEqual(await resolve(names, 'LocalHost.'), { address: LOCAL, family: undefined });
  t.deepEqual(await resolve(names, 'api.localhost'), { address: LOCAL, family: undefined });
  t.deepEqual(server.questions, []);
});

test('the hosts file comes before the name servers', async (t) => {
  const { names, server } = await setUp(t, { hosts: '192.0.2.66 example.org' });
  t.deepEqual(await resolve(names, 'Example.org', {}), { address: '192.0.2.66', family: 4 });
  t.deepEqual(server.questions, []);
});

test('a name with records of one family has only those addresses', async (t) => {
  const { names } = await setUp(t, { answer: (type) => (type === 'AAAA' ? ['2001:db8::1'] : []) });
  t.deepEqual(await resolve(names, 'example.org'), { address: [V6], family: undefined });
  t.deepEqual(await resolve(names, 'example.org', { family: 4 }), { code: 'ENOTFOUND' });
});

test('an unknown name fails', async (t) => {
  const { names } = await setUp(t, { answer: () => 'unknown' });
  t.deepEqual(await resolve(names, 'example.org'), { code: 'ENOTFOUND' });
});

test('a name server that never answers for IPv6 does not hold up IPv4', async (t) => {
  const { names } = await setUp(t, { answer: (type) => (type === 'A' ? ['192.0.2.1'] : 'silent') });
  const started = performance.now();
  t.deepEqual(await resolve(names, 'example.org'), { address: [V4], family: undefined });
  t.true(performance.now() - started < 1000);
});

test(proves('dns-silent', 'a silent name server costs no more than the limit'), async (t) => {
  const { names } = await setUp(t, { answer: () => 'silent', timeoutMs: 60 });
  const started = performance.now();
  t.deepEqual(await resolve(names, 'example.org'), { code: 'ENOTFOUND' });
  t.true(performance.now() - started < 1000);
});

test('look-ups of one name share a query, and addresses are cached for 30 s', async (t) => {
  let now = 0;
  const { names, server } = await setUp(t, { now: () => now });
  await Promise.all(Array.from({ length: 20 }, () => resolve(names, 'example.org')));
  now = 29_999;
  await resolve(names, 'EXAMPLE.org');
  t.is(server.questions.length, 2);
  now = 30_000;
  await resolve(names, 'example.org');
  t.is(server.questions.length, 4);
});

test('a failure is not cached', async (t) => {
  let up = false;
  const { names } = await setUp(t, { answer: (type) => (up && type === 'A' ? ['192.0.2.1'] : 'unknown') });
  t.deepEqual(await resolve(names, 'example.org'), { code: 'ENOTFOUND' });
  up = true;
  t.deepEqual(await resolve(names, 'example.org'), { address: [V4], family: undefined });
});

test('16 names are cached, and a further one replaces the oldest', async (t) => {
  const { names, server } = await setUp(t);
  for (let index = 0; index < 17; index += 1) await resolve(names, `n${index}.example`);
  const asked = server.questions.length;
  await resolve(names, 'n16.example');
  await resolve(names, 'n1.example');
  t.is(server.questions.length, asked);
  await resolve(names, 'n0.example');
  t.is(server.questions.length, asked + 2);
});

test('a query ends when its last caller cancels', async (t) => {
  const { names, server } = await setUp(t, { answer: () => 'silent' });
  let called = 0;
  const first = names.lookup('example.org', {}, () => (called += 1));
  const second = names.lookup('example.org', {}, () => (called += 1));
  first?.();
  first?.();
  const joined = resolve(names, 'example.org');
  second?.();
  names.close();
  t.deepEqual(await joined, { code: 'ENOTFOUND' });
  t.is(called, 0);
  t.true(server.questions.length <= 2);
});

test('after every caller has cancelled, the next look-up asks again', async (t) => {
  let silent = true;
  const { names } = await setUp(t, { answer: (type) => (silent ? 'silent' : type === 'A' ? ['192.0.2.1'] : []) });
  names.lookup('example.org', {}, () => t.fail())?.();
  silent = false;
  t.deepEqual(await resolve(names, 'example.org'), { address: [V4], family: undefined });
});

test('the callback is never called before the look-up returns', async (t) => {
  const { names } = await setUp(t);
  await resolve(names, 'example.org');
  let returned = false;
  await new Promise<void>((done) => {
    names.lookup('example.org', {}, () => {
      t.true(returned);
      done();
    });
    returned = true;
  });
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

test('hosts file: a file is read unchanged, and a missing one is empty', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'cosmos-telemetry-'));
  t.teardown(() => rm(folder, { recursive: true }));
  await writeFile(join(folder, 'hosts'), HOSTS);
  t.is(await readHosts(join(folder, 'hosts')), HOSTS);
  t.is(await readHosts(join(folder, 'absent')), '');
  t.is(await readHosts(folder), '');
});
