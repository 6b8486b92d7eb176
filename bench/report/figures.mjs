// The charts of the page and the cells that they show.
import { barChart, lineChart } from './charts.mjs';
import { RIVALS } from '../adapters/index.mjs';
import { ROUND_TRIPS_MS } from '../scenarios/distance.mjs';
import { CAP_MS } from '../scenarios/exit.mjs';

function kindOf(row) {
  if (row.startsWith('ours') || row.startsWith('relay')) return 'ours';
  if (row === 'naive' || row.startsWith('eventemitter3, ')) return 'naive';
  return RIVALS.some((rival) => row.startsWith(rival)) ? 'rival' : 'floor';
}

const bars = (found, scenario, value, { rows = found.rows(scenario), column } = {}) =>
  rows.flatMap((row) => {
    const spread = found.spread(scenario, row, value, column);
    return spread === null ? [] : [{ label: row, kind: kindOf(row), ...spread }];
  });

const PUBLISH_ROWS = [
  'eventemitter3 emit, one listener',
  'floor: emit, copy, ring',
  'ours: publish, opted out',
  'ours: host event, opted out',
  'ours: publish',
  'ours: host event, task_instance',
  'ours: host event, dag_run of 10,000 tasks',
  'p-queue add',
  'naive',
  ...RIVALS,
];

const MEMORY_ROWS = ['plain objects in a list', 'ours', 'naive', ...RIVALS];

const DELIVERY_ROWS = ['node:http loop', 'node-fetch loop', 'ours', 'naive'];

/** File name without extension, text alternative, and drawing function of each chart. */
export const FIGURES = [
  {
    name: 'publish',
    alt: 'Nanoseconds for one publish, by client',
    draw: (found, alt) =>
      barChart({
        title: alt,
        unit: 'nanoseconds a call, logarithmic',
        isLog: true,
        bars: bars(found, 'publish', 'nsPerCall', { rows: PUBLISH_ROWS }),
      }),
  },
  {
    name: 'delivery',
    alt: 'Events per second to an endpoint that answers at once, one request an event',
    draw(found, alt) {
      const points = DELIVERY_ROWS.flatMap((row) =>
        [1, 4, 6, 16, 64].map((x) => ({
          label: row,
          kind: row === 'node-fetch loop' ? 'library' : kindOf(row),
          x,
          y: found.median('delivery', row, 'eventsPerS', `c = ${x}`),
        })),
      );
      return lineChart({
        title: alt,
        unit: 'events per second',
        xTitle: 'requests in flight',
        points: points.filter(({ y }) => y !== null),
      });
    },
  },
  {
    name: 'memory',
    alt: 'Bytes of a waiting event, of 100,000',
    draw: (found, alt) =>
      barChart({
        title: alt,
        unit: 'bytes an event',
        isLog: false,
        bars: bars(found, 'memory', 'bytesPerEvent', { rows: MEMORY_ROWS, column: '100,000' }),
      }),
  },
  {
    name: 'exit',
    alt: 'From the last line of a program to the end of its process, with an endpoint that does not answer',
    draw(found, alt) {
      const ended = ['close', 'no close'].flatMap((how) =>
        bars(found, 'exit', 'exitMs', { column: `says nothing, ${how}` }).map((bar) => ({
          ...bar,
          label: `${bar.label}, ${how}`,
          ...(bar.median >= CAP_MS && { text: 'killed' }),
        })),
      );
      return barChart({ title: alt, unit: 'milliseconds, logarithmic', isLog: true, bars: ended });
    },
  },
  {
    name: 'distance',
    alt: 'Events that a close of two seconds delivers of 20,000, by distance',
    draw(found, alt) {
      // The colours of a chart belong to kinds, so there is one line of each.
      const lines = {
        'ours, http': 'ours',
        'ours, http, 64 at a time': 'library',
        'ours, https': 'naive',
        'ours, https, 64 at a time': 'rival',
      };
      const points = Object.entries(lines).flatMap(([label, kind]) =>
        ROUND_TRIPS_MS.map((x) => ({ label, kind, x, y: found.median('distance', label, 'delivered', `${x} ms`) })),
      );
      return lineChart({
        title: alt,
        unit: 'events',
        xTitle: 'round trip in milliseconds',
        points: points.filter(({ y }) => y !== null),
      });
    },
  },
  {
    name: 'relay-memory',
    alt: 'Resident memory of a relay, with an empty and with a full spool',
    draw: (found, alt) => barChart({ title: alt, unit: 'MiB', isLog: false, bars: bars(found, 'relay-memory', 'residentMiB') }),
  },
  {
    name: 'import',
    alt: 'Milliseconds for an import in a new process',
    draw: (found, alt) => barChart({ title: alt, unit: 'milliseconds', isLog: false, bars: bars(found, 'import', 'ms') }),
  },
];
