import type { LookupAddress, LookupOptions } from 'node:dns';
import test from 'ava';
import type { ExecutionContext } from 'ava';
import { NameLookup } from '../../../src/delivery/http/name-lookup.js';
import { systemClock } from '../../../src/base/clock.js';
import { startDnsServer } from '../../helpers/dns-server.js';
import type { DnsAnswer, DnsServer } from '../../helpers/dns-server.js';

interface Setup {
  answer?: (type: 'A' | 'AAAA', name: string) => DnsAnswer;
  hosts?: string;
  timeoutMs?: number;
  now?: () => number;
}

/** A look-up against a name server of the test's own, which has one address of each kind unless it says otherwise. */
async function setUp(t: ExecutionContext, setup: Setup = {}): Promise<{ names: NameLookup; server: DnsServer }> {
  const server = await startDnsServer(t, setup.answer ?? ((type) => (type === 'A' ? ['192.0.2.1'] : ['2001:db8::1'])));
  const clock = { ...systemClock, now: setup.now ?? (() => systemClock.now()) };
  const readHosts = async (): Promise<string> => setup.hosts ?? '';
  const names = new NameLookup({ timeoutMs: setup.timeoutMs ?? 2000, clock, readHosts, servers: [server.address] });
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

test('who does not ask for all gets one, of the family asked for', async (t) => {
  const { names } = await setUp(t);
  t.deepEqual(await resolve(names, 'example.org', {}), V4);
  t.deepEqual(await resolve(names, 'example.org', { family: 0 }), V4);
  t.deepEqual(await resolve(names, 'example.org', { family: 6 }), V6);
  t.deepEqual(await resolve(names, 'example.org', { family: 'IPv6' }), V6);
  t.deepEqual(await resolve(names, 'example.org', { family: 'IPv4', all: true }), { address: [V4], family: undefined });
});

test('addresses and localhost ask nobody, not even the hosts file', async (t) => {
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

test('a name with records of one kind only has those', async (t) => {
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

test('a silent name server costs no more than the limit', async (t) => {
  const { names } = await setUp(t, { answer: () => 'silent', timeoutMs: 60 });
  const started = performance.now();
  t.deepEqual(await resolve(names, 'example.org'), { code: 'ENOTFOUND' });
  t.true(performance.now() - started < 1000);
});

test('look-ups of one name share a query, and an answer is kept for half a minute', async (t) => {
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

test('a failure is not kept', async (t) => {
  let up = false;
  const { names } = await setUp(t, { answer: (type) => (up && type === 'A' ? ['192.0.2.1'] : 'unknown') });
  t.deepEqual(await resolve(names, 'example.org'), { code: 'ENOTFOUND' });
  up = true;
  t.deepEqual(await resolve(names, 'example.org'), { address: [V4], family: undefined });
});

test('the answers of 16 names are kept, the oldest makes room', async (t) => {
  const { names, server } = await setUp(t);
  for (let index = 0; index < 17; index += 1) await resolve(names, `n${index}.example`);
  const asked = server.questions.length;
  await resolve(names, 'n16.example');
  await resolve(names, 'n1.example');
  t.is(server.questions.length, asked);
  await resolve(names, 'n0.example');
  t.is(server.questions.length, asked + 2);
});

test('a query ends with the last interest in it', async (t) => {
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

test('when nobody is interested any more, the next look-up asks again', async (t) => {
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
