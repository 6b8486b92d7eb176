import test from 'ava';
import { exchange, startRig, statuses } from './helpers/relay-rig.js';

const EVENT = '/astronomer-cosmos/v3/dag_run?status=success&task_count=3';

test('an event on disk is 204, one in memory 200, and one for which there is no room 503', async (t) => {
  const { get, store, relay } = await startRig(t, { forward: 'http://127.0.0.1:9' });
  t.is((await get(EVENT)).status, 204);
  store().answer = 'memory';
  const kept = await get('/v3/dag_run?status=success&task_count=3');
  t.deepEqual([kept.status, kept.text, kept.headers['content-type']], [200, 'accepted in memory only\n', 'text/plain; charset=utf-8']);
  store().answer = 'full';
  const full = await get(EVENT);
  t.deepEqual([full.status, full.text, full.headers['retry-after']], [503, 'the spool is full\n', '10']);
  t.is(relay.stats().published, 2);
  t.deepEqual(relay.stats().answers, { '200': 1, '204': 1, '503': 1 });
});

test('what is no event is turned away with a reason', async (t) => {
  const { get } = await startRig(t);
  const cases: [path: string, status: number, text: string][] = [
    ['/', 404, 'unknown path'],
    ['/astronomer-cosmos', 404, 'unknown path'],
    ['/elsewhere/v3/dag_run?status=success', 404, 'unknown path'],
    ['/v3/', 404, 'unknown path'],
    ['/v3/dag_run/', 404, 'unknown path'],
    ['/v3/../v3/dag_run', 404, 'unknown path'],
    ['/v4/dag_run?status=success', 404, 'unknown path'],
    ['/v3/other_event?status=success', 404, 'unknown event type'],
    ['/v3/dag_run?status=%zz', 400, 'not the shape of a usage event'],
    ['/v3/dag_run?status=%f', 400, 'not the shape of a usage event'],
    ['/v3/dag_run?status=%FF', 400, 'not the shape of a usage event'],
    ['/v3/dag_run?status="x"', 400, 'not the shape of a usage event'],
    ['/v3/dag_run#status', 400, 'not the shape of a usage event'],
    [`/v3/dag_run?status=${'x'.repeat(8192)}`, 414, 'the target is longer than 8 KiB'],
  ];
  for (const [path, status, text] of cases) {
    const answer = await get(path);
    t.deepEqual([answer.status, answer.text], [status, `${text}\n`], path);
  }
});

test('a target that is longer than any head is 414, and other headers that are 431', async (t) => {
  const { port } = await startRig(t);
  t.deepEqual(
    statuses(await exchange(port, `GET /v3/dag_run?status=${'x'.repeat(40_000)} HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\n\r\n`)),
    [414],
  );
  t.deepEqual(
    statuses(await exchange(port, `GET /v3/dag_run HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\nX: ${'x'.repeat(40_000)}\r\n\r\n`)),
    [431],
  );
});

test('only GET, and it has no body', async (t) => {
  const { port } = await startRig(t);
  const host = `Host: 127.0.0.1:${port}\r\n`;
  for (const method of ['POST', 'PUT', 'DELETE', 'HEAD', 'OPTIONS', 'PATCH', 'TRACE']) {
    const received = await exchange(port, `${method} ${EVENT} HTTP/1.1\r\n${host}\r\n`);
    t.deepEqual(statuses(received), [405], method);
    t.regex(received, /\r\nallow: GET\r\n/);
  }
  t.deepEqual(statuses(await exchange(port, `CONNECT example.com:443 HTTP/1.1\r\n${host}\r\n`)), [405]);
  t.deepEqual(statuses(await exchange(port, `GET ${EVENT} HTTP/1.1\r\n${host}Content-Length: 1\r\n\r\nx`)), [413]);
  t.deepEqual(
    statuses(await exchange(port, `GET ${EVENT} HTTP/1.1\r\n${host}Transfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n`)),
    [413],
  );
  t.deepEqual(statuses(await exchange(port, `GET ${EVENT} HTTP/1.1\r\n${host}Content-Length: 0\r\nConnection: close\r\n\r\n`)), [204]);
});

test('more events a second than are taken are 429, and say when to come back', async (t) => {
  const { get } = await startRig(t, { maxEventsPerSecond: 2 });
  const answers = await Promise.all(Array.from({ length: 5 }, () => get(EVENT)));
  const refused = answers.filter(({ status }) => status === 429);
  t.is(refused.length, 3);
  t.is(refused[0]?.headers['retry-after'], '1');
});

test('health and readiness', async (t) => {
  const { get, store, relay } = await startRig(t);
  t.deepEqual(await get('/healthz').then(({ status, text }) => [status, text]), [200, 'alive\n']);
  t.deepEqual(await get('/readyz').then(({ status, text }) => [status, text]), [200, 'ready\n']);
  store().answer = 'full';
  t.is((await get(EVENT)).status, 503);
  t.deepEqual(await get('/readyz').then(({ status, text }) => [status, text]), [503, 'the spool is full\n']);
  t.false(relay.stats().isAccepting);
  store().answer = 'disk';
  t.is((await get(EVENT)).status, 204);
  t.is((await get('/readyz')).status, 200);
});
