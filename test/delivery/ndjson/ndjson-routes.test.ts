import test from 'ava';
import type { ExecutionContext } from 'ava';
import { boolean, count, createTelemetry, defineEvent, duration, hash, optional } from '../../../src/index.js';
import type { Transport, UsageEvent } from '../../../src/index.js';
import { ndjsonLine, ndjsonTransport } from '../../../src/delivery/ndjson/index.js';
import type { NdjsonTransportOptions } from '../../../src/delivery/ndjson/index.js';
import { testEnvironment } from '../../../src/testing/index.js';
import { holdProcess } from '../../helpers/hold-process.js';
import { startHttpProxy } from '../../helpers/http-proxy.js';
import { ok, receiver, status } from '../../helpers/line-receiver.js';
import { tlsFile } from '../../helpers/loopback.js';
import { proves } from '../../helpers/promises.js';

holdProcess(test);

const SERVER = { key: tlsFile('server-key.pem'), cert: tlsFile('server.pem') };
const SENT = { kind: 'sent' } as const;
const { signal } = new AbortController();

const events: UsageEvent[] = Array.from({ length: 200 }, (_, n) => ({
  id: `019a0b3c-7d2e-7c41-9f0a-${n.toString(16).padStart(12, '0')}`,
  timeMs: 1_769_898_600_007,
  type: 'backfill',
  metrics: { n },
  requestTarget: () => '/v3/backfill',
  kindOf: () => 'count',
}));
const ids = events.map(({ id }) => id);
const idsOf = ({ lines }: { readonly lines: readonly string[] }) => lines.map((line) => line.slice(7, 43));

/** A transport behind a proxy at this port. */
function through(t: ExecutionContext, port: number, options: Partial<NdjsonTransportOptions>) {
  const proxy = `http://me:s%40cret@127.0.0.1:${port}`;
  const common = { endpoint: 'https://collector.test/ingest', ca: tlsFile('authority.pem'), retries: 0, env: {}, proxy };
  const transport = ndjsonTransport({ ...common, ...options });
  t.teardown(() => transport.close?.());
  return transport;
}

test(
  proves('lines-secrets', "lines are posted through a proxy's tunnel, over one connection, and the proxy sees none of the headers"),
  async (t) => {
    const server = await receiver(t, ok, SERVER);
    const proxy = await startHttpProxy(t, { targetPort: server.port });
    const transport = through(t, proxy.port, { headers: { authorization: 'Bearer hunter2' } });
    t.deepEqual(await transport.send(events, signal), SENT);
    t.deepEqual(await transport.send(events.slice(0, 1), signal), SENT);
    t.deepEqual(proxy.asked, ['CONNECT collector.test:443']);
    t.deepEqual(proxy.authorizations, ['Basic bWU6c0BjcmV0']);
    const [large, small] = server.requests;
    t.like(large, { method: 'POST', url: '/ingest', endsWithNewline: true });
    t.like(large?.headers, { host: 'collector.test', authorization: 'Bearer hunter2', 'content-encoding': 'gzip' });
    t.is(large?.headers['proxy-authorization'], undefined);
    t.deepEqual(
      [large, small].map((request) => request && idsOf(request)),
      [ids, ids.slice(0, 1)],
    );
  },
);

test('a tunnel whose end has a certificate of another authority gets nothing', async (t) => {
  const server = await receiver(t, ok, SERVER);
  const proxy = await startHttpProxy(t, { targetPort: server.port });
  const transport = through(t, proxy.port, { ca: undefined, headers: { authorization: 'Bearer hunter2' } });
  t.like(await transport.send(events, signal), { reason: 'connect', cause: 'tls_untrusted' });
  t.is(server.requests.length, 0);
});

test(proves('lines-secrets', 'a redirect to an allowed host of another origin has the lines, and none of the headers'), async (t) => {
  const moved = status(308, { location: 'https://proxy.test/elsewhere' });
  const back = status(307, { location: 'https://collector.test/back' });
  const server = await receiver(t, [moved, back, ok], SERVER);
  const proxy = await startHttpProxy(t, { targetPort: server.port });
  const headers = { authorization: 'Bearer hunter2', 'x-api-key': 'hunter2' };
  const transport = through(t, proxy.port, { headers, allowedRedirectHosts: ['proxy.test'] });
  t.deepEqual(await transport.send(events, signal), SENT);
  t.deepEqual(
    server.requests.map(({ url, headers: { host, authorization, 'x-api-key': key } }) => [host, url, authorization, key]),
    [
      ['collector.test', '/ingest', 'Bearer hunter2', 'hunter2'],
      ['proxy.test', '/elsewhere', undefined, undefined],
      ['collector.test', '/back', 'Bearer hunter2', 'hunter2'],
    ],
  );
  for (const request of server.requests) t.deepEqual(idsOf(request), ids);
});

test('requests that are under way at once have their own lines each', async (t) => {
  for (const gzip of [true, false]) {
    const { url, requests } = await receiver(t);
    const transport = ndjsonTransport({ endpoint: url, gzip, env: {} });
    const batches = [events.slice(0, 90), events.slice(90, 190), events.slice(190)];
    t.deepEqual(await Promise.all(batches.map((batch) => transport.send(batch, signal))), [SENT, SENT, SENT]);
    t.deepEqual(
      requests.map(idsOf).toSorted((one, other) => (String(one[0]) < String(other[0]) ? -1 : 1)),
      batches.map((batch) => batch.map(({ id }) => id)),
    );
    await transport.close?.();
  }
});

test('what a client posts is the line of each event, also if a transport around it has read or changed some', async (t) => {
  const { url, requests } = await receiver(t);
  const inner = ndjsonTransport({ endpoint: url, env: {} });
  const expected = new Map<string, string>();
  const around: Transport = {
    maxBatchSize: 512,
    send: (sent, abort) => {
      const changed = sent.map((event, n) => {
        if (n % 4 === 0) delete (event.metrics as Record<string, unknown>)['models'];
        return n % 4 === 1 ? { ...event, kindOf: (name: string) => event.kindOf?.(name), metrics: { ...event.metrics, models: 0 } } : event;
      });
      const outcome = inner.send(changed, abort);
      for (const event of changed) expected.set(event.id, ndjsonLine(event));
      return outcome;
    },
    close: () => inner.close?.(),
  };
  const note = { description: 'What it says.', reason: 'Why it is collected.' };
  const backfill = defineEvent('backfill', { models: count(note), took: duration(note), digest: hash(note), id: optional(count(note)) });
  const product = { name: 'acme', version: '1.2.0' };
  const common = { ci: { field: boolean(note), value: true } };
  const telemetry = createTelemetry({ product, events: [backfill], common, transport: around, env: testEnvironment('acme') });
  for (let n = 0; n < 60; n += 1) {
    telemetry.publish('backfill', { models: n, took: n, digest: `0${1000 + n}e${1000 + n}`, ...(n % 10 === 0 && { id: n }) });
    telemetry.reportRun({ status: 'success', tasks: [{ owned: true, status: 'success', duration: n / 4 }] });
  }
  t.is((await telemetry.close({ deadlineMs: 5000 })).sent, 180);
  t.deepEqual(new Map(requests.flatMap(({ lines }) => lines.map((line) => [line.slice(7, 43), line]))), expected);
  const backfills = [...expected.values()].filter((line) => line.includes('"event":"backfill","acme_version":"1.2.0"'));
  const withModels = (models: RegExp) => backfills.filter((line) => models.test(line)).length;
  t.deepEqual(
    [backfills.length, withModels(/"models":0,/), withModels(/"ci":true,"models":[1-9]\d?,"took":\d+\.0,"digest":"h0/)],
    [60, 15, 30],
  );
});

function redacted(event: UsageEvent): UsageEvent {
  return new Proxy(event, {
    get: (target, name) => {
      const value: unknown = Reflect.get(target, name);
      if (name === 'metrics') return { status: 'success' };
      return typeof value === 'function' ? value.bind(target) : value;
    },
  });
}

test('a proxy around an event is posted as what it says, and not as what is behind it', async (t) => {
  const { url, requests } = await receiver(t);
  const inner = ndjsonTransport({ endpoint: url, env: {} });
  const transport: Transport = {
    maxBatchSize: 512,
    send: (sent, abort) => inner.send(sent.map(redacted), abort),
    close: () => inner.close?.(),
  };
  const telemetry = createTelemetry({ product: { name: 'acme', version: '1.2.0' }, transport, env: testEnvironment('acme') });
  telemetry.reportRun({ status: 'failed', tasks: [{ owned: true, status: 'failed', duration: 7 }] });
  t.is((await telemetry.close({ deadlineMs: 5000 })).sent, 2);
  const ends = requests.flatMap(({ lines }) => lines.map((line) => line.slice(line.indexOf('"event"'))));
  t.deepEqual(ends.sort(), ['"event":"dag_run","status":"success"}', '"event":"task_instance","status":"success"}']);
});
