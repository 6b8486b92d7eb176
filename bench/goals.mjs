// The goals and the measured figures. Met or missed is computed, never written by hand.
import { RIVALS } from './adapters/index.mjs';
import { besideOf } from './harness/runner.mjs';
import { figure, table } from './harness/table.mjs';
import { LINES, OTEL } from './scenarios/ndjson.mjs';
import { UNASKED } from './scenarios/deferred.mjs';
import { DEADLINE_MS } from './scenarios/drain.mjs';
import { AWAY, BARE, SENDING } from './scenarios/relay-answers.mjs';
import { SPOOL } from './scenarios/relay-forward.mjs';
import { EMPTY, FULL } from './scenarios/relay-memory.mjs';

const FOUR = 'eventemitter3, p-queue, p-retry, node-fetch';
const EXIT_DEADLINE_MS = 250;
const SLACK_MS = 50;

/** @param shown the limit: a number, or a fraction as a string, which the table shows unchanged */
const atMost = (shown, unit = 'x') => {
  const [above, below = 1] = String(shown).split('/').map(Number);
  const limit = above / below;
  return { limit, shown, unit, isMet: (value) => value <= limit, sign: '<=' };
};
const atLeast = (limit, unit = 'x') => ({ limit, shown: limit, unit, isMet: (value) => value >= limit, sign: '>=' });

const publishGoals = (found) => {
  const ratio = (row, other) => found.ratio('publish', row, other, 'nsPerCall')?.median ?? null;
  const cheaper = (row, others) => inverse(found.ratioToLowest('publish', row, others, 'nsPerCall')?.median);
  return [
    ['publish, to the floor: emit, copy, ring', atMost(1.4), ratio('ours: publish', 'floor: emit, copy, ring')],
    ['publish, cheaper than p-queue add(no-op)', atLeast(4), cheaper('ours: publish', ['p-queue add'])],
    ['publish, cheaper than the cheapest rival', atLeast(25), cheaper('ours: publish', RIVALS)],
    [
      'host event task_instance, to the floor: emit, copy, ring',
      atMost(4),
      ratio('ours: host event, task_instance', 'floor: emit, copy, ring'),
    ],
    [
      'host event dag_run of 10 tasks, to the floor: emit, copy, ring',
      atMost(3),
      ratio('ours: host event, dag_run of 10 tasks', 'floor: emit, copy, ring'),
    ],
    ['host event through its listener, cheaper than the cheapest rival', atLeast(4), cheaper('ours: host event, task_instance', RIVALS)],
    [
      'dag_run of 10,000 tasks, to a dag_run of 10, the same DAG object',
      atMost(1.5),
      ratio('ours: host event, dag_run of 10,000 tasks', 'ours: host event, dag_run of 10 tasks'),
    ],
    ['host event after an opt-out, to a bare emit', atMost(2), ratio('ours: host event, opted out', 'eventemitter3 emit, one listener')],
    [
      'publish with 1,000,000 waiting, to 1,000 waiting',
      atMost(2),
      ratio('ours: publish, 1,000,000 waiting', 'ours: publish, 1,000 waiting'),
    ],
  ];
};

const loopGoals = (found) => [
  ['a million events in one turn: longest stretch without a turn', atMost(15, 'ms'), found.median('loop', 'ours', 'longestMs')],
  ["a million events in one turn: p99 of the loop's delay", atMost(5, 'ms'), found.median('loop', 'ours', 'p99Ms')],
];

const deferredGoals = (found) => [
  [
    'all the work of an event, no-op transport, to naive',
    atMost('1/20'),
    found.ratio('deferred', 'ours', 'naive', 'nsPerEvent')?.median ?? null,
  ],
  ['events encoded for a transport that asks for no target', atMost(0, '%'), highest(found.list('deferred', UNASKED, 'encodedPercent'))],
  [
    'encoding, to URLSearchParams',
    atMost(0.5),
    found.ratio('encoding', 'ours: check and encode', 'URLSearchParams', 'nsPerEvent')?.median ?? null,
  ],
];

const linesGoals = (found) => {
  const ratio = (value) => found.ratio('ndjson', LINES, OTEL, value)?.median ?? null;
  return [
    ["lines: events/s, to OpenTelemetry's logs", atLeast(2.5), ratio('eventsPerS')],
    ["lines: processor time per event, to OpenTelemetry's logs", atMost(0.4), ratio('cpuUsPerEvent')],
  ];
};

const deliveryGoals = (found) => [
  ...[4, 16, 64].flatMap((concurrency) => {
    const ratio = (other, value) => found.ratio('delivery', 'ours', other, value, `c = ${concurrency}`)?.median ?? null;
    return [
      [`events/s at c = ${concurrency}, to a bare node-fetch loop`, atLeast(0.95), ratio('node-fetch loop', 'eventsPerS')],
      [`events/s at c = ${concurrency}, to naive`, atLeast(1.3), ratio('naive', 'eventsPerS')],
      [`processor time per event at c = ${concurrency}, to naive`, atMost(0.8), ratio('naive', 'cpuUsPerEvent')],
    ];
  }),
  ...[4, 16].map((concurrency) => {
    const perS = found.median('delivery', 'ours', 'eventsPerS', `c = ${concurrency}, 20 ms`);
    return [
      `events/s at c = ${concurrency} and 20 ms, of c / round trip`,
      atLeast(0.9),
      perS === null ? null : perS / (concurrency / 0.02),
    ];
  }),
  ['a burst of 10,000: delivered', atLeast(100, '%'), lowest(found.list('burst', 'ours', 'deliveredPercent'))],
  ['a burst of 10,000: sockets, at a concurrency of 6', atMost(6, 'sockets'), highest(found.list('burst', 'ours', 'sockets'))],
];

const memoryGoals = (found) => {
  const ratio = (row, other, column) => found.ratio('memory', row, other, 'bytesPerEvent', column)?.median ?? null;
  const kept = (count) => (found.median('memory', 'ours, default bound', 'bytesPerEvent', count.toLocaleString('en-US')) ?? NaN) * count;
  return [
    ...['100,000', '1,000,000'].flatMap((column) => [
      [`memory of a waiting event, of ${column}, to a plain object`, atMost(1.15), ratio('ours', 'plain objects in a list', column)],
      [`memory of a waiting event, of ${column}, to naive`, atMost('1/6'), ratio('ours', 'naive', column)],
    ]),
    ['kept after 1,000,000 events at the default bound, to 100,000', atMost(1.1), finite(kept(1_000_000) / kept(100_000))],
    [
      'a million events, endpoint that does not answer: heap growth',
      atMost(5, 'MiB'),
      highest(found.list('million', 'ours', 'heapGrowthMiB')),
    ],
    [
      'a million events, endpoint that does not answer: resident growth',
      atMost(30, 'MiB'),
      highest(found.list('million', 'ours', 'residentGrowthMiB')),
    ],
  ];
};

const importGoals = (found) =>
  ['ours: import', 'ours: import, construction, opted out'].flatMap((row) => [
    [`${row}, to the four libraries`, atMost(0.45), found.ratio('import', row, FOUR, 'ms')?.median ?? null],
    [
      `${row}, to the fastest rival`,
      atMost('1/3'),
      found.ratioToLowest(
        'import',
        row,
        RIVALS.map((rival) => `${rival}: import`),
        'ms',
      )?.median ?? null,
    ],
  ]);

const exitGoals = (found) => {
  const exitMs = (column) => highest(found.list('exit', 'ours', 'exitMs', column));
  const codes = found.columns('exit').flatMap((column) => found.list('exit', 'ours', 'exitCode', column));
  return [
    ['close(), connections refused: process ends after', atMost(150, 'ms'), exitMs('refuses connections, close')],
    ['close(), endpoint that does not answer: process ends after', atMost(DEADLINE_MS + SLACK_MS, 'ms'), exitMs('says nothing, close')],
    [
      'no close(), connections refused: process ends after',
      atMost(EXIT_DEADLINE_MS + SLACK_MS, 'ms'),
      exitMs('refuses connections, no close'),
    ],
    [
      'no close(), endpoint that does not answer: process ends after',
      atMost(EXIT_DEADLINE_MS + SLACK_MS, 'ms'),
      exitMs('says nothing, no close'),
    ],
    ['exit code, whatever the endpoint does', atMost(0, ''), codes.length === 0 ? null : Math.max(...codes.map((code) => code ?? 1))],
    [
      'no close(), endpoint answers: delivered',
      atLeast(100, '%'),
      lowest(found.list('exit', 'ours', 'deliveredPercent', 'answers, no close')),
    ],
  ];
};

const relayGoals = (found) => {
  const answers = [AWAY, SENDING].flatMap((row) => found.ratio('relay-answers', row, BARE, 'answersPerS')?.median ?? []);
  const resident = (row) => found.median('relay-memory', row, 'residentMiB') ?? NaN;
  return [
    ['relay, full spool of 64 MiB: resident above an empty one', atMost(48, 'MiB'), finite(resident(FULL) - resident(EMPTY))],
    ['relay, full spool of 64 MiB: start until ready', atMost(1000, 'ms'), found.median('relay-memory', FULL, 'startMs')],
    ['relay, answers/s of 64 connections, to a bare server of node:http', atLeast(0.75), lowest(answers)],
    [
      'relay, processor time of a forwarded event, to the build beside it',
      atMost(0.7),
      found.ratioAcross(['relay-forward', besideOf('relay-forward')], SPOOL, 'cpuUsPerEvent')?.median ?? null,
    ],
  ];
};

/** @returns every goal with its measured figure; `isMet` is null without a figure */
export function judgeGoals(found) {
  const groups = [publishGoals, loopGoals, deferredGoals, deliveryGoals, linesGoals, memoryGoals, importGoals, exitGoals, relayGoals];
  return groups
    .flatMap((goals) => goals(found))
    .map(([goal, { limit, shown, unit, isMet, sign }, measured]) => ({
      goal,
      limit,
      shown,
      unit,
      sign,
      measured,
      isMet: measured === null ? null : isMet(measured),
    }));
}

export function goalsTable(found) {
  const rows = judgeGoals(found).map(({ goal, shown, unit, sign, measured, isMet }) => [
    goal,
    `${sign} ${amount(shown, unit)}`,
    measured === null ? 'not measured' : amount(measured, unit),
    isMet === null ? '-' : isMet ? 'met' : '**missed**',
  ]);
  return table(['Goal', 'Limit', 'Measured', ''], rows);
}

const amount = (value, unit) => (typeof value === 'string' ? value : figure(value)) + (unit === '' || unit === 'x' ? unit : ` ${unit}`);
const inverse = (value) => (value === undefined || value === 0 ? null : 1 / value);
const finite = (value) => (Number.isFinite(value) ? value : null);
const highest = (values) => (values.length === 0 ? null : Math.max(...values));
const lowest = (values) => (values.length === 0 ? null : Math.min(...values));
