// Writes the measured figures into docs/airflow.md.
import { readFileSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import { median } from './multisets.mjs';

const PAGE = new URL('../../../docs/airflow.md', import.meta.url);
const START = '<!-- measured: npm run test:airflow -- --write-docs -->';
const END = '<!-- /measured -->';

const IN_AIRFLOW = {
  direct: 'an endpoint on the same machine, directly',
  relay: 'the relay',
  refused: 'a port that refuses connections, directly: the event is lost',
  hangs: 'an endpoint that never answers, directly: the event is lost',
};
const ALONE = {
  near: 'an endpoint on the same machine that answers at once',
  far: 'an endpoint that answers after 100 ms',
  relay: 'the relay, before an endpoint that answers after 100 ms',
  refused: 'a port that refuses connections: the event is lost',
  hangs: 'an endpoint that never answers: the event is lost',
};

/** @returns The measured section of the page, in Markdown. */
export function measuredSection({ facts, rows, inAirflow, alone }) {
  return [
    `Airflow ${facts.airflowVersion}, Cosmos ${facts.cosmosVersion}, Python ${facts.pythonVersion}, Node ${process.versions.node}, ` +
      `${os.availableParallelism()} cores shared with Airflow and other programs.`,
    '',
    'How long a hook of Cosmos waits in Airflow, one DAG of two tasks at a time, alternately through the relay and directly (always',
    'through the recorder):',
    '',
    ...waits(inAirflow, IN_AIRFLOW),
    '',
    "Cosmos' client alone, without a running Airflow:",
    '',
    ...waits(alone, ALONE),
    '',
    "Requests of Cosmos, and of this package's listeners for the same runs:",
    '',
    ...table(
      ['Event', 'Cosmos', 'This package', 'Byte for byte'],
      rows.map(({ what, cosmos, ours, isSame }) => [what, cosmos, ours, isSame ? 'yes' : 'no, see below']),
    ),
  ].join('\n');
}

/** Replaces the measured section of the page. */
export function writePage(section) {
  const page = readFileSync(PAGE, 'utf8');
  const [from, to] = [page.indexOf(START), page.indexOf(END)];
  if (from === -1 || to < from) throw new Error('docs/airflow.md has no markers of the measured section');
  writeFileSync(PAGE, `${page.slice(0, from)}${START}\n\n${section}\n\n${page.slice(to)}`);
}

function waits(timings, names) {
  const rows = Object.entries(names).map(([kind, name]) => {
    const list = timings[kind].map(({ waitedMs }) => waitedMs);
    return [name, list.length, ms(median(list)), ms(Math.max(...list))];
  });
  return table(['Cosmos sends to', 'Events', 'Median', 'Maximum'], rows);
}

const ms = (value) => `${Math.round(value).toLocaleString('en-US')} ms`;

function table(head, rows) {
  return [head, head.map(() => '---'), ...rows].map((cells) => `| ${cells.join(' | ')} |`);
}
