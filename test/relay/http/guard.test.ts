// What is refused before the target of a request is read.
import test from 'ava';
import { exchange, startRig, statuses } from '../helpers/relay-rig.js';
import { proves } from '../../helpers/promises.js';

const EVENT = '/astronomer-cosmos/v3/dag_run?status=success';

test(proves('relay-browser', 'a Host header that is not a name of the relay is refused'), async (t) => {
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

test('metrics and health are guarded like events', async (t) => {
  const { get: ask } = await startRig(t);
  for (const path of ['/healthz', '/readyz', '/metrics', '/nowhere']) {
    t.is((await ask(path, { host: 'example.com' })).status, 403, path);
    t.is((await ask(path, { origin: 'http://localhost' })).status, 403, path);
  }
});

test(proves('relay-browser', 'requests from a browser are refused'), async (t) => {
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

test('a header after more than a hundred others is checked', async (t) => {
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

test('absolute targets, upgrades and HTTP/2 are refused', async (t) => {
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

test('an ambiguous request is refused', async (t) => {
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

test('every path needs the secret prefix, which appears in no log and no answer', async (t) => {
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
