// One table for each scenario, from the cells of a run.
import { besideOf } from './harness/runner.mjs';
import { CAP_MS } from './scenarios/exit.mjs';
import { BARE } from './scenarios/relay-answers.mjs';
import { figure, table, withSpread } from './harness/table.mjs';

/** The row that the other rows are compared with, for scenarios that have one. */
const BASE = {
  publish: 'floor: emit, copy, ring',
  deferred: 'naive',
  encoding: 'URLSearchParams',
  import: 'eventemitter3, p-queue, p-retry, node-fetch',
  'relay-answers': BARE,
};

/** Rows with their values and, if the scenario has a base, the ratio to it within each round. */
function listed(found, scenario, values) {
  const base = BASE[scenario];
  const [, first] = values[0];
  const head = ['', ...values.map(([title]) => title), ...(base === undefined ? [] : [`x ${base}`])];
  const rows = found
    .rows(scenario)
    .map((row) => [
      row,
      ...values.map(([, value]) => withSpread(found.spread(scenario, row, value))),
      ...(base === undefined ? [] : [withSpread(found.ratio(scenario, row, base, first))]),
    ]);
  return table(head, rows);
}

/** One value, rows by columns. */
function crossed(found, scenario, { columns = found.columns(scenario), rows = found.rows(scenario), cell }) {
  return table(
    ['', ...columns],
    rows.map((row) => [row, ...columns.map((column) => cell(row, column))]),
  );
}

const medians = (found, scenario, value) => (row, column) => figure(found.median(scenario, row, value, column));

function delivery(found) {
  const at = (filter) => found.columns('delivery').filter(filter);
  const ratio = (row, column) => {
    const { median } = found.ratio('delivery', row, 'node-fetch loop', 'eventsPerS', column) ?? {};
    return median === undefined ? '' : ` (${figure(median)}x)`;
  };
  const speed = (row, column) => {
    const perS = found.median('delivery', row, 'eventsPerS', column);
    return perS === null ? '-' : `${figure(perS)}${ratio(row, column)}`;
  };
  const byRequest = found
    .rows('delivery')
    .filter((row) =>
      at((column) => column.startsWith('c =')).some((column) => found.median('delivery', row, 'eventsPerS', column) !== null),
    );
  const atOnce = at((column) => column.startsWith('c =') && !column.includes('ms'));
  const delayed = at((column) => column.includes('ms'));
  const batched = at((column) => column.startsWith('its own'));
  const parts = [
    'Events per second; in brackets the ratio to the node-fetch loop in the same round',
    crossed(found, 'delivery', { columns: atOnce, rows: byRequest, cell: speed }),
    "Microseconds of the client's processor time per event",
    crossed(found, 'delivery', { columns: atOnce, rows: byRequest, cell: medians(found, 'delivery', 'cpuUsPerEvent') }),
  ];
  if (delayed.length > 0) {
    const rows = byRequest.filter((row) => delayed.some((column) => found.median('delivery', row, 'eventsPerS', column) !== null));
    parts.push('Events per second if each answer takes 20 ms', crossed(found, 'delivery', { columns: delayed, rows, cell: speed }));
  }
  if (batched.length > 0) {
    const rows = batched.flatMap((column) =>
      found
        .rows('delivery')
        .filter((row) => found.median('delivery', row, 'eventsPerS', column) !== null)
        .map((row) => [row, column]),
    );
    const value = (row, name, column) => figure(found.median('delivery', row, name, column));
    const names = ['eventsPerS', 'cpuUsPerEvent', 'deliveredPercent', 'sockets'];
    const lines = rows.map(([row, column]) => [`${row}, ${column}`, ...names.map((name) => value(row, name, column))]);
    parts.push(
      'Rivals, in their own batches, with room for all events',
      table(['', 'events/s', 'processor us an event', '% delivered', 'sockets'], lines),
    );
  }
  return parts.join('\n\n');
}

function memory(found) {
  return crossed(found, 'memory', { cell: medians(found, 'memory', 'bytesPerEvent') });
}

function exit(found) {
  const cell = (row, column) => {
    const ms = found.median('exit', row, 'exitMs', column);
    if (ms === null) return '-';
    const delivered = found.median('exit', row, 'deliveredPercent', column);
    const time = ms >= CAP_MS ? `> ${CAP_MS / 1000} s` : `${figure(ms)} ms`;
    return column.startsWith('answers') && delivered < 100 ? `${time}, ${figure(delivered)} % delivered` : time;
  };
  return crossed(found, 'exit', { cell });
}

function drain(found) {
  const best = (row, column) => {
    const delivered = found.spread('drain', row, 'delivered', column);
    return delivered === null ? '-' : delivered.max.toLocaleString('en-US');
  };
  const columns = found.columns('drain').map((column) => [column, column.replace('c = ', '')]);
  const head = ['Round trip', ...columns.map(([, concurrency]) => `${concurrency} at a time`)];
  return table(
    head,
    found.rows('drain').map((row) => [row, ...columns.map(([column]) => best(row, column))]),
  );
}

function distance(found) {
  return crossed(found, 'distance', { cell: medians(found, 'distance', 'delivered') });
}

/** The first value of each row, here and with the other build, and their ratio; null unless another build was measured. */
export function besideTable(name, found) {
  const other = besideOf(name);
  if (!found.has(other)) return null;
  const rows = found
    .columns(other)
    .flatMap((column) =>
      found
        .rows(other)
        .flatMap((row) =>
          found
            .names(other, row, column)
            .map((value) => [
              `${row}${column === '' ? '' : `, ${column}`}: ${value}`,
              withSpread(found.spread(name, row, value, column)),
              withSpread(found.spread(other, row, value, column)),
              withSpread(found.ratioAcross([name, other], row, value, column)),
            ]),
        ),
    );
  return table(['Beside the other build', 'this', 'other', 'this / other'], rows);
}

/** Heading and table of each scenario, in the order of the page. */
const TABLES = {
  publish: ['One publish, ns a call', (found) => listed(found, 'publish', [['ns', 'nsPerCall']])],
  million: [
    'A million publishes, an endpoint that does not answer',
    (found) =>
      listed(found, 'million', [
        ['ns a publish', 'nsPerPublish'],
        ['heap growth, MiB', 'heapGrowthMiB'],
        ['resident growth, MiB', 'residentGrowthMiB'],
      ]),
  ],
  deferred: [
    'All work of an event, nothing sent',
    (found) =>
      listed(found, 'deferred', [
        ['ns', 'nsPerEvent'],
        ['processor ns', 'cpuNsPerEvent'],
        ['% of events encoded', 'encodedPercent'],
      ]),
  ],
  loop: [
    "The host's loop after a million events in one turn, an endpoint that answers",
    (found) =>
      listed(found, 'loop', [
        ['longest stretch without a turn, ms', 'longestMs'],
        ['p99 of the delay, ms', 'p99Ms'],
        ['publishing them, ms', 'hostMs'],
      ]),
  ],
  encoding: ['Encoding one event, ns', (found) => listed(found, 'encoding', [['ns', 'nsPerEvent']])],
  delivery: ['Delivery', delivery],
  burst: [
    '10,000 events at once into a cold process, defaults',
    (found) =>
      listed(found, 'burst', [
        ['% delivered', 'deliveredPercent'],
        ['sockets', 'sockets'],
        ['caller blocked, ms', 'heldMs'],
        ['in all, ms', 'tookMs'],
      ]),
  ],
  ndjson: [
    'Batches, 60,000 events at once, five times',
    (found) =>
      listed(found, 'ndjson', [
        ['events per second', 'eventsPerS'],
        ['processor time an event, us', 'cpuUsPerEvent'],
        ['events a request', 'eventsPerRequest'],
        ['% delivered', 'deliveredPercent'],
      ]),
  ],
  memory: ['Bytes kept per published event, by number of events', memory],
  exit: ['From the last line of a program to the end of its process', exit],
  import: ['Import in a new process, ms', (found) => listed(found, 'import', [['ms', 'ms']])],
  install: [
    'Installed',
    (found) =>
      listed(found, 'install', [
        ['packages', 'packages'],
        ['files', 'files'],
        ['MB', 'megabytes'],
      ]),
  ],
  distance: ['Events that close({ deadlineMs: 2000 }) delivers of 20,000 just published, by round trip', distance],
  'relay-memory': [
    'A relay, started with its spool',
    (found) =>
      listed(found, 'relay-memory', [
        ['resident, MiB', 'residentMiB'],
        ['highest, MiB', 'highestMiB'],
        ['start until ready, ms', 'startMs'],
        ['events', 'events'],
      ]),
  ],
  'relay-answers': [
    'Requests that 64 connections get answered',
    (found) =>
      listed(found, 'relay-answers', [
        ['answers/s', 'answersPerS'],
        ['% on disk when answered', 'storedPercent'],
      ]),
  ],
  'relay-forward': [
    "The relay's work for an event that it forwards",
    (found) =>
      listed(found, 'relay-forward', [
        ['processor us', 'cpuUsPerEvent'],
        ['events/s', 'eventsPerS'],
      ]),
  ],
  drain: ['Events that close({ deadlineMs: 2000 }) delivers of 20,000 waiting', drain],
};

/** @returns {{ title: string, text: string } | null} null if the scenario was not run */
export function tableOf(name, found) {
  if (!found.has(name)) return null;
  const [title, render] = TABLES[name];
  return { title, text: render(found) };
}
