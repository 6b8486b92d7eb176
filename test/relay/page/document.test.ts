// What the page says, as HTML.
import { createHash } from 'node:crypto';
import { Script } from 'node:vm';
import test from 'ava';
import { sizeWords } from '../../../src/base/describe.js';
import { documentOf, PAGE_HEADERS } from '../../../src/relay/page/document.js';
import { count, html } from '../../../src/relay/page/html.js';
import { partsOf } from '../../../src/relay/page/parts.js';
import { SCRIPT } from '../../../src/relay/page/script.js';
import { STYLE } from '../../../src/relay/page/style.js';
import type { RelayStatus } from '../../../src/relay/status.js';
import { aStatus } from '../helpers/statuses.js';

/** The text of HTML, as a person reads it: one line an element. */
function textOf(source: string): string {
  return source
    .replace(/<[^>]*>/g, '\n')
    .replace(/\n+/g, '\n')
    .trim();
}

function part(name: string, status: Partial<RelayStatus>, events?: Parameters<typeof partsOf>[0]['events']): string {
  const parts: ReadonlyMap<string, string> = partsOf({ status: aStatus(status), events });
  return parts.get(name) ?? 'missing';
}

test('each state has its word, its sign and its colour, and tells why nothing is delivered', (t) => {
  const words: Record<RelayStatus['state'], string> = {
    starting: '<span class="calm"><span aria-hidden="true">■</span> Starting</span>',
    delivering: '<span class="good"><span aria-hidden="true">●</span> Delivering</span>',
    idle: '<span class="good"><span aria-hidden="true">●</span> Idle</span>',
    waiting:
      '<span class="bad"><span aria-hidden="true">▲</span> Waiting</span><span class="unseen">: the endpoint refuses connections (refused)</span>',
    paused:
      '<span class="bad"><span aria-hidden="true">▲</span> Paused</span><span class="unseen">: the endpoint answers with status 403 (http_403)</span>',
    undecided: '<span class="bad"><span aria-hidden="true">▲</span> Undecided</span>',
    opted_out: '<span class="calm"><span aria-hidden="true">■</span> Opted out</span>',
    debug: '<span class="calm"><span aria-hidden="true">■</span> Debug mode</span>',
    closing: '<span class="calm"><span aria-hidden="true">■</span> Closing</span>',
  };
  for (const [state, source] of Object.entries(words)) {
    const cause = state === 'paused' ? 'http_403' : 'refused';
    const status = { state: state as RelayStatus['state'], cause };
    t.is(part('state', status), source);
    t.regex(
      documentOf({ status: aStatus(status), events: undefined }),
      new RegExp(`<title>${words[status.state].match(/[A-Z][a-z ]+/)?.[0]} - relay</title>`),
    );
  }
});

test('the facts: endpoint, last success, last failure with its cause, what waits, uptime and version', (t) => {
  const facts = part('facts', {
    forwardKind: 'ndjson',
    lastSuccessAt: '2026-01-02T04:58:20.000Z',
    lastFailure: { at: '2026-01-01T05:00:00.000Z', cause: 'no_address' },
    pending: 1234,
    oldestAgeMs: 65_000,
  });
  t.is(
    textOf(facts),
    [
      'Endpoint\nhttps://telemetry.acme.example/up\n, in batches of NDJSON',
      'Last success\n04:58:20 UTC\n, 1 min ago',
      'Last failure\n2026-01-01 05:00:00 UTC\n, 24 h ago: the name of the endpoint has no address (no_address)',
      'Waiting events\n1,234, the oldest for 1 min',
      'Running\nfor 2 h, since \n03:00:00 UTC',
      'Version\n1.2.3',
    ].join('\n'),
  );
  t.regex(
    textOf(part('facts', { dagFactoryEndpoint: 'https://dags.acme.example' })),
    /one GET an event\nOf DAG Factory\nhttps:\/\/dags\.acme\.example\n, one GET an event\nLast success/,
  );
  t.regex(textOf(part('facts', {})), /Last success\nnone yet\nLast failure\nnone\nWaiting events\n0\n/);
  t.regex(
    textOf(part('facts', { optedOutBy: 'DO_NOT_TRACK=1 in the environment' })),
    /\nOpted out by\nDO_NOT_TRACK=1 in the environment\n/,
  );
});

test('the spool is a bar with its share in words', (t) => {
  const bar = part('spool', { spool: { kind: 'disk', bytes: 900, maxBytes: 1000, isDurable: true } });
  t.regex(bar, /role="img" aria-label="900 B of 1000 B, 90%"/);
  t.regex(bar, /<rect class="bad" width="180" height="10"\/>/);
  t.is(textOf(bar), '900 B of 1000 B, 90%. Events are on disk.');
  t.regex(
    part('spool', { spool: { kind: 'disk', bytes: 800, maxBytes: 1000, isDurable: false } }),
    /class="good" width="160"[^]*in memory only\./,
  );
  t.is(
    textOf(part('spool', { spool: { kind: 'memory', bytes: 0, maxBytes: undefined, isDurable: false } })),
    'Events are in memory only: there is no spool.',
  );
  t.is(
    textOf(part('spool', { spool: { kind: 'queue', bytes: 0, maxBytes: undefined, isDurable: true } })),
    'Events are in a queue that keeps them on disk.',
  );
  const spool = { kind: 'disk', bytes: 0, maxBytes: 1000, isDurable: false } as const;
  t.is(textOf(part('spool', { state: 'opted_out', spool })), 'No event is stored.');
  t.is(textOf(part('spool', { state: 'starting', spool })), 'The store is not open yet.');
});

test('a state without a failure tells of none', (t) => {
  t.notRegex(part('state', { state: 'waiting', cause: undefined }), /failed/);
  t.regex(part('state', { state: 'waiting', cause: 'refused' }), /refuses connections/);
});

test('totals, reasons and answers have words and numbers', (t) => {
  const totals = { accepted: 1_234_567, sent: 1_234_000, failed: 3, dropped: 2, duplicates: 0, recovered: 9, maybeSentTwice: 0 };
  t.is(
    textOf(part('totals', { totals, pending: 562 })),
    'Accepted\n1,234,567\nSent\n1,234,000\nWaiting\n562\nFailed\n3\nDropped\n2\nLeft by an earlier process\n9',
  );
  const reasons = part('reasons', {
    failedBy: { http_404: 3 },
    droppedBy: { expired: 2, debug: 4, of_a_later_version: 6 },
    refusedBy: { unknown_event: 1, null_value: 7 },
    attemptsFailedBy: { tls: 5 },
  });
  for (const row of [
    'Failed\nthe endpoint answers with status 404 (http_404)\n3',
    'Dropped\nolder than the longest time that an event may wait (expired)\n2',
    'Refused of a batch\nno declared event (unknown_event)\n1',
    'Refused of a batch\na value that is null (null_value)\n7',
    'Dropped\nwritten down instead of sent: debug mode is on (debug)\n4',
    'Dropped\nof_a_later_version\n6',
    'Attempt failed\nTLS with the endpoint fails (tls)\n5',
  ])
    t.true(textOf(reasons).includes(row), row);
  t.is(textOf(part('reasons', {})), 'No event failed, and none was dropped or refused.');
  t.regex(textOf(part('answers', { answers: { 204: 1000, 299: 1 } })), /\n204\nevent on disk\n1,000\n299\nanother answer\n1$/);
});

const minute = (at: string, accepted: number, sent: number, failed = 0, dropped = 0) => ({ at, accepted, sent, failed, dropped });

test('the chart has a bar for each minute that accepted something, a line for what was sent, and the same numbers in a table', (t) => {
  const minutes = [
    minute('2026-01-02T04:59:00.000Z', 100, 0),
    minute('2026-01-02T05:00:00.000Z', 0, 1_000_000, 1),
    minute('2026-01-02T05:01:00.000Z', 5, 5, 0, 7),
  ];
  const chart = part('chart', { minutes });
  t.is(chart.match(/<rect class="accepted"/g)?.length, 2);
  // What is small beside a million is seen, too.
  t.is(chart.match(/<rect class="failed"[^>]* height="3"\/>/g)?.length, 1);
  t.is(chart.match(/<rect class="dropped"/g)?.length, 1);
  t.is(chart.match(/<polyline class="sent" points="([^"]*)"/)?.[1]?.split(' ').length, 6);
  t.regex(chart, /role="img" aria-labelledby="chart-title chart-desc"><title id="chart-title">/);
  t.regex(chart, /<desc id="chart-desc">In the last 3 minutes 105 events were accepted, 1,000,005 sent, 1 failed, 7 dropped\./);
  t.deepEqual(
    [...chart.matchAll(/text-anchor="(?:end|middle)">([^<]*)</g)].map(([, text]) => text),
    ['0', '500,000', '1,000,000', '05:00'],
  );
  const rows = textOf(part('minutes', { minutes })).split('\n');
  t.deepEqual(rows.slice(0, 10), ['Minute, UTC', 'Accepted', 'Sent', 'Failed', 'Dropped', '05:01', '5', '5', '0', '7']);
  t.is(rows.length, 20);
});

test('a chart without events and one with more minutes than it has room for are drawn, too', (t) => {
  t.notRegex(part('chart', { minutes: [] }), /NaN|Infinity/);
  const many = Array.from({ length: 90 }, (_, index) => minute(new Date(index * 60_000).toISOString(), 1, 1));
  const chart = part('chart', { minutes: many });
  t.notRegex(chart, /NaN|Infinity|x="-/);
  t.is(chart.match(/<rect class="accepted"/g)?.length, 61);
});

const HOSTILE = `"><img src=x onerror='alert(1)'>&amp;</script></style>\u{202e}\u{0}`;
const ESCAPED = '&quot;&gt;&lt;img src=x onerror=&#39;alert(1)&#39;&gt;&amp;amp;&lt;/script&gt;&lt;/style&gt;\\u{202e}\\u{0}';

test('texts of strangers are text, wherever they are', (t) => {
  const hostile = {
    version: HOSTILE,
    sentence: HOSTILE,
    endpoint: HOSTILE,
    optedOutBy: HOSTILE,
    warnings: [HOSTILE],
    state: 'opted_out' as const,
    failedBy: { [HOSTILE]: 1 },
    answers: { [HOSTILE]: 1 },
    lastFailure: { at: HOSTILE, cause: HOSTILE },
  };
  const event = {
    id: 1,
    at: '2026-01-02T05:00:00.000Z',
    type: HOSTILE,
    fate: { kind: 'dropped' as const, reason: HOSTILE },
    fields: [{ name: HOSTILE, value: HOSTILE, meaning: undefined }],
    lost: [{ name: HOSTILE, why: 'undeclared' as const }],
  };
  const page = documentOf({ status: aStatus(hostile), events: [event] });
  t.false(page.includes('<img'));
  t.false(page.includes('\u{202e}'));
  t.is(page.match(/<script>/g)?.length, 1);
  t.is(page.match(/<\/script>/g)?.length, 1);
  t.is(page.split(ESCAPED).length - 1, page.split('onerror=').length - 1);
  t.true(page.split(ESCAPED).length > 12);
  t.is(html`<a title="${HOSTILE}">${[html`${HOSTILE}`]}</a>`.source, `<a title="${ESCAPED}">${ESCAPED}</a>`);
});

test('an event is shown field by field, with the meaning of each field and the reason of its end', (t) => {
  const event = {
    id: 7,
    at: '2026-01-02T04:00:00.000Z',
    type: 'dag_run',
    fate: { kind: 'failed' as const, reason: 'http_404' },
    fields: [
      { name: 'status', value: 'success', meaning: 'How it ended.' },
      { name: 'other', value: '', meaning: undefined },
    ],
    lost: [
      { name: 'new', why: 'undeclared' as const },
      { name: 'task_count', why: 'ill_typed' as const },
    ],
  };
  t.is(
    textOf(part('events', {}, [event])),
    [
      'dag_run\n \n04:00:00 UTC\n \nfailed\n: the endpoint answers with status 404 (http_404)',
      'status\nsuccess\nHow it ended.',
      'other\nNot a declared field.',
      'new\nNot forwarded: it is not declared.',
      'task_count\nNot forwarded: its value is not of the declared kind.',
    ].join('\n'),
  );
  t.is(textOf(part('events', {}, [])), 'No event yet.');
  t.is(part('events', {}), 'missing');
  t.notRegex(documentOf({ status: aStatus(), events: undefined }), /The last events|id="events"/);
  t.regex(documentOf({ status: aStatus(), events: [] }), /<h2 id="events-heading">The last events<\/h2>/);
});

function headers(): Record<string, string> {
  return Object.fromEntries(PAGE_HEADERS.flatMap((name, index) => (index % 2 === 0 ? [[name, PAGE_HEADERS[index + 1] ?? '']] : [])));
}

function hash(text: string): string {
  return `'sha256-${createHash('sha256').update(text).digest('base64')}'`;
}

test('the policy allows what is in the page by its hash, its stream, and nothing else', (t) => {
  t.deepEqual(headers()['content-security-policy']?.split('; '), [
    "default-src 'none'",
    `script-src ${hash(SCRIPT)}`,
    `style-src ${hash(STYLE)}`,
    'img-src data:',
    "connect-src 'self'",
    "frame-ancestors 'none'",
    "base-uri 'none'",
    "form-action 'none'",
  ]);
  t.like(headers(), {
    'cache-control': 'no-store',
    'cross-origin-resource-policy': 'same-origin',
    'referrer-policy': 'no-referrer',
    'x-content-type-options': 'nosniff',
  });
  const page = documentOf({ status: aStatus(), events: [] });
  t.is(page.match(/<script>([^]*?)<\/script>/)?.[1], SCRIPT);
  t.is(page.match(/<style>([^]*?)<\/style>/)?.[1], STYLE);
  // The policy has no hash for these.
  t.notRegex(page, /\sstyle=|\son[a-z]+=|<script [^]*?>|javascript:/);
  t.notRegex(page, /(?:src|href|action)="(?!data:)/);
  t.notThrows(() => new Script(SCRIPT));
});

test('without scripts it loads again, and it has landmarks, headings and one region that is said aloud when the state changes', (t) => {
  const page = documentOf({ status: aStatus(), events: [] });
  t.regex(page, /<noscript><meta http-equiv="refresh" content="5"><\/noscript>/);
  t.regex(page, /<html lang="en">/);
  for (const landmark of ['header', 'main', 'footer']) t.is(page.match(new RegExp(`<${landmark}>`, 'g'))?.length, 1, landmark);
  t.is(page.match(/<h1>/g)?.length, 1);
  const labels = [...page.matchAll(/<section[^>]* aria-labelledby="([^"]+)"/g)].map(([, id]) => id);
  t.is(labels.length, page.match(/<section/g)?.length ?? 0);
  for (const id of labels) t.true(page.includes(`<h2 id="${id}"`), id);
  t.deepEqual(
    [...page.matchAll(/<p id="([^"]+)"[^>]* role="status"/g)].map(([, id]) => id),
    ['state', 'link'],
  );
  t.notRegex(page, /aria-live/);
});

test.serial('nothing of the page is taken from a polluted Object.prototype', (t) => {
  const event = {
    id: 1,
    at: '2026-01-02T05:00:00.000Z',
    type: 'dag_run',
    fate: { kind: 'sent', reason: undefined },
    fields: [],
    lost: [],
  } as const;
  const fields = [{ name: 'status', value: 'success', meaning: undefined }];
  const status = aStatus({ minutes: [minute('2026-01-02T05:00:00.000Z', 1, 1)], answers: { 204: 1 }, warnings: ['full'] });
  const draw = () => documentOf({ status, events: [event, { ...event, id: 2, fields }] });
  const usual = draw();
  for (const name of ['return', 'next', 'value', 'get', 'reason', 'meaning', 'source', 'flags', 'raw', '0', '1', '2']) {
    try {
      // oxlint-disable-next-line eslint/no-extend-native -- this is the pollution
      Object.defineProperty(Object.prototype, name, { value: 1, configurable: true, writable: true, enumerable: true });
      t.is(draw(), usual, name);
    } finally {
      Reflect.deleteProperty(Object.prototype, name);
    }
  }
});

test('numbers and sizes', (t) => {
  t.deepEqual([0, 999, 1000, 1_234_567].map(count), ['0', '999', '1,000', '1,234,567']);
  t.deepEqual([0, 1023, 1024, 67_108_864, 1024 ** 5].map(sizeWords), ['0 B', '1023 B', '1.0 KiB', '64.0 MiB', '1024.0 TiB']);
});

function fateWords(text: string): readonly string[] | null {
  return text.match(/(?:waiting|sent)<\/span>[^<]*/g);
}

test('an event in a queue that relays share may have been taken by another one', (t) => {
  const events: Parameters<typeof partsOf>[0]['events'] = [
    { id: 1, at: '2026-01-02T05:00:00.000Z', type: 'dag_run', fate: { kind: 'waiting', reason: undefined }, fields: [], lost: [] },
    { id: 2, at: '2026-01-02T05:00:00.000Z', type: 'dag_run', fate: { kind: 'sent', reason: undefined }, fields: [], lost: [] },
  ];
  const spool = { kind: 'queue', bytes: 0, maxBytes: undefined, isDurable: true } as const;
  t.deepEqual(fateWords(part('events', { spool }, events)), [
    'waiting</span>, unless another relay of the queue has taken it',
    'sent</span>',
  ]);
  t.deepEqual(fateWords(part('events', { spool: { ...spool, kind: 'disk' } }, events)), ['waiting</span>', 'sent</span>']);
});
