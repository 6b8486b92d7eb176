// What was measured, as a part of docs/airflow.md.
import { readFileSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import { median } from './multisets.mjs';

const PAGE = new URL('../../../docs/airflow.md', import.meta.url);
const START = '<!-- measured: npm run test:airflow -- --write-docs -->';
const END = '<!-- /measured -->';

const IN_AIRFLOW = {
  direct: 'directly, an endpoint on the same machine',
  relay: 'through the relay',
  refused: 'directly, connections refused: the event is lost',
  hangs: 'directly, an endpoint that never answers: the event is lost',
};
const ALONE = {
  near: 'an endpoint on the same machine, at once',
  far: 'an endpoint that answers after 100 ms',
  relay: 'the relay, before an endpoint that answers after 100 ms',
  refused: 'a port that refuses: the event is lost',
  hangs: 'an endpoint that never answers: the event is lost',
};

/** The part of the page, in Markdown. */
export function measuredSection({ facts, rows, inAirflow, alone }) {
  return [
    `Airflow ${facts.airflowVersion}, Cosmos ${facts.cosmosVersion}, Python ${facts.pythonVersion}, Node ${process.versions.node}, ${os.availableParallelism()} cores that Airflow and other programs used as well.`,
    '',
    'How long a hook of Cosmos waited in Airflow, one DAG of two tasks at a time, through the relay and directly by turns (each through the recorder):',
    '',
    ...waits(inAirflow, IN_AIRFLOW),
    '',
    "Cosmos' client alone, without an Airflow beside it:",
    '',
    ...waits(alone, ALONE),
    '',
    "What Cosmos sent, and what this package's listeners make of the same runs:",
    '',
    ...table(
      ['Event', 'Cosmos', 'This package', 'Byte for byte'],
      rows.map(({ what, cosmos, ours, isSame }) => [what, cosmos, ours, isSame ? 'yes' : 'no, see below']),
    ),
  ].join('\n');
}

/** Puts that part into the page, in the place of the one before. */
export function writePage(section) {
  const page = readFileSync(PAGE, 'utf8');
  const [from, to] = [page.indexOf(START), page.indexOf(END)];
  if (from === -1 || to < from) throw new Error('docs/airflow.md has no place for what was measured');
  writeFileSync(PAGE, `${page.slice(0, from)}${START}\n\n${section}\n\n${page.slice(to)}`);
}

function waits(timings, names) {
  const rows = Object.entries(names).map(([kind, name]) => {
    const list = timings[kind].map(({ waitedMs }) => waitedMs);
    return [name, list.length, ms(median(list)), ms(Math.max(...list))];
  });
  return table(['Asked', 'Events', 'Half of them', 'The worst'], rows);
}

const ms = (value) => `${Math.round(value).toLocaleString('en-US')} ms`;

function table(head, rows) {
  return [head, head.map(() => '---'), ...rows].map((cells) => `| ${cells.join(' | ')} |`);
}
