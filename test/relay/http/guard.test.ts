// What is refused before the target of a request is read.
import test from 'ava';
import { serviceNames } from '../../../src/relay/http/guard.js';
import { proves } from '../../helpers/promises.js';
import { RawClient } from '../../helpers/raw-client.js';
import { exchange, machine, startRig, statuses } from '../helpers/relay-rig.js';

const EVENT = '/astronomer-cosmos/v3/dag_run?status=success';

test(proves('relay-browser', 'a Host header that is not a name of the relay is refused'), async (t) => {
  const { port, get: ask } = await startRig(t, {
    allowedHosts: ['relay', 'front:80', '[fd00::1]', 'full.example.com', 'dotted.example.com.'],
  });
  for (const host of [
    `127.0.0.1:${port}`,
    `localhost:${port}`,
    `LOCALHOST:${port}`,
    `[::1]:${port}`,
    'relay',
    'Relay:1234',
    'front:80',
    '[fd00::1]:99',
    // From another port, as `kubectl port-forward`, `docker -p` and `ssh -L` make it.
    'localhost',
    'localhost:1',
    '127.0.0.1',
    '127.0.0.1:1',
    '[::1]',
    '[::1]:65535',
    // Other spellings of this machine.
    'localhost.',
    `LOCALHOST.:${port}`,
    'localhost:',
    '127.0.0.2:1',
    '127.255.255.254',
    '127.0.0.1.',
    '[0:0:0:0:0:0:0:1]:1',
    '[::ffff:127.0.0.1]',
    `[::FFFF:7F00:1]:${port}`,
    'full.example.com.',
    'dotted.example.com',
    'dotted.example.com.:80',
  ]) {
    t.is((await ask(EVENT, { host })).status, 204, host);
  }
  const foreign = [
    'example.com',
    `example.com:${port}`,
    'localhost.example.com',
    'localhost.example.com:1',
    'notlocalhost:1',
    '127.0.0.1.example.com:1',
    'user@localhost:1',
    'localhost:x',
    '::1:1',
    `128.0.0.1:${port}`,
    '127.0.0.1]:1',
    '[127.0.0.1]:1',
    '[localhost]:1',
    '[::ffff:127.0.0.1:1',
    '[::ffff:128.0.0.1]:1',
    '[::ffff:8000:1]:1',
    '[::2]:1',
    '127.0.0.256:1',
    '127.1:1',
    '127.0.0.1.example.com.',
    'localhost..',
    'relay.',
    'full.example.com..',
    'x.localhost:1',
    `0.0.0.0:${port}`,
    `relay.example.com:${port}`,
    'front',
    'front:81',
    `127.0.0.1:${port}.example.com`,
    `user@127.0.0.1:${port}`,
    `::1:${port}`,
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

test(proves('relay-connections', 'a request without Host is answered by the relay, and counted'), async (t) => {
  const { port, relay } = await startRig(t);
  const received = await exchange(port, `GET ${EVENT} HTTP/1.1\r\n\r\n`);
  t.regex(received, /^HTTP\/1\.1 400 [^]*\r\n\r\nnot the shape of a usage event\n$/);
  t.deepEqual(statuses(await exchange(port, `GET ${EVENT} HTTP/1.0\r\n\r\n`)), [403]);
  t.deepEqual(relay.stats().answers, { 400: 1, 403: 1 });
});

/** What kubelet writes into a pod of namespace `data`. */
const POD = 'nameserver 10.96.0.10\nsearch data.svc.cluster.local svc.cluster.local cluster.local corp.example.com\noptions ndots:5\n';

const inPod = { ...machine, readFile: (path: string) => (path === '/etc/resolv.conf' ? POD : machine.readFile(path)) };

function names(text: string, ...hosts: string[]): string[] {
  return serviceNames(hosts, () => text);
}

test(
  proves(
    ['relay-clients', 'relay-browser'],
    'in a pod, an allowed short name is also accepted as the name of the service, and nothing else is',
  ),
  async (t) => {
    const { get: ask } = await startRig(t, { allowedHosts: ['relay', 'front:80', 'full.example.com'] }, { machine: inPod });
    for (const host of [
      'relay',
      'relay.data.svc',
      'relay.data.svc:8787',
      'relay.data.svc.cluster.local',
      'RELAY.data.svc.cluster.local:8787',
      'front.data.svc:80',
      'front.data.svc.cluster.local:80',
    ])
      t.is((await ask(EVENT, { host })).status, 204, host);
    for (const host of [
      'relay.data',
      'relay.data.svc.cluster',
      'relay.svc.cluster.local',
      'relay.cluster.local',
      'relay.corp.example.com',
      'relay.attacker.example',
      'relay.attacker.svc',
      'relay.other.svc.cluster.local',
      'relay.data.svc.attacker.example',
      'other.data.svc.cluster.local',
      'x.relay.data.svc.cluster.local',
      'relay.data.svc.cluster.local.attacker.example',
      'relayxdata.svc',
      'front.data.svc',
      'front.data.svc:81',
      'full.example.com.data.svc',
      'full.data.svc',
    ])
      t.is((await ask(EVENT, { host })).status, 403, host);
  },
);

test('service names follow from the last search list of resolv.conf, where there is one', (t) => {
  t.deepEqual(names(POD, 'relay'), ['relay.data.svc', 'relay.data.svc.cluster.local']);
  t.deepEqual(names('search old.svc.a\nSEARCH no.svc.b\nsearch\tNEW.svc.Own.Domain.  \n', 'r:1'), [
    'r.new.svc:1',
    'r.new.svc.own.domain:1',
  ]);
  t.deepEqual(names('search a.svc.b\ndomain example.com\n', 'relay'), []);
  t.deepEqual(names('# search a.svc.b\n;search a.svc.b\nsearch svc.b a.b.svc.c svc a.svc .svc.b\n', 'relay'), []);
  t.deepEqual(names(POD, 'relay.example.com', '[fd00::1]', '127.0.0.1:80'), []);
  t.deepEqual(
    serviceNames(['relay'], () => {
      throw Object.assign(new Error('no'), { code: 'EACCES' });
    }),
    [],
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
    ['accept-language', '*'],
    ['sec-fetch-mode', 'cors'],
  ]) {
    const answer = await ask(EVENT, { [name ?? '']: value ?? '' });
    t.deepEqual([answer.status, answer.headers['access-control-allow-origin']], [403, undefined], name);
  }
});

/** What Node's own `fetch` sends, beside headers that say nothing of a browser. */
const NODE_FETCH = { 'accept-language': '*', 'sec-fetch-mode': 'cors' };

test(
  proves(['relay-clients', 'relay-browser'], 'the `fetch` of Node is no browser, and what a browser adds to its headers is'),
  async (t) => {
    const { port, get: ask } = await startRig(t);
    const answer = await fetch(`http://127.0.0.1:${port}${EVENT}`);
    t.is(answer.status, 204);
    t.is((await ask(EVENT, NODE_FETCH)).status, 204);
    const more: Record<string, string>[] = [
      { 'sec-fetch-site': 'cross-site' },
      { 'sec-fetch-dest': 'empty' },
      { 'sec-fetch-mode': 'no-cors' },
      { 'accept-language': 'de' },
      { origin: 'null' },
      { referer: 'http://example.com/' },
    ];
    for (const each of more) t.is((await ask(EVENT, { ...NODE_FETCH, ...each })).status, 403, JSON.stringify(each));
  },
);

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

test('absolute targets and HTTP/2 are refused', async (t) => {
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
  t.deepEqual(statuses(await exchange(port, 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n')), [400]);
});

test(proves('relay-clients', 'an offer of another protocol is ignored, as the HTTP client of Java makes it'), async (t) => {
  const { port } = await startRig(t);
  const host = `Host: 127.0.0.1:${port}\r\n`;
  const h2c = 'Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAEAAEAAAAIAAAABAAMAAABkAAQBAAAAAAUAAEAA\r\n';
  for (const offer of [h2c, 'Connection: Upgrade\r\nUpgrade: websocket\r\n', 'Upgrade: TLS/1.2\r\n']) {
    const client = new RawClient(port);
    client.socket.write(`GET ${EVENT} HTTP/1.1\r\n${host}${offer}\r\n`);
    await client.until(/ 204 [^]*\r\n\r\n/);
    client.socket.write(`GET /healthz HTTP/1.1\r\n${host}Connection: close\r\n\r\n`);
    await client.closed;
    t.deepEqual(statuses(client.received), [204, 200], offer);
  }
  // A web socket of a browser has an origin.
  const browser = `GET ${EVENT} HTTP/1.1\r\n${host}Connection: Upgrade\r\nUpgrade: websocket\r\nOrigin: http://example.com\r\n\r\n`;
  t.deepEqual(statuses(await exchange(port, browser, 200)), [403]);
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
