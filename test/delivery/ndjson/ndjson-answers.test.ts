import { setImmediate as nextTurn } from 'node:timers/promises';
import test from 'ava';
import type { ExecutionContext } from 'ava';
import { ndjsonTransport } from '../../../src/delivery/ndjson/index.js';
import type { EventOutcome, SendOutcome, UsageEvent } from '../../../src/delivery/transport.js';
import { receiver, status } from '../../helpers/line-receiver.js';
import type { Answer } from '../../helpers/line-receiver.js';
import { proves } from '../../helpers/promises.js';

const events: readonly UsageEvent[] = Array.from({ length: 8 }, (_, n) => ({
  id: `019a0b3c-7d2e-7c41-9f0a-5b1d2e3f4a5${n}`,
  timeMs: 1_769_898_600_007,
  type: 'backfill',
  metrics: { n },
  requestTarget: () => '/v3/backfill',
  kindOf: () => 'count',
}));
const SENT: EventOutcome = { kind: 'sent' };
const UNTRIED: EventOutcome = { kind: 'deferred', waitMs: 0, reason: 'aborted' };
const refusedBy = (code: number): EventOutcome => ({ kind: 'rejected', reason: `http_${code}` });

function open(t: ExecutionContext, endpoint: string) {
  const transport = ndjsonTransport({ endpoint, env: {}, retries: 0 });
  t.teardown(() => transport.close?.());
  return transport;
}

async function outcomesOf(t: ExecutionContext, answer: Answer | Answer[], sent: readonly UsageEvent[] = events.slice(0, 2)) {
  const { url, requests } = await receiver(t, answer);
  const outcome = await open(t, url).send(sent, new AbortController().signal);
  return { outcomes: outcome.kind === 'partial' ? outcome.outcomes : sent.map(() => outcome), requests };
}

const named = `{"errors":[{"id":"${events[1]?.id}","status":400}]}`;

for (const [what, body] of [
  ['space before it', `\r\n ${named}`],
  ['a byte order mark', `\uFEFF${named}`],
  ['an id in upper case', named.replace(/019a[^"]+/, (id) => id.toUpperCase())],
] as const) {
  test(proves('lines-each-event', `an answer names an event also with ${what}`), async (t) => {
    for (const code of [200, 207]) t.deepEqual((await outcomesOf(t, status(code, {}, body))).outcomes, [SENT, refusedBy(400)]);
  });
}

test('an event that one answer both refuses and accepts is tried again, since its line has an id', async (t) => {
  for (const codes of [
    [400, 200],
    [200, 400, 200],
    [400, undefined],
  ]) {
    const errors = [
      ...codes.map((code) => ({ id: events[0]?.id, status: code })),
      { id: events[1]?.id, status: 400 },
      { id: events[1]?.id, status: 400 },
    ];
    const { outcomes, requests } = await outcomesOf(t, [status(207, {}, JSON.stringify({ errors })), status(200)], events.slice(0, 3));
    t.deepEqual(outcomes, [{ kind: 'retryable', reason: 'contradicted' }, refusedBy(400), SENT], JSON.stringify(codes));
    t.is(requests.length, 1);
  }
});

test('the status of an entry may be a text', async (t) => {
  const errors = ['503', '400', '', 'bad'].map((code, n) => ({ id: events[n]?.id, status: code }));
  const { outcomes } = await outcomesOf(t, status(207, {}, JSON.stringify({ errors })), events.slice(0, 4));
  const refused: EventOutcome = { kind: 'rejected', reason: 'not_accepted' };
  t.deepEqual(outcomes, [{ kind: 'retryable', reason: 'http_503' }, refusedBy(400), refused, refused]);
});

test('an id in two spellings is one event', async (t) => {
  const other = named.replace(/019a[^"]+/, (id) => id.toUpperCase()).replace('400', '200');
  const body = `{"errors":[${[named, other].map((each) => each.slice(11, -2)).join()}]}`;
  t.deepEqual((await outcomesOf(t, status(207, {}, body))).outcomes, [SENT, { kind: 'retryable', reason: 'contradicted' }]);
});

test('a 207 whose errors name no event of the batch says nothing: it is tried again', async (t) => {
  for (const errors of [
    [{ line: 2, status: 400 }],
    [null],
    [7, 'x'],
    [{ id: 7, status: 400 }],
    [{ id: 'of another batch', status: 400 }],
  ]) {
    const body = JSON.stringify({ errors });
    const unknown: EventOutcome = { kind: 'retryable', reason: 'http_207' };
    t.deepEqual((await outcomesOf(t, status(207, {}, body))).outcomes, [unknown, unknown], body);
    t.deepEqual((await outcomesOf(t, status(200, {}, body))).outcomes, [SENT, SENT], body);
  }
});

test.serial('what `Object.prototype` holds is in no entry', async (t) => {
  const { url } = await receiver(t, status(207, {}, JSON.stringify({ errors: [{ id: events[0]?.id }, {}] })));
  let sent: Promise<SendOutcome>;
  Object.assign(Object.prototype, { id: events[1]?.id, status: 200 });
  try {
    sent = open(t, url).send(events.slice(0, 2), new AbortController().signal);
    await sent;
  } finally {
    Reflect.deleteProperty(Object.prototype, 'id');
    Reflect.deleteProperty(Object.prototype, 'status');
  }
  t.deepEqual(await sent, { kind: 'partial', outcomes: [{ kind: 'rejected', reason: 'not_accepted' }, SENT] });
});

const small =
  (rest: Answer): Answer =>
  (request, response) =>
    request.lines.length > 2 ? void response.writeHead(413).end() : rest(request, response);
const has = (n: number): ((request: { lines: readonly string[] }) => boolean) => {
  return ({ lines }) => lines.some((line) => line.endsWith(`"n":${n}}`));
};

test(proves('lines-each-event', 'a part of a batch that is refused costs no other part'), async (t) => {
  for (const code of [400, 401]) {
    const answer = small((request, response) => void response.writeHead(has(2)(request) ? code : 200).end());
    const { outcomes, requests } = await outcomesOf(t, answer, events);
    t.deepEqual(outcomes, [SENT, SENT, refusedBy(code), refusedBy(code), SENT, SENT, SENT, SENT]);
    t.is(requests.length, 2 + 4);
  }
});

test('what follows a part without a final answer was not tried, and goes back', async (t) => {
  for (const [answer, outcome] of [
    [status(503), { kind: 'retryable', reason: 'http_503' }],
    [status(429, { 'retry-after': '7' }), { kind: 'deferred', waitMs: 7000, reason: 'http_429' }],
    [(_request, response) => void response.destroy(), { kind: 'retryable', reason: 'network', cause: 'reset' }],
  ] as [Answer, EventOutcome][]) {
    const { outcomes, requests } = await outcomesOf(
      t,
      small((request, response) => (has(2)(request) ? answer : status(200))(request, response)),
      events,
    );
    t.deepEqual(outcomes, [SENT, SENT, outcome, outcome, UNTRIED, UNTRIED, UNTRIED, UNTRIED]);
    t.is(requests.length, 2 + 2);
  }
});

test('an abort while a part of a batch is under way leaves each event with what became of it', async (t) => {
  const controller = new AbortController();
  const { url } = await receiver(
    t,
    small((request, response) => void (has(2)(request) ? controller.abort() : response.writeHead(200).end())),
  );
  const aborted: EventOutcome = { kind: 'aborted' };
  t.deepEqual(await open(t, url).send(events, controller.signal), {
    kind: 'partial',
    outcomes: [SENT, SENT, aborted, aborted, UNTRIED, UNTRIED, UNTRIED, UNTRIED],
  });
});

async function headersOfABusyHost() {
  await nextTurn();
  for (const startedAtMs = performance.now(); performance.now() - startedAtMs < 1300; );
  await nextTurn();
  return { 'x-key': '7' };
}

// Alone, since it keeps the whole process busy.
test.serial('time in which the host is busy does not count for the function that gives headers', async (t) => {
  const { url, requests } = await receiver(t);
  const transport = ndjsonTransport({ endpoint: url, headers: headersOfABusyHost, attemptTimeoutMs: 1000, env: {}, retries: 0 });
  t.teardown(() => transport.close?.());
  t.deepEqual(await transport.send(events, new AbortController().signal), SENT);
  t.is(requests[0]?.headers['x-key'], '7');
});
