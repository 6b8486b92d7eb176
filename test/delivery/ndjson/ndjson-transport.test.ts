import { createPrivateKey } from 'node:crypto';
import { inspect } from 'node:util';
import test from 'ava';
import type { ExecutionContext } from 'ava';
import { createTelemetry } from '../../../src/index.js';
import type { SendOutcome, UsageEvent } from '../../../src/index.js';
import { ndjsonTransport, readNdjsonLine } from '../../../src/delivery/ndjson/index.js';
import type { NdjsonTransportOptions } from '../../../src/delivery/ndjson/index.js';
import { steering } from '../../../src/delivery/transport.js';
import { refusedPort, silentServer, testEnvironment, transportContract } from '../../../src/testing/index.js';
import { selfSignedCertificate } from '../../helpers/certificate.js';
import { ok, receiver, status } from '../../helpers/line-receiver.js';
import type { Answer } from '../../helpers/line-receiver.js';
import { proves } from '../../helpers/promises.js';

const ends: (() => unknown)[] = [];
const received = await receiver({ teardown: (end) => ends.push(end) });
const silent = await silentServer();
silent.unref();
test.after.always(async () => {
  for (const end of ends) end();
  await silent.close();
});
const arrived = (): number => received.requests.reduce((sum, { lines }) => sum + lines.length, 0);

const KINDS: Readonly<Record<string, ReturnType<NonNullable<UsageEvent['kindOf']>>>> = { took: 'duration', n: 'count', layer: 'oneOf' };

function event(n: number): UsageEvent {
  const id = `019a0b3c-7d2e-7c41-9f0a-${n.toString(16).padStart(12, '0')}`;
  const metrics = { took: 7, n, layer: 'marts' };
  return {
    id,
    timeMs: 1_769_898_600_007 + n,
    type: 'backfill',
    metrics,
    requestTarget: () => '/v3/backfill',
    kindOf: (name) => KINDS[name],
  };
}

const events = (count: number): UsageEvent[] => Array.from({ length: count }, (_, n) => event(n));
const { signal } = new AbortController();
const FAST = { retries: 0, env: {}, proxy: false } as const;

/** A transport that the test closes. */
function open(t: ExecutionContext, options: NdjsonTransportOptions) {
  const transport = ndjsonTransport({ ...FAST, ...options });
  t.teardown(() => transport.close?.());
  return transport;
}

const SENT = { kind: 'sent' } as const;

test('a batch is one POST of lines to the very URL, with the headers of lines', async (t) => {
  const { url, requests } = await receiver(t);
  const transport = open(t, { endpoint: url });
  t.deepEqual(await transport.send(events(2), signal), SENT);
  const [request] = requests;
  t.like(request, { method: 'POST', url: '/ingest?source=acme', endsWithNewline: true });
  t.is(request?.headers['content-type'], 'application/x-ndjson');
  t.is(request?.headers['accept-encoding'], 'identity');
  t.is(request?.headers['user-agent'], 'cosmos-telemetry');
  t.is(request?.headers['content-encoding'], undefined);
  t.is(request?.headers['content-length'], String(request?.bytes));
  t.is(
    request?.lines[1],
    '{"id":"019a0b3c-7d2e-7c41-9f0a-000000000001","time":"2026-01-31T22:30:00.008Z","event":"backfill","took":7.0,"n":1,"layer":"marts"}',
  );
  t.true(request?.lines.every((line) => 'event' in Object(readNdjsonLine(line))));
});

test('a body above 1 KiB is one gzip member, and a connection is used again', async (t) => {
  const { url, requests } = await receiver(t);
  const transport = open(t, { endpoint: url });
  for (let sends = 0; sends < 5; sends += 1) t.deepEqual(await transport.send(events(512), signal), SENT);
  t.is(requests.length, 5);
  for (const request of requests) {
    t.is(request.headers['content-encoding'], 'gzip');
    t.is(request.lines.length, 512);
    t.true(request.endsWithNewline);
    t.true(request.bytes < 20_000, `${request.bytes} bytes`);
  }
  const plain = open(t, { endpoint: url, gzip: false });
  t.deepEqual(await plain.send(events(512), signal), SENT);
  t.is(requests.at(-1)?.headers['content-encoding'], undefined);
  t.is(requests.at(-1)?.lines.length, 512);
});

const small: Answer = ({ lines }, response) => void response.writeHead(lines.length > 20 ? 413 : 200).end();

test('413 halves the batch, and the next batch begins with what was accepted', async (t) => {
  const { url, requests } = await receiver(t, small);
  const transport = open(t, { endpoint: url, maxBatchSize: 100 });
  t.deepEqual(await transport.send(events(100), signal), SENT);
  t.deepEqual(
    requests.map(({ lines }) => lines.length),
    [100, 50, 25, 12, 12, 12, 12, 12, 12, 12, 12, 4],
  );
  const ids = requests.filter(({ lines }) => lines.length <= 20).flatMap(({ lines }) => lines.map((line) => line.slice(7, 43)));
  t.deepEqual(
    ids,
    events(100).map(({ id }) => id),
  );
  requests.length = 0;
  await transport.send(events(24), signal);
  t.deepEqual(
    requests.map(({ lines }) => lines.length),
    [12, 12],
  );
});

const picky: Answer = ({ lines }, response) => void response.writeHead(lines.some((line) => line.includes('"n":2,')) ? 413 : 200).end();

test(proves('lines-each-event', 'one event that is too large is refused, and the others are sent'), async (t) => {
  const { url } = await receiver(t, picky);
  const transport = open(t, { endpoint: url });
  const outcome = (await transport.send(events(4), signal)) as Extract<SendOutcome, { kind: 'partial' }>;
  t.deepEqual(outcome.outcomes, [SENT, SENT, { kind: 'refused', reason: 'too_large' }, SENT]);
});

test('after many requests without a 413 larger ones are tried again', async (t) => {
  let limit = 1;
  const growing: Answer = ({ lines }, response) => void response.writeHead(lines.length > limit ? 413 : 200).end();
  const { url, requests } = await receiver(t, growing);
  const transport = open(t, { endpoint: url, maxBatchSize: 8 });
  await transport.send(events(8), signal);
  limit = 8;
  for (let sends = 0; sends < 40; sends += 1) await transport.send(events(8), signal);
  t.is(requests.at(-1)?.lines.length, 8);
});

test(proves('lines-each-event', 'a body names the events that were not accepted'), async (t) => {
  const errors = [
    { id: event(1).id, status: 400, reason: 'unknown_event' },
    { id: event(2).id, status: 503 },
    { id: event(3).id },
    { id: 'of another batch', status: 400 },
    null,
  ];
  const answers = [207, 200].map((code) => status(code, { 'content-type': 'application/json' }, JSON.stringify({ errors })));
  const { url } = await receiver(t, answers);
  const transport = open(t, { endpoint: url });
  const outcomes = [
    SENT,
    { kind: 'rejected', reason: 'http_400' },
    { kind: 'retryable', reason: 'http_503' },
    { kind: 'rejected', reason: 'not_accepted' },
    SENT,
  ];
  t.deepEqual(await transport.send(events(5), signal), { kind: 'partial', outcomes } as SendOutcome, '207');
  t.deepEqual(await transport.send(events(5), signal), { kind: 'partial', outcomes } as SendOutcome, '200');
});

test('an entry with 429 is tried again as an answer of 429 is: at once but for the backoff, or after Retry-After', async (t) => {
  const body = JSON.stringify({ errors: [{ id: event(1).id, status: 429 }] });
  const { url } = await receiver(t, [status(207, {}, body), status(207, { 'retry-after': '7' }, body)]);
  const transport = open(t, { endpoint: url });
  const outcomeOf = async () => {
    const outcome = await transport.send(events(2), signal);
    return outcome.kind === 'partial' ? outcome.outcomes : outcome;
  };
  t.deepEqual(await outcomeOf(), [SENT, { kind: 'retryable', reason: 'http_429' }]);
  t.deepEqual(await outcomeOf(), [SENT, { kind: 'deferred', waitMs: 7000, reason: 'http_429' }]);
});

test('the answer to a large batch may name each of its events', async (t) => {
  const all = events(2000);
  const errors = all.slice(1).map(({ id }) => ({ id, status: 404, reason: 'unknown_event' }));
  const { url } = await receiver(t, status(207, {}, JSON.stringify({ errors })));
  const outcome = await open(t, { endpoint: url, maxBatchSize: 2000 }).send(all, signal);
  t.is(outcome.kind, 'partial');
  const kinds = outcome.kind === 'partial' ? outcome.outcomes.map(({ kind }) => kind) : [];
  t.deepEqual([kinds.length, kinds[0], new Set(kinds.slice(1))], [2000, 'sent', new Set(['rejected'])]);
});

test('a 207 says nothing by itself: it is tried again. A 200 with another body is an acceptance', async (t) => {
  const bodies = ['', '{"errors":7}', '{', 'ok', `{"errors":[${' '.repeat(70_000)}]}`];
  for (const body of bodies) {
    const { url } = await receiver(t, [status(207, {}, body), status(200, {}, body)]);
    const transport = open(t, { endpoint: url });
    t.deepEqual(await transport.send(events(2), signal), { kind: 'retryable', reason: 'http_207' });
    t.deepEqual(await transport.send(events(2), signal), SENT);
  }
  const { url } = await receiver(t, status(207, {}, '{"errors":[]}'));
  t.deepEqual(await open(t, { endpoint: url }).send(events(2), signal), SENT);
});

test('only the events that are to be repeated are sent again', async (t) => {
  const body = JSON.stringify({ errors: [{ id: event(1).id, status: 503 }] });
  const { url, requests } = await receiver(t, [status(207, {}, body), ok]);
  const transport = open(t, { endpoint: url, retries: 1 });
  t.deepEqual(await transport.send(events(3), signal), { kind: 'partial', outcomes: [SENT, SENT, SENT] });
  t.deepEqual(
    requests.map(({ lines }) => lines.length),
    [3, 1],
  );
  t.true(requests[1]?.lines[0]?.includes(event(1).id));
});

test(proves('lines-same-id', 'what may have been read is sent again, with the same ids: a reset, and a time that is up'), async (t) => {
  const faults: [Answer, string][] = [
    [(_request, response) => void response.destroy(), 'network'],
    [() => undefined, 'timeout'],
  ];
  for (const [fault, reason] of faults) {
    const { url, requests } = await receiver(t, [fault, ok]);
    const transport = ndjsonTransport({ endpoint: url, env: {}, attemptTimeoutMs: 200, lingerMs: 0 });
    const telemetry = createTelemetry({ product: { name: 'acme', version: '1.2.0' }, transport, env: testEnvironment('acme') });
    telemetry.reportRun({ status: 'success', tasks: [{ owned: true, status: 'success' }] });
    t.like(await telemetry.drain({ deadlineMs: 10_000 }), { published: 2, sent: 2, failed: 0 }, reason);
    t.is(requests.length, 2);
    t.deepEqual(requests[0]?.lines, requests[1]?.lines);
    await telemetry.close();
    const broken = await receiver(t, fault);
    t.like(await open(t, { endpoint: broken.url, attemptTimeoutMs: 200 }).send(events(2), signal), { kind: 'retryable', reason });
  }
});

test('a status is judged as by fetchTransport, Retry-After included', async (t) => {
  const cases: [Answer, SendOutcome][] = [
    [status(400), { kind: 'rejected', reason: 'http_400' }],
    [status(401), { kind: 'rejected', reason: 'http_401' }],
    [status(503), { kind: 'retryable', reason: 'http_503' }],
    [status(429, { 'retry-after': '7' }), { kind: 'deferred', waitMs: 7000, reason: 'http_429' }],
    [status(302, { location: '/' }), { kind: 'rejected', reason: 'redirect_refused' }],
  ];
  for (const [answer, outcome] of cases) {
    const { url } = await receiver(t, answer);
    t.deepEqual(await open(t, { endpoint: url }).send(events(3), signal), outcome);
  }
});

test('307 and 308 are followed with the body, and another host gets none of the own headers', async (t) => {
  const other = await receiver(t);
  const moved = status(308, { location: other.url });
  const { url, requests } = await receiver(t, [status(307, { location: '/v2' }), ok, moved]);
  const headers = { authorization: 'Bearer hunter2' };
  const transport = open(t, { endpoint: url, headers });
  t.deepEqual(await transport.send(events(500), signal), SENT);
  t.deepEqual(
    requests.map((request) => request.url),
    ['/ingest?source=acme', '/v2'],
  );
  t.deepEqual(requests[1]?.lines, requests[0]?.lines);
  t.is(requests[1]?.headers.authorization, 'Bearer hunter2');
  t.deepEqual(await transport.send(events(2), signal), { kind: 'rejected', reason: 'redirect_refused' });
  t.is(other.requests.length, 0);
});

test('headers are those of the option, asked for before each attempt', async (t) => {
  const { url, requests } = await receiver(t);
  let asked = 0;
  const headers = async () => ({ Authorization: `Bearer ${(asked += 1)}`, 'x-source': 'acme' });
  const transport = open(t, { endpoint: url, headers });
  await transport.send(events(1), signal);
  await transport.send(events(1), signal);
  t.deepEqual(
    requests.map((request) => request.headers.authorization),
    ['Bearer 1', 'Bearer 2'],
  );
  t.is(requests[0]?.headers['x-source'], 'acme');
});

test(proves('lines-secrets', 'without the headers that it should have, nothing is sent, and no value is shown'), async (t) => {
  const { url, requests } = await receiver(t);
  const lines: string[] = [];
  const logger = { debug: (line: string) => lines.push(line), warn: (line: string) => lines.push(line) };
  const failing: (() => unknown)[] = [
    () => Promise.reject(new Error('hunter2')),
    () => {
      throw new Error('hunter2');
    },
    () => 'hunter2',
    () => ({ authorization: 'hunter2\r\nx: y' }),
    () => ({ host: 'hunter2' }),
    () => new Promise(() => {}),
  ];
  for (const headers of failing) {
    const transport = open(t, { endpoint: url, headers: headers as () => Record<string, string>, logger, attemptTimeoutMs: 50 });
    t.deepEqual(await transport.send(events(1), signal), { kind: 'retryable', reason: 'headers_failed' });
  }
  t.is(requests.length, 0);
  t.true(lines.length > 0 && lines.every((line) => !line.includes('hunter2')), lines.join('\n'));
});

const PAIR = selfSignedCertificate();
const LOCKED_KEY = createPrivateKey(PAIR.key).export({ type: 'pkcs8', format: 'pem', cipher: 'aes-256-cbc', passphrase: 'hunter2' });

const WRONG: readonly [object, string][] = [
  [{ endpoint: 'ftp://a.test' }, 'Expected `endpoint` to be an http or https URL without credentials and fragment, got "ftp://a.test".'],
  [
    { endpoint: 'https://a.test/#b' },
    'Expected `endpoint` to be an http or https URL without credentials and fragment, got "https://a.test/#...".',
  ],
  [{ headers: { authorization: 'hunter2\n' } }, 'Expected `headers` to be headers of one line each, which `authorization` is not.'],
  [{ headers: { 'x-key': 7 } }, 'Expected `headers` to be headers of one line each, which `x-key` is not.'],
  [{ headers: { 'content-length': 'hunter2' } }, 'Expected `headers` to be headers without `content-length`, which the transport sets.'],
  [{ headers: { 'Accept-Encoding': 'gzip' } }, 'Expected `headers` to be headers without `accept-encoding`, which the transport sets.'],
  [{ headers: { 'a b': 'hunter2' } }, 'Expected `headers` to be headers with names that HTTP allows.'],
  [
    {
      headers: {
        get authorization(): string {
          throw new Error('hunter2');
        },
      },
    },
    'Expected `headers` to be an object whose properties can be read.',
  ],
  [{ headers: 'hunter2' }, 'Expected `headers` to be an object of texts, or a function that gives one.'],
  [{ cert: 'hunter2' }, 'Expected `key` to be given, since `cert` and `key` belong together, got undefined.'],
  [{ key: 'hunter2' }, 'Expected `cert` to be given, since `cert` and `key` belong together, got undefined.'],
  [{ ca: 'hunter2' }, 'Expected `ca` to be certificates in PEM, which it is not.'],
  [{ ca: [PAIR.cert, Buffer.from('hunter2')] }, 'Expected `ca` to be certificates in PEM, which it is not.'],
  [{ ca: PAIR.cert + PAIR.cert.replace('MII', 'hunter2') }, 'Expected `ca` to be certificates in PEM, which it is not.'],
  [{ ca: [] }, 'Expected `ca` to be certificates in PEM, which it is not.'],
  [{ ca: PAIR.key }, 'Expected `ca` to be certificates in PEM, which it is not.'],
  [
    { endpoint: 'http://a.test', ca: PAIR.cert },
    'Expected `endpoint` to be an https URL, since `ca`, `cert` and `key` are of no use without TLS.',
  ],
  [
    { endpoint: 'http://a.test', ...PAIR },
    'Expected `endpoint` to be an https URL, since `ca`, `cert` and `key` are of no use without TLS.',
  ],
  [{ cert: 'hunter2', key: PAIR.key }, 'Expected `cert` to be a certificate in PEM, which it is not.'],
  [{ cert: PAIR.cert, key: 'hunter2' }, 'Expected `key` to be a private key in PEM without a passphrase, which it is not.'],
  [{ cert: PAIR.cert, key: LOCKED_KEY }, 'Expected `key` to be a private key in PEM without a passphrase, which it is not.'],
  [{ cert: PAIR.cert, key: PAIR.cert }, 'Expected `key` to be a private key in PEM without a passphrase, which it is not.'],
  [{ cert: PAIR.cert, key: selfSignedCertificate().key }, 'Expected `key` to be the private key of `cert`, which it is not.'],
  [{ cert: PAIR.cert, key: 7 }, 'Expected `key` to be a text or bytes in PEM, got 7.'],
  [{ maxBatchSize: 0 }, 'Expected `maxBatchSize` to be a whole number from 1 to 10000, got 0.'],
  [{ lingerMs: -1 }, 'Expected `lingerMs` to be a number of milliseconds from 0 to 3600000, got -1.'],
  [{ proxy: 7 }, 'Expected `proxy` to be a URL or false, got 7.'],
  [{ url: 'x' }, 'Expected `options of ndjsonTransport` to have known keys only, got `url` with "x".'],
];

for (const [index, [options, message]] of WRONG.entries()) {
  test(`wrong option ${index} throws: ${message}`, (t) => {
    const error = t.throws(() => ndjsonTransport({ endpoint: 'https://a.test', ...options }), { instanceOf: TypeError, message });
    t.false(inspect(error, { depth: 9 }).includes('hunter2'));
  });
}

test('printing a transport shows no secret, and what debug mode shows is the line', (t) => {
  const { cert, key } = selfSignedCertificate();
  const transport = ndjsonTransport({ endpoint: 'https://a.test/x', headers: { authorization: 'hunter2' }, ca: cert, cert, key });
  const printed = inspect(transport, { depth: 9, showHidden: true, maxStringLength: null });
  t.false(printed.includes('hunter2') || printed.includes(key.slice(40, 60)));
  const shown = transport[steering]?.shows?.(event(1));
  t.is(
    shown,
    'POST https://a.test/x {"id":"019a0b3c-7d2e-7c41-9f0a-000000000001","time":"2026-01-31T22:30:00.008Z","event":"backfill","took":7.0,"n":1,"layer":"marts"}',
  );
});

test('`ca`, `cert` and `key` are those of the connection', async (t) => {
  const server = selfSignedCertificate();
  const { cert, key } = selfSignedCertificate();
  const ca = [server.cert];
  const { url, requests } = await receiver(t, ok, { ...server, ca: cert, requestCert: true, rejectUnauthorized: true });
  const endpoint = url.replace('127.0.0.1', 'localhost');
  t.deepEqual(await open(t, { endpoint, ca, cert, key }).send(events(2), signal), SENT);
  t.like(await open(t, { endpoint, cert, key }).send(events(2), signal), { reason: 'connect', cause: 'tls_untrusted' });
  t.like(await open(t, { endpoint, ca }).send(events(2), signal), { reason: 'connect' });
  t.is(requests.length, 1);
});

test('a client sends a burst in full batches, and a trickle after a second', async (t) => {
  const { url, requests } = await receiver(t);
  const transport = ndjsonTransport({ endpoint: url, env: {} });
  const telemetry = createTelemetry({ product: { name: 'acme', version: '1.2.0' }, transport, env: testEnvironment('acme') });
  for (let n = 0; n < 550; n += 1) telemetry.reportRun({ status: 'success', tasks: [{ owned: true, status: 'success' }] });
  const { sent, timedOut } = await telemetry.close({ deadlineMs: 5000 });
  t.deepEqual({ sent, timedOut }, { sent: 1100, timedOut: false });
  t.deepEqual(
    requests.map(({ lines }) => lines.length).sort((a, b) => b - a),
    [512, 512, 76],
  );
  const ids = requests.flatMap(({ lines }) => lines.map((line) => line.slice(7, 43)));
  t.is(new Set(ids).size, 1100);
});

const FAULTS: Readonly<Record<string, (t: ExecutionContext) => Promise<string>>> = {
  refused: async () => `http://127.0.0.1:${await refusedPort()}/`,
  silent: async (t) => {
    const server = await silentServer();
    t.teardown(() => server.close());
    return server.url;
  },
  reset: async (t) => (await receiver(t, (_request, response) => void response.destroy())).url,
  '5xx': async (t) => (await receiver(t, status(500))).url,
  full: async (t) => (await receiver(t, status(507))).url,
  'never ends its body': async (t) =>
    (await receiver(t, (_request, response) => void response.writeHead(200, { 'content-length': '9' }).write('x'))).url,
};

for (const [name, endpointOf] of Object.entries(FAULTS)) {
  test.serial(proves('lines-close', `close() ends within its deadline, and the accounts balance: ${name}`), async (t) => {
    const transport = ndjsonTransport({ endpoint: await endpointOf(t), env: {}, lingerMs: 0 });
    const telemetry = createTelemetry({ product: { name: 'acme', version: '1.2.0' }, transport, env: testEnvironment('acme') });
    for (let n = 0; n < 350; n += 1) telemetry.reportRun({ status: 'success', tasks: [{ owned: true, status: 'success' }] });
    const startedAtMs = performance.now();
    const { published, sent, failed, dropped, pending } = await telemetry.close({ deadlineMs: 400 });
    const tookMs = performance.now() - startedAtMs;
    t.log(`close({ deadlineMs: 400 }) took ${Math.round(tookMs)} ms`);
    // Without the deadline the attempts and their backoff would go on for much longer. Two seconds are for a busy machine.
    t.true(tookMs < 400 + 2000, `${tookMs} ms`);
    t.is(published, 700);
    t.is(sent + failed + dropped, 700);
    t.is(pending, 0);
  });
}

for (const retries of [0, 2]) {
  const make = (endpoint: string) => () => ndjsonTransport({ endpoint, env: {}, retries });
  const unreachable = async () => make(`http://127.0.0.1:${await refusedPort()}/`)();
  for (const rule of transportContract(make(received.url), { arrived, unreachable, silent: make(silent.url) })) {
    test.serial(`with ${retries} retries: ${rule.name}`, (t) => t.notThrowsAsync(rule.run));
  }
}
