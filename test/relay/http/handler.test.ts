// Every answer of the relay, health and metrics included.
import test from 'ava';
import { startCollector } from '../../../src/testing/index.js';
import { exchange, get as getFrom, startRig, statuses, stillMachine } from '../helpers/relay-rig.js';
import { until } from '../helpers/until.js';
import { startHttp } from '../../helpers/loopback.js';
import type { PromClient } from '../../../src/relay/metrics.js';
import { proves } from '../../helpers/promises.js';

const EVENT = '/astronomer-cosmos/v3/dag_run?status=success&task_count=3';

test('an event on disk is answered 204, one in memory 200, and one that does not fit 503', async (t) => {
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

test('a target that is no event is refused with a reason', async (t) => {
  const { get } = await startRig(t);
  const cases: [path: string, status: number, text: string][] = [
    ['/index.html', 404, 'unknown path'],
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

test('a target longer than the head limit is answered 414, headers longer than it 431', async (t) => {
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

test('only GET without a body is accepted', async (t) => {
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

test('events beyond the rate limit are answered 429 with Retry-After', async (t) => {
  const { get } = await startRig(t, { maxEventsPerSecond: 2 }, { machine: stillMachine });
  const answers = await Promise.all(Array.from({ length: 5 }, () => get(EVENT)));
  const refused = answers.filter(({ status }) => status === 429);
  t.is(refused.length, 3);
  t.is(refused[0]?.headers['retry-after'], '1');
});

test('/healthz and /readyz', async (t) => {
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

/** The names of the headers in a head. */
function namesOf(head: string): (string | undefined)[] {
  return head.split('\r\n').map((line) => line.split(':')[0]);
}

test(proves('relay-clients', 'HEAD of /metrics has the headers of GET, and no body'), async (t) => {
  for (const options of [{}, { metricsListen: '127.0.0.1:0' }]) {
    const { address, port: own } = await startRig(t, options);
    const port = Number(new URL(address.metricsUrl ?? address.url).port);
    t.is(port === own, !('metricsListen' in options));
    const ask = (method: string) => exchange(port, `${method} /metrics HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\nConnection: close\r\n\r\n`);
    const [head = '', body] = (await ask('HEAD')).replace(/\r\ndate: [^\r]*/i, '').split('\r\n\r\n');
    const [headOfGet, bodyOfGet = ''] = (await ask('GET')).replace(/\r\ndate: [^\r]*/i, '').split('\r\n\r\n');
    t.regex(head, /^HTTP\/1\.1 200 OK\r\ncontent-type: text\/plain; version=0\.0\.4; charset=utf-8\r\ncontent-length: \d{4}\r\n/i);
    t.is(body, '');
    t.regex(
      headOfGet ?? '',
      /^HTTP\/1\.1 200 OK\r\ncontent-type: text\/plain; version=0\.0\.4; charset=utf-8\r\ncontent-length: \d{4}\r\n/i,
    );
    t.regex(headOfGet ?? '', new RegExp(`\r\ncontent-length: ${Buffer.byteLength(bodyOfGet)}\r\n`, 'i'));
    t.deepEqual(namesOf(head), namesOf(headOfGet ?? ''));
  }
});

test(proves('relay-clients', 'load balancers may probe /healthz and /readyz with HEAD, and in HTTP/1.0 without a Host'), async (t) => {
  const secret = 'correct-horse-battery';
  const { port, address, relay } = await startRig(t, { prefix: secret });
  const { metricsUrl, port: own } = (await startRig(t, { metricsListen: '127.0.0.1:0' })).address;
  t.is(address.port, port);
  for (const [at, before] of [
    [port, `/${secret}`],
    [Number(new URL(metricsUrl ?? '').port), ''],
  ] as const) {
    for (const [path, body] of [
      ['/healthz', 'alive\n'],
      ['/readyz', 'ready\n'],
    ]) {
      for (const head of ['HTTP/1.0\r\n', `HTTP/1.1\r\nHost: 127.0.0.1:${at}\r\nConnection: close\r\n`]) {
        const received = await exchange(at, `HEAD ${before}${path} ${head}\r\n`);
        t.regex(received, new RegExp(`^HTTP/1\\.1 200 OK\r\n[^]*\r\ncontent-length: ${body?.length}\r\n[^]*\r\n\r\n$`, 'i'), head);
      }
      const received = await exchange(at, `GET ${before}${path} HTTP/1.0\r\n\r\n`);
      t.regex(received, new RegExp(`^HTTP/1\\.1 200 OK\r\n[^]*\r\n\r\n${body}$`), path);
    }
    // Nothing else is answered without a Host, or to HEAD; and a browser gets no probe either.
    for (const [request, status] of [
      [`GET ${before}/metrics HTTP/1.0\r\n\r\n`, 403],
      [`HEAD ${before}/metrics HTTP/1.0\r\n\r\n`, 403],
      [`HEAD ${before}${EVENT} HTTP/1.1\r\nHost: 127.0.0.1:${at}\r\n\r\n`, 405],
      [`GET ${before}/metrics HTTP/1.0\r\n\r\n`, 403],
      [`GET ${before}${EVENT} HTTP/1.0\r\n\r\n`, 403],
      [`GET ${before}/healthz HTTP/1.1\r\nConnection: close\r\n\r\n`, 400],
      [`HEAD ${before}/healthz HTTP/1.0\r\nHost: example.com\r\n\r\n`, 403],
      [`HEAD ${before}/healthz HTTP/1.0\r\nOrigin: http://localhost\r\n\r\n`, 403],
      [`GET ${before}/readyz HTTP/1.0\r\nContent-Length: 1\r\n\r\nx`, 413],
      [`POST ${before}/healthz HTTP/1.0\r\n\r\n`, 405],
    ] as const)
      t.deepEqual(statuses(await exchange(at, request)), [status], request);
  }
  // Under a prefix, nothing is answered without it.
  t.deepEqual(statuses(await exchange(port, 'GET /healthz HTTP/1.0\r\n\r\n')), [403]);
  // Where metrics and health have an address of their own, the address of events has none.
  t.deepEqual(statuses(await exchange(own, 'GET /healthz HTTP/1.0\r\n\r\n')), [403]);
  t.is(relay.stats().published, 0);
});

/** The samples of a scrape, by name and labels. */
function samplesOf(text: string): Map<string, number> {
  const lines = text.split('\n').filter((line) => line !== '' && !line.startsWith('#'));
  return new Map(lines.map((line) => [line.slice(0, line.lastIndexOf(' ')), Number(line.slice(line.lastIndexOf(' ') + 1))]));
}

test('/metrics has the counters of stats()', async (t) => {
  // The second event is refused, and refused again after the third was accepted.
  const refused = { kind: 'status', status: 404 } as const;
  const collector = await startCollector({ faults: [{ kind: 'ok' }, refused, { kind: 'ok' }, refused] });
  t.teardown(() => collector.close());
  const options = { forward: collector.url, concurrency: 1, backoffMs: 20, maxBackoffMs: 100 };
  const { get, relay } = await startRig(t, options, { leftBehind: ['/v3/dag_run?status=failed'] });
  await get('/v3/dag_run?status=success&unknown=1');
  await get('/v3/dag_run?status=success');
  await get('/v3/nothing');
  await until(() => relay.stats().pending === 0);
  const { text, headers } = await get('/metrics');
  t.is(headers['content-type'], 'text/plain; version=0.0.4; charset=utf-8');
  const samples = samplesOf(text);
  const expected: Record<string, number> = {
    cosmos_relay_events_accepted_total: 2,
    cosmos_relay_events_recovered_total: 1,
    cosmos_relay_events_sent_total: 2,
    'cosmos_relay_events_failed_total{reason="http_404"}': 1,
    cosmos_relay_events_maybe_sent_twice_total: 0,
    cosmos_relay_fields_dropped_total: 1,
    cosmos_relay_spool_torn_lines_total: 0,
    'cosmos_relay_answers_total{status="204"}': 2,
    'cosmos_relay_answers_total{status="404"}': 1,
    cosmos_relay_connections_refused_total: 0,
    cosmos_relay_events_pending: 0,
    cosmos_relay_spool_bytes: 0,
    cosmos_relay_spool_durable: 1,
    cosmos_relay_spool_limit_bytes: 0,
    cosmos_relay_oldest_event_age_seconds: 0,
    'cosmos_relay_breaker_state{state="closed"}': 1,
    'cosmos_relay_breaker_state{state="half_open"}': 0,
    'cosmos_relay_breaker_state{state="open"}': 0,
    'cosmos_relay_not_delivering{cause="http_404"}': 1,
    cosmos_relay_opted_out: 0,
    cosmos_relay_ready: 1,
    cosmos_relay_send_seconds_count: 4,
    'cosmos_relay_send_seconds_bucket{le="10"}': 4,
  };
  for (const [name, value] of Object.entries(expected)) t.is(samples.get(name), value, name);
  t.is(samples.get('cosmos_relay_last_success_timestamp_seconds'), Number(relay.stats().lastSentAtMs) / 1000);
  t.true(Math.abs(Number(relay.stats().lastSentAtMs) - Date.now()) < 60_000);
  const again = samplesOf((await get('/metrics')).text);
  t.is(again.get('cosmos_relay_events_sent_total'), 2);
  t.is(again.get('cosmos_relay_answers_total{status="200"}'), 1);
  const { register } = await import('prom-client');
  t.is(register.getMetricsAsArray().length, 0);
});

test('a figure that prom-client does not take costs no event', async (t) => {
  const { Histogram, ...others } = await import('prom-client');
  class Refusing extends Histogram<string> {
    override observe(): void {
      throw new Error('a name on Object.prototype is no label');
    }
  }
  const server = await startHttp(t, (_request, response) => response.end());
  const prom = { ...others, Histogram: Refusing } as unknown as PromClient;
  const { get, relay } = await startRig(t, { forward: `http://127.0.0.1:${server.port}` }, { loadProm: () => Promise.resolve(prom) });
  t.true((await get('/astronomer-cosmos/v3/dag_run?status=success')).status < 300);
  await until(() => relay.stats().pending === 0);
  t.like(relay.stats(), { published: 1, sent: 1, failed: 0 });
});

test('without prom-client /metrics answers 501, and one log line gives the reason', async (t) => {
  const { get, log } = await startRig(t, {}, { loadProm: () => Promise.reject(new Error("Cannot find package 'prom-client'")) });
  const { status, text } = await get('/metrics');
  t.deepEqual([status, text], [501, 'metrics need the package prom-client beside this one\n']);
  t.is(log.filter((line) => line.startsWith('[telemetry] no_metrics: ')).length, 1);
  t.is((await get('/healthz')).status, 200);
});

test('`metricsListen` gives metrics and health a separate address without prefix', async (t) => {
  const { address, get } = await startRig(t, { metricsListen: '127.0.0.1:0', prefix: 'correct-horse-battery' });
  const { port } = new URL(address.metricsUrl ?? '');
  t.is((await getFrom(Number(port), '/healthz')).status, 200);
  t.is((await getFrom(Number(port), '/readyz')).status, 200);
  t.is((await getFrom(Number(port), '/metrics')).status, 200);
  t.is((await getFrom(Number(port), EVENT)).status, 404);
  t.is((await getFrom(Number(port), '/metrics', { host: 'example.com' })).status, 403);
  t.is((await get('/correct-horse-battery/metrics')).status, 404);
});
