// `POST /v3/events`: what of a batch is stored, what is refused, and each event once.
import { connect } from 'node:net';
import { gzipSync } from 'node:zlib';
import test from 'ava';
import type { ExecutionContext } from 'ava';
import { MAX_BATCH_BYTES } from '../../../src/relay/http/body.js';
import { startCollector } from '../../../src/testing/index.js';
import { BATCHES, bodyOf, lineOf, newId, post } from '../helpers/batch.js';
import { exchange, startRig, statuses, stillMachine } from '../helpers/relay-rig.js';
import type { Rig } from '../helpers/relay-rig.js';
import { until } from '../helpers/until.js';
import { proves } from '../../helpers/promises.js';

/** The bytes of a request with a body. */
function requestOf(port: number, body: Buffer, more: readonly string[] = [], path = BATCHES): Buffer {
  const head = [
    `POST ${path} HTTP/1.1`,
    `Host: 127.0.0.1:${port}`,
    'Content-Type: application/x-ndjson',
    `Content-Length: ${body.length}`,
    'Connection: close',
    ...more,
  ];
  return Buffer.concat([Buffer.from(`${head.join('\r\n')}\r\n\r\n`), body]);
}

/** The texts of the stored events, at a moment when none is in flight. */
async function storedIn({ store }: Rig, count: number): Promise<string[]> {
  const stored = () => store().waiting.concat(store().settled);
  await until(() => stored().length === count);
  return stored().map(({ target }) => target);
}

function errorsOf({ text }: { text: string }): unknown {
  return (JSON.parse(text) as { errors: unknown }).errors;
}

function balanced(t: ExecutionContext, { relay }: Rig): void {
  const { published, sent, failed, dropped, pending } = relay.stats();
  t.is(published, sent + failed + dropped + pending);
}

test('a batch on disk is answered 204, one in memory 200, plain or with gzip, and with or without the base path', async (t) => {
  const rig = await startRig(t);
  const { port, store, relay } = rig;
  t.is((await post(port, [lineOf(), lineOf()])).status, 204);
  t.is((await post(port, [lineOf()], { gzip: true, path: '/v3/events' })).status, 204);
  const members = Buffer.concat([gzipSync(bodyOf([lineOf()])), gzipSync(bodyOf([lineOf()]))]);
  t.is((await post(port, members, { headers: { 'content-encoding': 'gzip' } })).status, 204);
  t.is((await post(port, Buffer.from(lineOf()))).status, 204, 'the last newline may be missing');
  store().answer = 'memory';
  const kept = await post(port, [lineOf()], { headers: { 'content-type': 'application/ndjson; charset=utf-8' } });
  t.deepEqual([kept.status, kept.text], [200, 'accepted in memory only\n']);
  t.is((await post(port, [])).status, 204, 'an empty batch has nothing to store');
  t.is(relay.stats().published, 7);
  balanced(t, rig);
});

test('the answer names the events that are refused, and the others are stored', async (t) => {
  const rig = await startRig(t);
  const { port, relay } = rig;
  const [unknown, zoned, nulled, long, good] = [newId(), newId(), newId(), newId(), newId()];
  const answer = await post(port, [
    lineOf({}, unknown, 'other_event'),
    lineOf({}, zoned).replace('.000Z', '+00:00'),
    lineOf({ status: null }, nulled),
    lineOf({ operator_name: 'x'.repeat(20_000) }, long, 'task_instance').replace('"operator_name"', '"dbt_command"'),
    lineOf({ status: 'failed' }, good),
  ]);
  t.is(answer.status, 207);
  t.is(answer.headers['content-type'], 'application/json');
  t.deepEqual(errorsOf(answer), [
    { id: unknown, status: 404, reason: 'unknown_event' },
    { id: zoned, status: 400, reason: 'bad_time' },
    { id: nulled, status: 400, reason: 'null_value' },
  ]);
  const stored = await storedIn(rig, 2);
  t.deepEqual(
    stored.map((target) => (JSON.parse(target) as { id: string }).id),
    [long, good],
  );
  t.deepEqual(relay.stats().refusedBy, { unknown_event: 1, bad_time: 1, null_value: 1 });
  t.is(relay.stats().fieldsDropped, 1, 'a text that is too long costs its field');
  balanced(t, rig);
});

test('a line that no GET can carry is refused as too large, and a verbatim relay keeps what it can carry', async (t) => {
  const rig = await startRig(t, { verbatim: true });
  const { port } = rig;
  const [long, own] = [newId(), newId()];
  const answer = await post(port, [lineOf({ note: '\u00e9'.repeat(3000) }, long), lineOf({ note: '\u00e9', took: 7 }, own, 'acme_run')]);
  t.deepEqual([answer.status, errorsOf(answer)], [207, [{ id: long, status: 413, reason: 'too_large' }]]);
  t.deepEqual(await storedIn(rig, 1), [lineOf({ note: '\u00e9', took: 7 }, own, 'acme_run')]);
});

test('a line without an id refuses its batch, and nothing of it is stored', async (t) => {
  const { port, relay } = await startRig(t);
  const cases: [line: string, reason: string][] = [
    ['{"id":', 'not_json'],
    ['7', 'not_object'],
    ['{}', 'bad_id'],
    [lineOf({}, 'A19A2B3C-4D5E-7F60-8A9B-0C1D2E3F4A5B'), 'bad_id'],
    [`\u{feff}${lineOf()}`, 'not_json'],
  ];
  for (const [line, reason] of cases) {
    const answer = await post(port, [lineOf(), '', line, lineOf()]);
    t.deepEqual([answer.status, errorsOf(answer)], [400, [{ line: 3, status: 400, reason }]], line);
  }
  t.is(relay.stats().published, 0);
  t.deepEqual(relay.stats().refusedBy, { not_json: 2, not_object: 1, bad_id: 2 });
});

test('a body of a kilobyte has no answer of megabytes: the first 100 lines without an id are named', async (t) => {
  const { port, relay } = await startRig(t);
  const answer = await post(port, Buffer.from('{}\n'.repeat(300_000)), { gzip: true });
  const named = Array.from({ length: 100 }, (_, index) => ({ line: index + 1, status: 400, reason: 'bad_id' }));
  t.deepEqual([answer.status, errorsOf(answer)], [400, named]);
  t.deepEqual(relay.stats().refusedBy, { bad_id: 100 });
});

const headers = (more: Record<string, string>) => ({ headers: more });

test('an event that a batch has many times is named once for each reason', async (t) => {
  const { port, relay } = await startRig(t);
  const id = newId();
  const lines = [lineOf({}, id, 'other_event'), lineOf({ status: null }, id)];
  const answer = await post(
    port,
    Array.from({ length: 2000 }, (_, n) => lines[n % 2] ?? ''),
    { gzip: true },
  );
  t.deepEqual(errorsOf(answer), [
    { id, status: 404, reason: 'unknown_event' },
    { id, status: 400, reason: 'null_value' },
  ]);
  t.like(relay.stats().refusedBy, { unknown_event: 1000, null_value: 1000 });
});

test('a body of another kind, encoding or size is refused before it is read, and bad bytes are malformed', async (t) => {
  const { port, relay } = await startRig(t);
  const lines = bodyOf([lineOf()]);
  const cases: [Buffer, Parameters<typeof post>[2], number][] = [
    [lines, headers({ 'content-type': 'application/json' }), 415],
    [lines, headers({ 'content-type': 'text/plain' }), 415],
    [lines, headers({ 'content-type': '' }), 415],
    [lines, headers({ 'content-encoding': 'br' }), 415],
    [lines, headers({ 'content-encoding': 'gzip, gzip' }), 415],
    [lines, headers({ 'content-encoding': 'gzip' }), 400],
    [gzipSync(lines).subarray(0, -1), headers({ 'content-encoding': 'gzip' }), 400],
    [Buffer.concat([gzipSync(lines), Buffer.alloc(3)]), headers({ 'content-encoding': 'gzip' }), 400],
    [Buffer.concat([gzipSync(lines), Buffer.from('rest')]), headers({ 'content-encoding': 'gzip' }), 400],
    [Buffer.from([0x7b, 0xff, 0x7d]), {}, 400],
    [gzipSync(Buffer.alloc(MAX_BATCH_BYTES + 1, ' ')), headers({ 'content-encoding': 'gzip' }), 413],
    [lines, { method: 'PUT' }, 405],
    [lines, { path: '/v3/dag_run' }, 405],
    [lines, { path: `${BATCHES}?a=b` }, 405],
    [lines, { path: '/v3/events/' }, 405],
  ];
  for (const [body, options, status] of cases) t.is((await post(port, body, options)).status, status, JSON.stringify(options));
  t.is((await post(port, lines, { method: 'DELETE' })).headers['allow'], 'POST');
  const large = await exchange(
    port,
    requestOf(port, Buffer.alloc(0), [`Content-Length: ${MAX_BATCH_BYTES + 1}`])
      .toString('latin1')
      .replace('Content-Length: 0\r\n', ''),
  );
  t.deepEqual(statuses(large), [413]);
  const chunked = `POST ${BATCHES} HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\nContent-Type: application/x-ndjson\r\nTransfer-Encoding: chunked\r\n\r\n`;
  t.deepEqual(statuses(await exchange(port, `${chunked}200000\r\n${' '.repeat(0x200000)}`)), [413], 'counted as it comes');
  t.deepEqual(statuses(await exchange(port, `${chunked}zz\r\n`)), [400], 'broken chunks');
  t.is(relay.stats().published, 0);
});

test(proves('relay-browser', 'the guards of events guard batches, too'), async (t) => {
  const { port, get } = await startRig(t, { prefix: 'correct-horse-battery' });
  const body = bodyOf([lineOf()]);
  const path = `/correct-horse-battery${BATCHES}`;
  t.is((await post(port, body, { path })).status, 204);
  t.is((await post(port, body)).status, 405, 'without the prefix it is an unknown path like any other');
  t.is((await post(port, body, { path, headers: { host: 'evil.example' } })).status, 403);
  for (const name of ['origin', 'referer', 'sec-fetch-site', 'accept-language'])
    t.is((await post(port, body, { path, headers: { [name]: 'x' } })).status, 403, name);
  t.is((await post(port, body, { path, method: 'OPTIONS' })).status, 405, 'no page may ask');
  t.is((await get(path)).status, 404);
});

test(proves('relay-same-id', 'an event that comes again is accepted, counted, and not stored'), async (t) => {
  const collector = await startCollector();
  const rig = await startRig(t, { forward: collector.url });
  const { port, store, relay } = rig;
  const [first, second] = [lineOf({ status: 'success' }), lineOf({ status: 'failed' })];
  t.is((await post(port, [first, first])).status, 204);
  t.is((await post(port, [first, second])).status, 204);
  store().answer = 'memory';
  t.is((await post(port, [first, second])).status, 204, 'both are on disk');
  t.deepEqual([relay.stats().published, relay.stats().duplicates], [2, 4]);
  await collector.waitFor(2);
  t.is((await post(port, [first, second])).status, 204, 'both were sent');
  balanced(t, rig);
  await relay.close();
  t.is(collector.requests.length, 2);
  await collector.close();
});

test('an event that comes again while it is being stored waits for the same answer', async (t) => {
  const { port, store, relay } = await startRig(t);
  const line = lineOf();
  store().hold();
  const both = [post(port, [line]), post(port, [line])];
  await until(() => relay.stats().store.waiting === 0);
  store().answer = 'full';
  store().release();
  const answers = await Promise.all(both);
  t.deepEqual(
    answers.map(({ status }) => status),
    [503, 503],
  );
  t.deepEqual([relay.stats().published, relay.stats().duplicates], [0, 0]);
  store().answer = 'disk';
  t.is((await post(port, [line])).status, 204, 'what was refused is no duplicate');
  t.is(relay.stats().published, 1);
});

test('a store that is full, and the rate limit, refuse events of a batch or the whole of it', async (t) => {
  const { port, store, relay } = await startRig(t, { maxEventsPerSecond: 3 }, { machine: stillMachine });
  const ids = [newId(), newId(), newId(), newId()];
  const partly = await post(
    port,
    ids.map((id) => lineOf({}, id)),
  );
  t.deepEqual([partly.status, errorsOf(partly)], [207, [{ id: ids[3], status: 429, reason: 'rate_limited' }]]);
  const limited = await post(port, [lineOf()]);
  t.deepEqual([limited.status, limited.headers['retry-after']], [429, '1']);
  t.is(relay.stats().published, 3);
  const { port: other, store: otherStore } = await startRig(t);
  otherStore().answer = 'full';
  const full = await post(other, [lineOf(), lineOf()]);
  t.deepEqual([full.status, full.text, full.headers['retry-after']], [503, 'the spool is full\n', '10']);
  t.is(store().length + store().settled.length, 3);
});

test('a batch whose body does not end is answered 408, and leaves no room taken', async (t) => {
  const { port, relay, get } = await startRig(t, { requestTimeoutMs: 600, headersTimeoutMs: 600 });
  const begun = requestOf(port, bodyOf([lineOf()])).subarray(0, -10);
  t.deepEqual(statuses(await exchange(port, begun, 5000)), [408]);
  // One that goes away without an end.
  await new Promise<void>((resolve) => {
    const socket = connect(port, '127.0.0.1', () => socket.write(begun, () => socket.destroy()));
    socket.on('close', () => resolve());
  });
  t.is((await get('/healthz')).status, 200);
  t.is(relay.stats().published, 0);
});

test('opted out, a batch is discarded; a relay that closes refuses it', async (t) => {
  const env: Record<string, string> = { DO_NOT_TRACK: '1' };
  const { port, relay } = await startRig(t, { env });
  t.is((await post(port, [lineOf()])).status, 202);
  t.is(relay.stats().published, 0);
  const { port: other, relay: closing, store } = await startRig(t, { forward: 'http://127.0.0.1:9' });
  store().hold();
  let isStoring = false;
  const append = store().append.bind(store());
  store().append = (target) => {
    isStoring = true;
    return append(target);
  };
  const stored = post(other, [lineOf()]);
  await until(() => isStoring);
  const closed = closing.close({ deadlineMs: 100 });
  const refused = await post(other, [lineOf()]);
  t.is(refused.status, 503);
  store().release();
  t.true([204, 503].includes((await stored).status));
  await closed;
});
