import test from 'ava';
import { checkRelayOptions } from '../../src/relay/options.js';
import { leadsTo } from '../../src/relay/options.js';
import { exchange, get, startRig, statuses } from './helpers/relay-rig.js';
import { startCollector } from '../../src/testing/index.js';

const EVENT = '/astronomer-cosmos/v3/dag_run?status=success';

function at(host: string, port = 8787) {
  return { host, port };
}

test('a Host header of somebody else is refused', async (t) => {
  const { port, get: ask } = await startRig(t, { allowedHosts: ['relay', 'front:80', '[fd00::1]'] });
  for (const host of [
    `127.0.0.1:${port}`,
    `localhost:${port}`,
    `LOCALHOST:${port}`,
    `[::1]:${port}`,
    'relay',
    'Relay:1234',
    'front:80',
    '[fd00::1]:99',
  ]) {
    t.is((await ask(EVENT, { host })).status, 204, host);
  }
  const foreign = [
    'example.com',
    `example.com:${port}`,
    '127.0.0.1',
    '127.0.0.1:1',
    `127.0.0.2:${port}`,
    `0.0.0.0:${port}`,
    `relay.example.com:${port}`,
    'front',
    'front:81',
    `127.0.0.1:${port}.example.com`,
    `user@127.0.0.1:${port}`,
    `::1:${port}`,
    `localhost.:${port}`,
    `:${port}`,
  ]; // prettier-ignore
  for (const host of foreign) t.is((await ask(EVENT, { host })).status, 403, host);
  t.deepEqual(statuses(await exchange(port, `GET ${EVENT} HTTP/1.0\r\n\r\n`)), [403]);
  t.deepEqual(statuses(await exchange(port, `GET ${EVENT} HTTP/1.1\r\n\r\n`)), [400]);
  t.deepEqual(
    statuses(await exchange(port, `GET ${EVENT} HTTP/1.1\r\nHost: localhost:${port}\r\nHost: example.com\r\nConnection: close\r\n\r\n`)),
    [400],
  );
});

test('metrics and health are no way around it', async (t) => {
  const { get: ask } = await startRig(t);
  for (const path of ['/healthz', '/readyz', '/metrics', '/nowhere']) {
    t.is((await ask(path, { host: 'example.com' })).status, 403, path);
    t.is((await ask(path, { origin: 'http://localhost' })).status, 403, path);
  }
});

test('browsers are refused, whatever they ask for', async (t) => {
  const { port, get: ask } = await startRig(t);
  for (const [name, value] of [
    ['Origin', 'null'],
    ['origin', `http://127.0.0.1:${port}`],
    ['Sec-Fetch-Mode', 'no-cors'],
    ['sec-fetch-site', 'same-origin'],
    ['SEC-FETCH-ANYTHING', ''],
    ['Referer', 'http://example.com/'],
    ['accept-language', 'de'],
  ]) {
    const answer = await ask(EVENT, { [name ?? '']: value ?? '' });
    t.deepEqual([answer.status, answer.headers['access-control-allow-origin']], [403, undefined], name);
  }
});

test('what stands behind a hundred other headers is seen, too', async (t) => {
  const { port } = await startRig(t);
  const head = `GET ${EVENT} HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\n`;
  const behind = [
    ['Origin: http://evil.example', 403],
    ['Sec-Fetch-Site: cross-site', 403],
    ['Host: evil.example', 400],
    ['Content-Length: 5', 413],
    ['Transfer-Encoding: chunked', 413],
    ['X: y', 204],
  ] as const;
  for (const others of [99, 126, 300]) {
    const many = Array.from({ length: others }, (_, index) => `x${index}: 1\r\n`).join('');
    for (const [last, status] of behind) {
      const body = status === 413 ? (last.startsWith('C') ? 'hello' : '0\r\n\r\n') : '';
      t.deepEqual(
        statuses(await exchange(port, `${head}${many}${last}\r\nConnection: close\r\n\r\n${body}`)),
        [status],
        `${others}, then ${last}`,
      );
    }
    t.deepEqual(
      statuses(await exchange(port, `GET ${EVENT} HTTP/1.1\r\n${many}Host: 127.0.0.1:${port}\r\nConnection: close\r\n\r\n`)),
      [204],
      `${others}, then Host`,
    );
  }
});

test('what is wrong behind a request is answered after it', async (t) => {
  const { port, store } = await startRig(t);
  const request = `GET ${EVENT} HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\n\r\n`;
  for (const [behind, status] of [
    ['BAD\r\n\r\n', 400],
    [`CONNECT example.com:443 HTTP/1.1\r\nHost: example.com\r\n\r\n`, 405],
  ] as const) {
    t.deepEqual(statuses(await exchange(port, request + behind)), [204, status], behind);
  }
  t.is(store().nextSeq, 2);
});

test('what a client expects is not asked for', async (t) => {
  const { port, relay } = await startRig(t);
  t.deepEqual(
    statuses(await exchange(port, `GET ${EVENT} HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\nExpect: miracles\r\nConnection: close\r\n\r\n`)),
    [204],
  );
  t.deepEqual(relay.stats().answers, { 204: 1 });
});

test('it is no proxy and speaks no other protocol', async (t) => {
  const { port } = await startRig(t);
  const host = `Host: 127.0.0.1:${port}\r\n`;
  for (const target of [
    `http://127.0.0.1:${port}${EVENT}`,
    'http://example.com/',
    'https://example.com/v3/dag_run?status=success',
    'ftp://x/',
  ]) {
    t.deepEqual(statuses(await exchange(port, `GET ${target} HTTP/1.1\r\n${host}\r\n`)), [403], target);
  }
  t.deepEqual(statuses(await exchange(port, `GET ${EVENT} HTTP/1.1\r\n${host}Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n`)), [403]);
  t.deepEqual(
    statuses(await exchange(port, `GET ${EVENT} HTTP/1.1\r\n${host}Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n\r\n`)),
    [403],
  );
  t.deepEqual(statuses(await exchange(port, 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n')), [400]);
});

test('a request that can be read in two ways is refused', async (t) => {
  const { port, store } = await startRig(t);
  const host = `Host: 127.0.0.1:${port}\r\n`;
  const heads = [
    `GET ${EVENT} HTTP/1.1\r\n${host}Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`,
    `GET ${EVENT} HTTP/1.1\r\n${host}Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello`,
    `GET ${EVENT} HTTP/1.1\r\n${host}Transfer-Encoding: xchunked\r\n\r\n`,
    `GET ${EVENT} HTTP/1.1\r\n${host} folded: x\r\n\r\n`,
    `GET ${EVENT} HTTP/1.1\nHost: 127.0.0.1:${port}\n\n`,
  ];
  for (const head of heads) {
    const [status = 0] = statuses(await exchange(port, head));
    t.true(status === 400 || status === 413, `${status} for ${JSON.stringify(head)}`);
  }
  t.is(store().nextSeq, 0);
});

test('a secret prefix stands before everything, and is in no log and no answer', async (t) => {
  const secret = 'correct-horse-battery-staple';
  const { get: ask, log, relay } = await startRig(t, { prefix: secret });
  for (const path of [
    EVENT,
    '/healthz',
    '/readyz',
    '/metrics',
    `/${secret}`,
    `/${secret}x${EVENT}`,
    `/${secret.slice(1)}${EVENT}`,
    `/x/${secret}${EVENT}`,
    `//${secret}${EVENT}`,
  ]) {
    const answer = await ask(path);
    t.deepEqual([answer.status, answer.text], [404, 'unknown path\n'], path);
  }
  t.is((await ask(`/${secret}${EVENT}`)).status, 204);
  t.is((await ask(`/${secret}/healthz`)).status, 200);
  t.is((await ask(`/${secret}/v3/dag_run?status=nope`)).status, 204);
  await relay.close({ deadlineMs: 0 });
  t.false(JSON.stringify([log, relay.stats()]).includes(secret));
});

test('a prefix that can be guessed, and a relay without a spool, are said', async (t) => {
  const { log } = await startRig(t, { prefix: 'short' });
  t.true(log.some((line) => line.startsWith('[telemetry] prefix_short: ')));
  t.true(log.some((line) => line.startsWith('[telemetry] no_spool: ')));
});

test('metrics and health may have an address of their own', async (t) => {
  const { address, get: ask } = await startRig(t, { metricsListen: '127.0.0.1:0', prefix: 'correct-horse-battery' });
  const { port } = new URL(address.metricsUrl ?? '');
  t.is((await get(Number(port), '/healthz')).status, 200);
  t.is((await get(Number(port), '/readyz')).status, 200);
  t.is((await get(Number(port), '/metrics')).status, 200);
  t.is((await get(Number(port), EVENT)).status, 404);
  t.is((await get(Number(port), '/metrics', { host: 'example.com' })).status, 403);
  t.is((await ask('/correct-horse-battery/metrics')).status, 404);
});

test('other machines reach it only where somebody says so', (t) => {
  for (const listen of ['0.0.0.0:8787', '[::]:8787', '192.0.2.1:8787', 'relay:8787', '10.0.0.1:0']) {
    t.throws(() => checkRelayOptions({ listen }), {
      instanceOf: TypeError,
      message: /^Expected `listen` to be on loopback, got .+ Say `allowRemote` \(`--allow-remote`\)/,
    });
    t.notThrows(() => checkRelayOptions({ listen, allowRemote: true }));
    t.throws(() => checkRelayOptions({ metricsListen: listen }), { message: /^Expected `metricsListen` to be on loopback/ });
  }
  for (const listen of ['127.0.0.1:0', '127.1.2.3:1', '[::1]:65535', 'localhost:8787']) t.notThrows(() => checkRelayOptions({ listen }));
});

test('an endpoint that is the relay itself is refused', async (t) => {
  const own = ['192.0.2.7'];
  for (const url of [
    'http://127.0.0.1:8787/x',
    'http://localhost:8787',
    'http://[::1]:8787',
    'https://LOCALHOST:8787/',
    'http://0.0.0.0:8787',
  ])
    t.true(leadsTo(url, at('127.0.0.1'), own), url);
  for (const url of ['http://127.0.0.1:8788', 'http://127.0.0.2:8787', 'https://127.0.0.1', 'http://192.0.2.7:8787'])
    t.false(leadsTo(url, at('127.0.0.1'), own), url);
  for (const url of ['http://192.0.2.7:8787', 'http://127.0.0.9:8787', 'http://localhost:8787'])
    t.true(leadsTo(url, at('0.0.0.0'), own), url);
  t.false(leadsTo('http://192.0.2.8:8787', at('0.0.0.0'), own));
  t.true(leadsTo('http://127.0.0.1/', at('127.0.0.1', 80), own));
  t.throws(() => checkRelayOptions({ listen: '127.0.0.1:8787', forward: 'http://localhost:8787/astronomer-cosmos' }), {
    message: /^Expected `forward` to be another server than the relay itself, got "http:\/\/localhost:8787\/astronomer-cosmos"/,
  });
});

test('the environment does not lead events anywhere', async (t) => {
  const trap = await startCollector();
  const endpoint = await startCollector();
  t.teardown(() => Promise.all([trap.close(), endpoint.close()]));
  const { get: ask } = await startRig(t, { forward: endpoint.url, env: { COSMOS_TELEMETRY_ENDPOINT: trap.url } });
  t.is((await ask(EVENT)).status, 204);
  await endpoint.waitFor(1);
  t.is(trap.requests.length, 0);
});
