import type { LookupAddress, LookupOptions } from 'node:dns';
import test from 'ava';
import type { ExecutionContext } from 'ava';
import { systemClock } from '../../../src/base/clock.js';
import { NameLookup } from '../../../src/delivery/http/name-lookup.js';
import { startLimit } from '../../../src/delivery/pacing.js';
import { underWay } from '../../../src/delivery/under-way.js';
import { nameMachine, startDnsServer } from '../../helpers/dns-server.js';
import type { DnsAnswer, DnsServer } from '../../helpers/dns-server.js';
import { proves } from '../../helpers/promises.js';

interface Setup extends NonNullable<Parameters<typeof nameMachine>[0]> {
  answer?: (type: 'A' | 'AAAA', name: string) => DnsAnswer | Promise<DnsAnswer>;
  /** Name servers before and after the one that answers. */
  before?: string[];
  after?: string[];
  timeoutMs?: number;
  now?: () => number;
}

/** A look-up against a name server of the test. By default the server has one address of each family. */
async function setUp(t: ExecutionContext, setup: Setup = {}): Promise<{ names: NameLookup; server: DnsServer }> {
  const server = await startDnsServer(t, setup.answer ?? ((type) => (type === 'A' ? ['192.0.2.1'] : ['2001:db8::1'])));
  const clock = { ...systemClock, now: setup.now ?? (() => systemClock.now()) };
  const names = new NameLookup({
    timeoutMs: setup.timeoutMs ?? LIMIT_MS,
    clock,
    startLimit,
    underWay,
    machine: nameMachine(setup),
    servers: [...(setup.before ?? []), server.address, ...(setup.after ?? [])],
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

/** So long that a busy machine reaches it only if nothing answers. */
const LIMIT_MS = 20_000;

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
  t.true(performance.now() - started < LIMIT_MS / 2);
});

test(proves('dns-silent', 'a silent name server costs no more than the limit'), async (t) => {
  const { names } = await setUp(t, { answer: () => 'silent', timeoutMs: 60 });
  const started = performance.now();
  t.deepEqual(await resolve(names, 'example.org'), { code: 'ENOTFOUND' });
  t.true(performance.now() - started < LIMIT_MS / 2);
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

test(proves('outage-recovers', 'a name is looked up anew after an address of it has failed'), async (t) => {
  const { names, server } = await setUp(t, { now: () => 0 });
  await resolve(names, 'example.org');
  names.forget('other.example.org');
  await resolve(names, 'example.org');
  t.is(server.questions.length, 2);
  names.forget('Example.ORG');
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

/** Answers one name alone, with an address of each family; other names do not exist. */
function only(known: string, otherwise: DnsAnswer = 'unknown') {
  return (type: 'A' | 'AAAA', name: string): DnsAnswer => (name !== known ? otherwise : type === 'A' ? ['192.0.2.1'] : ['2001:db8::1']);
}

const SEARCH = 'search ns.example svc.example\n';

/** The names that were asked for, in order, whatever the family. */
function namesAsked({ questions }: DnsServer): string[] {
  return [...new Set(questions.map((question) => question.replace(/^A+ /, '')))];
}

test(proves('names-search', 'a short name is found in the search domains, in their order'), async (t) => {
  const { names, server } = await setUp(t, { resolvConf: SEARCH, answer: only('collector.svc.example') });
  t.deepEqual(await resolve(names, 'collector'), { address: [V4, V6], family: undefined });
  t.deepEqual(namesAsked(server), ['collector.ns.example', 'collector.svc.example']);
});

test('a name with fewer dots than ndots is searched first, and then tried as it is', async (t) => {
  const { names, server } = await setUp(t, { resolvConf: `${SEARCH}options ndots:5\n`, answer: only('relay.airflow.svc') });
  t.deepEqual(await resolve(names, 'relay.airflow.svc'), { address: [V4, V6], family: undefined });
  t.deepEqual(namesAsked(server), ['relay.airflow.svc.ns.example', 'relay.airflow.svc.svc.example', 'relay.airflow.svc']);
});

test('a name with ndots dots is tried as it is first, and then searched', async (t) => {
  const { names, server } = await setUp(t, { resolvConf: SEARCH, answer: only('relay.airflow.ns.example') });
  t.deepEqual(await resolve(names, 'relay.airflow'), { address: [V4, V6], family: undefined });
  t.deepEqual(namesAsked(server), ['relay.airflow', 'relay.airflow.ns.example']);
});

test('a name with a final dot is complete, and cached apart from the one without', async (t) => {
  const { names, server } = await setUp(t, { resolvConf: SEARCH, answer: only('collector.ns.example') });
  t.deepEqual(await resolve(names, 'collector.'), { code: 'ENOTFOUND' });
  t.deepEqual(namesAsked(server), ['collector']);
  t.deepEqual(await resolve(names, 'collector', {}), V4);
  t.deepEqual(await resolve(names, 'Collector.', {}), { code: 'ENOTFOUND' });
});

test('a domain where the name has no address, or whose servers fail, does not end the search', async (t) => {
  for (const first of [[], 'servfail'] as const) {
    const { names } = await setUp(t, { resolvConf: SEARCH, answer: only('collector.svc.example', first) });
    t.deepEqual(await resolve(names, 'collector'), { address: [V4, V6], family: undefined });
  }
});

test('where servers refuse, only the name as it is remains, as in glibc', async (t) => {
  const { names, server } = await setUp(t, { resolvConf: `${SEARCH}options ndots:3\n`, answer: only('relay.airflow', 'refused') });
  t.deepEqual(await resolve(names, 'relay.airflow', {}), V4);
  t.deepEqual(namesAsked(server), ['relay.airflow.ns.example', 'relay.airflow']);
});

test('hosts: dns before files, as nsswitch.conf says', async (t) => {
  const nsswitch = 'hosts: dns files\n';
  const { names } = await setUp(t, {
    nsswitch,
    hosts: '192.0.2.66 collector.example\n192.0.2.67 other.example',
    answer: only('collector.example'),
  });
  t.deepEqual(await resolve(names, 'collector.example', {}), V4);
  t.deepEqual(await resolve(names, 'other.example', {}), { address: '192.0.2.67', family: 4 });
});

test('hosts: files alone asks no name server', async (t) => {
  const { names, server } = await setUp(t, { nsswitch: 'hosts: files\n' });
  t.deepEqual(await resolve(names, 'collector.example'), { code: 'ENOTFOUND' });
  t.deepEqual(server.questions, []);
});

test('a source with [NOTFOUND=return] is the last one', async (t) => {
  const { names } = await setUp(t, {
    nsswitch: 'hosts: dns [NOTFOUND=return] files\n',
    hosts: '192.0.2.66 collector.example',
    answer: () => 'unknown',
  });
  t.deepEqual(await resolve(names, 'collector.example'), { code: 'ENOTFOUND' });
});

test('a host with IPv4 alone asks for no other addresses', async (t) => {
  const { names, server } = await setUp(t, { families: [4] });
  t.deepEqual(await resolve(names, 'example.org'), { address: [V4], family: undefined });
  t.deepEqual(server.questions, ['A example.org']);
});

/** Whether a look-up that only a second packet can answer was over well before its limit. */
async function resolveSoon(t: ExecutionContext, names: NameLookup, host: string): Promise<Result> {
  const started = performance.now();
  const result = await resolve(names, host);
  t.true(performance.now() - started < LIMIT_MS / 2);
  return result;
}

test(proves('names-failover', 'a dead first name server costs a quarter of a second, in all search domains together'), async (t) => {
  const dead = await startDnsServer(t, () => 'silent');
  const { names } = await setUp(t, {
    before: [dead.address],
    resolvConf: 'search a.example b.example c.example d.example\n',
    answer: only('collector.d.example'),
  });
  t.deepEqual(await resolveSoon(t, names, 'collector'), { address: [V4, V6], family: undefined });
  t.deepEqual(namesAsked(dead), ['collector.a.example']);
});

test(proves('names-failover', 'a lost packet is sent again after a quarter of a second'), async (t) => {
  for (const lost of [['A'], ['AAAA'], ['A', 'AAAA']]) {
    const seen = new Set<string>();
    const { names } = await setUp(t, {
      answer: (type) => {
        const isLost = lost.includes(type) && !seen.has(type);
        seen.add(type);
        return isLost ? 'silent' : type === 'A' ? ['192.0.2.1'] : [];
      },
    });
    t.deepEqual(await resolveSoon(t, names, 'example.org'), { address: [V4], family: undefined }, lost.join(' '));
  }
});

test('an answer that is slower than the second packet is taken', async (t) => {
  const held: ((answer: DnsAnswer) => void)[] = [];
  const { names } = await setUp(t, {
    families: [4],
    // The second packet has the first one answered, and gets no answer itself.
    answer: () =>
      new Promise((done) => {
        held.push(done);
        if (held.length === 2) held[0]?.(['192.0.2.1']);
      }),
  });
  t.deepEqual(await resolveSoon(t, names, 'example.org'), { address: [V4], family: undefined });
});

test('a name server that fails or refuses is left for the next one at once', async (t) => {
  const failing = await startDnsServer(t, () => 'servfail');
  const refusing = await startDnsServer(t, () => 'refused');
  const { names, server } = await setUp(t, { before: [failing.address, refusing.address] });
  t.deepEqual(await resolveSoon(t, names, 'example.org'), { address: [V4, V6], family: undefined });
  t.is(server.questions.length, 2);
});

test('a look-up ends when each name server has failed, without further packets', async (t) => {
  const failing = await startDnsServer(t, () => 'servfail');
  const { names, server } = await setUp(t, { before: [failing.address], answer: () => 'refused' });
  t.deepEqual(await resolveSoon(t, names, 'example.org'), { code: 'ENOTFOUND' });
  t.is(failing.questions.length + server.questions.length, 4);
});

test('with options rotate, look-ups take turns with the name servers', async (t) => {
  const other = await startDnsServer(t, () => ['192.0.2.2']);
  const { names } = await setUp(t, { families: [4], resolvConf: 'options rotate\n', after: [other.address] });
  const found = [];
  for (const host of ['a.example', 'b.example', 'c.example']) found.push(await resolve(names, host, {}));
  t.deepEqual(found, [V4, { address: '192.0.2.2', family: 4 }, V4]);
});

test('three name servers are asked at most', async (t) => {
  const silent = await Promise.all([1, 2, 3].map(() => startDnsServer(t, () => 'refused')));
  const { names, server } = await setUp(t, { before: silent.map(({ address }) => address) });
  t.deepEqual(await resolve(names, 'example.org'), { code: 'ENOTFOUND' });
  t.deepEqual(server.questions, []);
});

test('a name that c-ares does not take is not found, and throws nothing', async (t) => {
  const { names } = await setUp(t, { resolvConf: `search ${'x'.repeat(70)}.example\n` });
  t.deepEqual(await resolve(names, `${'y'.repeat(70)}.example`), { code: 'ENOTFOUND' });
  t.deepEqual(await resolve(names, 'z.'.repeat(130)), { code: 'ENOTFOUND' });
});

test('a name server that Node does not take is passed over', async (t) => {
  const { names } = await setUp(t, { before: ['not an address'] });
  t.deepEqual(await resolve(names, 'example.org'), { address: [V4, V6], family: undefined });
});

test(proves('names-at-once', 'what the system says of names is read at each look-up, and no later than its caller waits'), async (t) => {
  const server = await startDnsServer(t, () => 'unknown');
  let hosts = '';
  const machine = { ...nameMachine(), files: () => ({ hosts, resolvConf: '', nsswitch: '' }) };
  const names = new NameLookup({ timeoutMs: LIMIT_MS, startLimit, underWay, clock: systemClock, machine, servers: [server.address] });
  t.deepEqual(await resolve(names, 'example.org', {}), { code: 'ENOTFOUND' });
  hosts = '192.0.2.66 example.org';
  let turns = 0;
  const immediate = setImmediate(() => (turns += 1));
  t.deepEqual(await resolve(names, 'example.org', {}), { address: '192.0.2.66', family: 4 });
  clearImmediate(immediate);
  t.is(turns, 0);
});

test('a machine whose files cannot be read finds no address, and throws nothing', async (t) => {
  const machine = {
    ...nameMachine(),
    files: () => {
      throw new Error('broken');
    },
  };
  const names = new NameLookup({ timeoutMs: LIMIT_MS, startLimit, underWay, clock: systemClock, machine, servers: [] });
  t.deepEqual(await resolve(names, 'example.org'), { code: 'ENOTFOUND' });
});
