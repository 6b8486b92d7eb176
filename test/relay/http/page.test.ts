// The relay's page over HTTP: who gets it, where it is, and what those cost who follow it.
import { createServer } from 'node:http';
import { connect } from 'node:net';
import test from 'ava';
import type { ExecutionContext } from 'ava';
import { StatusPage } from '../../../src/relay/page/page.js';
import { startCollector } from '../../../src/testing/index.js';
import { holdProcess } from '../../helpers/hold-process.js';
import { listen } from '../../helpers/loopback.js';
import { proves } from '../../helpers/promises.js';
import { RawClient } from '../../helpers/raw-client.js';
import { VirtualClock } from '../../helpers/virtual-clock.js';
import { exchange, get as getFrom, machine, startRig, statuses } from '../helpers/relay-rig.js';
import { aStatus } from '../helpers/statuses.js';
import { until } from '../helpers/until.js';

holdProcess(test);

const EVENT = '/astronomer-cosmos/v3/dag_run?status=success&task_count=3';
const STREAM = '/status/events';

/** What Chromium sends when a person types an address. */
const TYPED = { 'accept-language': 'de', 'sec-fetch-site': 'none', 'sec-fetch-mode': 'navigate', 'sec-fetch-dest': 'document' };

function follow(t: ExecutionContext, port: number): RawClient {
  const client = new RawClient(port);
  t.teardown(() => client.socket.destroy());
  return client.get(STREAM);
}

test('the page and its stream have the headers that keep them to themselves', async (t) => {
  const { port, get } = await startRig(t);
  const page = await get('/');
  t.is(page.status, 200);
  t.is(page.headers['content-type'], 'text/html; charset=utf-8');
  t.regex(page.text, /^<!doctype html>\n[^]*<\/html>\n$/);
  const client = follow(t, port);
  await client.until(/data: .*\n/);
  t.regex(client.received, /^HTTP\/1\.1 200 OK\r\ncontent-type: text\/event-stream\r\n/);
  for (const each of [
    'cache-control',
    'content-security-policy',
    'cross-origin-resource-policy',
    'referrer-policy',
    'x-content-type-options',
  ])
    t.true(client.received.includes(`\r\n${each}: ${String(page.headers[each])}\r\n`), each);
  t.regex(String(page.headers['content-security-policy']), /^default-src 'none'; script-src 'sha256-/);
  t.is(page.headers['access-control-allow-origin'], undefined);
});

test('HEAD has the headers of GET; no other method and no body is taken', async (t) => {
  const { port } = await startRig(t);
  const host = `Host: 127.0.0.1:${port}\r\n`;
  const head = await exchange(port, `HEAD / HTTP/1.1\r\n${host}Connection: close\r\n\r\n`);
  t.regex(head, /^HTTP\/1\.1 200 OK\r\n[^]*\r\ncontent-length: \d{5}\r\n[^]*\r\n\r\n$/i);
  for (const path of ['/', STREAM]) {
    for (const method of ['POST', 'PUT', 'DELETE', 'OPTIONS', 'PATCH', 'TRACE', ...(path === '/' ? [] : ['HEAD'])])
      t.regex(
        await exchange(port, `${method} ${path} HTTP/1.1\r\n${host}\r\n`),
        /^HTTP\/1\.1 405 [^]*\r\nallow: GET\r\n/,
        `${method} ${path}`,
      );
    t.deepEqual(statuses(await exchange(port, `GET ${path} HTTP/1.1\r\n${host}Content-Length: 1\r\n\r\nx`)), [413]);
  }
});

test(
  proves('relay-browser', 'the page is for those who open it by its address: other pages, and foreign hosts, do not get it'),
  async (t) => {
    const { port, get } = await startRig(t, { allowedHosts: ['relay.example.com'] });
    const own = `http://127.0.0.1:${port}`;
    for (const path of ['/']) {
      const allowed: Record<string, string>[] = [
        {},
        TYPED,
        { ...TYPED, 'sec-fetch-site': 'same-origin' },
        { 'accept-language': 'de', referer: `${own}/` },
        { 'accept-language': 'de', origin: own },
        { 'accept-language': '*', 'sec-fetch-mode': 'cors' },
        { ...TYPED, host: 'relay.example.com' },
        { ...TYPED, host: 'Relay.Example.com', origin: 'http://relay.example.com' },
      ];
      for (const headers of allowed) t.is((await get(path, headers)).status, 200, JSON.stringify(headers));
    }
    for (const path of ['/', STREAM]) {
      const refused: Record<string, string>[] = [
        { ...TYPED, 'sec-fetch-site': 'cross-site' },
        { ...TYPED, 'sec-fetch-site': 'same-site' },
        { ...TYPED, 'sec-fetch-site': '' },
        { 'sec-fetch-mode': 'cors', 'sec-fetch-site': 'other' },
        { origin: 'null' },
        { origin: 'http://127.0.0.1' },
        { origin: `http://127.0.0.1:${port + 1}` },
        { origin: `http://localhost:${port}` },
        { origin: `${own}.example.com` },
        { ...TYPED, 'sec-fetch-site': 'same-origin', origin: 'https://example.com' },
        { referer: 'http://example.com/' },
        { referer: `http://example.com/?${own}/` },
        { referer: 'about:blank' },
      ];
      for (const headers of refused) {
        const { status, text } = await get(path, headers);
        t.deepEqual([status, text], [403, 'another page leads here: open the page of the relay by its address\n'], JSON.stringify(headers));
      }
      for (const host of ['example.com', `example.com:${port}`, `localhost.example.com:${port}`]) {
        const { status, text } = await get(path, { ...TYPED, host });
        t.deepEqual([status, text], [403, 'the Host header is not a name of this relay\n'], host);
      }
      t.deepEqual(statuses(await exchange(port, `GET ${path} HTTP/1.0\r\n\r\n`)), [403]);
      t.deepEqual(statuses(await exchange(port, `GET ${path} HTTP/1.1\r\n\r\n`)), [400]);
    }
  },
);

test(proves('relay-browser', "a page in a browser, also the relay's own, cannot send an event"), async (t) => {
  const { port, get, relay } = await startRig(t);
  const own = `http://127.0.0.1:${port}`;
  for (const path of [EVENT, '/v3/dag_run', '/healthz', '/metrics', '/statusz', '/nowhere', '//', '/status', '/status/events/']) {
    for (const headers of [TYPED, { ...TYPED, 'sec-fetch-site': 'same-origin' }, { origin: own }, { referer: `${own}/` }])
      t.is((await get(path, headers)).status, 403, `${path} ${JSON.stringify(headers)}`);
  }
  t.is(relay.stats().accepted, 0);
});

test('the page is beside the metrics, and on the address of the events only where that is loopback', async (t) => {
  const { address, get } = await startRig(t, { metricsListen: '127.0.0.1:0' });
  const port = Number(new URL(address.metricsUrl ?? '').port);
  t.is((await getFrom(port, '/', TYPED)).status, 200);
  t.is((await getFrom(port, '/', { ...TYPED, 'sec-fetch-site': 'cross-site' })).status, 403);
  t.is((await getFrom(port, EVENT, TYPED)).status, 403);
  t.is((await get('/')).status, 404);
  t.is((await get('/', TYPED)).status, 403);
  const remote = await startRig(t, { listen: '0.0.0.0:0', allowRemote: true });
  for (const path of ['/', STREAM]) t.is((await remote.get(path)).status, 404, path);
  t.is((await remote.get('/', TYPED)).status, 403);
});

test('a handler that is mounted where other machines reach it shows the page to this machine only', (t) => {
  const parts = { status: () => aStatus(), recent: undefined, answers: {} as never, clock: new VirtualClock(), maxWatchers: 16 };
  const isFor = (isOnLoopbackOnly: boolean, localAddress: string | undefined, path = '/', rawHeaders: string[] = []) =>
    new StatusPage({ ...parts, isOnLoopbackOnly }).isFor(path, { socket: { localAddress } as never, rawHeaders });
  for (const each of ['127.0.0.1', '127.0.0.9', '::1', '::ffff:127.0.0.1']) t.true(isFor(true, each), each);
  for (const each of ['10.0.0.1', '::ffff:10.0.0.1', 'fe80::1', '', undefined]) t.false(isFor(true, each), String(each));
  t.true(isFor(false, '10.0.0.1'));
  for (const name of ['Forwarded', 'X-Forwarded-For', 'X-Forwarded-Host', 'x-forwarded-proto', 'x-real-ip', 'Via']) {
    t.false(isFor(true, '127.0.0.1', '/', ['Host', 'localhost', name, '203.0.113.7']), name);
    t.true(isFor(false, '127.0.0.1', '/', ['Host', 'localhost', name, '203.0.113.7']), name);
  }
  t.true(isFor(true, '127.0.0.1', '/', ['X-Other', 'via', 'X-Via', '1', 'X-Forwarded', '1']));
  for (const path of ['', '//', '/status', '/status/events/', '/index.html']) t.false(isFor(false, '127.0.0.1', path), path);
});

test('the page is under the secret prefix, and nowhere else', async (t) => {
  const { get } = await startRig(t, { prefix: 'correct-horse-battery' });
  t.is((await get('/correct-horse-battery/', TYPED)).status, 200);
  for (const path of ['/', STREAM, '/correct-horse-battery', '/wrong/']) t.true([403, 404].includes((await get(path, TYPED)).status), path);
  t.is((await get('/')).status, 404);
});

test('who follows gets what has changed, within a second', async (t) => {
  const clock = new VirtualClock();
  const collector = await startCollector();
  t.teardown(() => collector.close());
  const { port, get, relay } = await startRig(t, { forward: collector.url }, { machine: { ...machine, clock } });
  const client = follow(t, port);
  await client.until(/Accepted<\/dt><dd>0</);
  await Promise.all([get(EVENT), until(() => relay.stats().accepted === 1)]);
  await clock.advance(1000);
  await client.until(/Accepted<\/dt><dd>1</);
  const frames = client.received.split('data: ').slice(1);
  t.true(frames[0]?.includes('"answers":'));
  t.regex(frames.at(-1) ?? '', /"totals":"<div><dt>Accepted<\/dt><dd>1</);
  t.false(frames.at(-1)?.includes('"spool":'));
});

test('of a hundred idle watchers 16 follow, the others are refused, and events go on', async (t) => {
  const { port, get, relay } = await startRig(t);
  const clients = Array.from({ length: 100 }, () => follow(t, port));
  await Promise.all(clients.map((client) => client.until(/\r\n\r\n[^]+/)));
  const found = clients.map((client) => statuses(client.received)[0]);
  t.is(found.filter((status) => status === 200).length, 16);
  t.is(found.filter((status) => status === 503).length, 84);
  t.regex(
    clients.find(({ received }) => received.startsWith('HTTP/1.1 503'))?.received ?? '',
    /\r\nretry-after: 5\r\n[^]*too many pages follow this relay\n$/i,
  );
  t.is((await get(EVENT)).status, 204);
  // A page that leaves makes room.
  clients[found.indexOf(200)]?.socket.end();
  await clients[found.indexOf(200)]?.closed;
  const next = follow(t, port);
  await next.until(/data: /);
  t.deepEqual(statuses(next.received), [200]);
  t.is(relay.stats().accepted, 1);
});

test('pages that are asked for in one write are one document, and a stream behind them follows nothing', async (t) => {
  const { port, get } = await startRig(t);
  const client = new RawClient(port);
  t.teardown(() => client.socket.destroy());
  const end = ' HTTP/1.1\r\nhost: localhost\r\n\r\n';
  client.socket.write(`GET /${end}`.repeat(20) + `GET ${STREAM}${end}`);
  await client.until(/too many pages follow this relay/);
  t.deepEqual(statuses(client.received), [...Array.from({ length: 20 }, () => 200), 503]);
  const documents = client.received.match(/<!doctype html>[^]*?<\/html>/g) ?? [];
  t.deepEqual([documents.length, new Set(documents).size], [20, 1]);
  // Later it is another one.
  await get(EVENT);
  t.regex((await get('/', TYPED)).text, /Accepted<\/dt><dd>1</);
});

test('the page of a closed relay that is mounted says that it is closing', async (t) => {
  const { relay } = await startRig(t);
  const { port } = await listen(t, createServer(relay.handler));
  await relay.close();
  const { status, text } = await getFrom(port, STREAM, TYPED);
  t.deepEqual([status, text], [503, 'closing\n']);
});

test('pages take a quarter of the connections at most', async (t) => {
  const { port, get } = await startRig(t, { maxConnections: 8 });
  const clients = Array.from({ length: 3 }, () => follow(t, port));
  await Promise.all(clients.map((client) => client.until(/\r\n\r\n[^]+/)));
  t.deepEqual(
    clients.map((client) => statuses(client.received)[0] ?? 0).toSorted((one, other) => one - other),
    [200, 200, 503],
  );
  t.is((await get(EVENT)).status, 204);
});

test('a close ends those who follow, and does not wait for them', async (t) => {
  const clock = new VirtualClock();
  const { port, relay } = await startRig(t, {}, { machine: { ...machine, clock } });
  const clients = [follow(t, port), follow(t, port)];
  await Promise.all(clients.map((client) => client.until(/data: /)));
  // The virtual clock stands: the time limit of a close that waits for connections would never pass.
  const { timedOut } = await relay.close({ deadlineMs: 0 });
  t.false(timedOut);
  for (const client of clients) t.is(await client.closed, 'ended');
});

test('the time limits of other requests do not end a stream', async (t) => {
  const { port } = await startRig(t, { requestTimeoutMs: 100, headersTimeoutMs: 100, keepAliveTimeoutMs: 100 });
  const client = follow(t, port);
  await client.until(/(?:data: .*\n\n[^]*){3}/);
  t.is(client.received.split('data: ').length, 4);
});

/** An event that makes a snapshot large, so that the system's buffers are full soon. */
function long(event: number): string {
  return `/v3/x?${Array.from({ length: 20 }, (_, field) => `f${field}=${event}${'y'.repeat(250)}`).join('&')}`;
}

test('a watcher that reads nothing holds one snapshot in this process, and is disconnected', async (t) => {
  const clock = new VirtualClock();
  const { port, get, relay } = await startRig(t, { verbatim: true, showEvents: true }, { machine: { ...machine, clock } });
  const sendAll = async (round: number) => {
    for (let event = 0; event < 10; event += 1) await get(long(round * 10 + event));
  };
  await sendAll(0);
  const slow = connect(port, '127.0.0.1');
  t.teardown(() => slow.destroy());
  slow.pause();
  slow.write(`GET ${STREAM} HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\n\r\n`);
  await until(() => relay.stats().answers['200'] === 1);
  let isGone = false;
  slow.once('error', () => (isGone = true)).once('close', () => (isGone = true));
  const open = () => !isGone;
  for (let round = 1; round < 400 && open(); round += 1) {
    if (round < 60) await sendAll(round);
    await clock.advance(1000);
    if (round > 100) slow.resume();
  }
  await until(() => isGone);
  t.true(isGone);
  // Another may follow, and the relay works.
  const next = follow(t, port);
  await next.until(/data: /);
  t.is((await get(EVENT)).status, 204);
});

test('events are shown only if asked for, with their reasons, and never after an opt-out', async (t) => {
  const secret = '/v3/dag_run?status=success&cosmos_version=9.8.7&new_field=x';
  const plain = await startRig(t);
  await plain.get(secret);
  t.notRegex((await plain.get('/')).text, /9\.8\.7|new_field|The last events/);
  const env: Record<string, string> = {};
  const collector = await startCollector();
  t.teardown(() => collector.close());
  const { get, relay } = await startRig(t, { showEvents: true, forward: collector.url, env });
  await get(secret);
  await until(() => relay.stats().sent === 1);
  const { text } = await get('/');
  t.regex(text, /<code>cosmos_version<\/code><\/dt><dd><code>9\.8\.7<\/code><small>The version of cosmos\.<\/small>/);
  t.regex(text, /<span class="good">sent<\/span>/);
  t.regex(text, /<code>new_field<\/code><\/dt><dd>Not forwarded: it is not declared\./);
  env['DO_NOT_TRACK'] = '1';
  // The relay looks once a second.
  await until(() => relay.stats().isOptedOut);
  t.is((await get(EVENT)).status, 202);
  const after = (await get('/')).text;
  t.regex(after, /Opted out/);
  t.notRegex(after, /9\.8\.7/);
});
