// What a newcomer sees of this repository: `npm start` is fast and short, on the lowest and the newest Node, and the README is short.
// It is not in the table of docs/compatibility.md, which is about tools.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { stripVTControlCharacters } from 'node:util';
import { expect, nodeOf } from '../project.mjs';

const REPOSITORY = join(import.meta.dirname, '..', '..');
const CHECKS_README = true;
const README_LINES = 170;
const START_LINES = 28;
const COLUMNS = 80;
/** npm itself takes half a second before the first line. */
const FIRST_LINE_MS = 3000;
const START_MS = 10_000;

const countLines = (text) => text.trimEnd().split('\n').length;

/** Runs `npm start` in a terminal of so many columns. */
async function start(alias, columns, env = {}) {
  const startedAt = performance.now();
  const child = spawn('npm', ['--silent', 'start'], {
    cwd: REPOSITORY,
    env: { ...process.env, PATH: `${dirname(nodeOf(alias))}:${process.env.PATH}`, COLUMNS: `${columns}`, ...env },
    timeout: 60_000,
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let output = '';
  let firstLineMs = Number.NaN;
  child.stdout.on('data', (chunk) => {
    output += chunk;
    if (Number.isNaN(firstLineMs) && output.includes('\n')) firstLineMs = performance.now() - startedAt;
  });
  const [code] = await once(child, 'close');
  expect(code === 0, `it ended with ${code}:\n${output}`);
  const wide = stripVTControlCharacters(output)
    .split('\n')
    .filter((line) => line.length > columns);
  expect(wide.length === 0, `wider than ${columns} columns:\n${wide.join('\n')}`);
  return { output, firstLineMs, tookMs: performance.now() - startedAt };
}

function startRow(version, alias) {
  return {
    tool: `Node ${version}`,
    what: `npm start takes at most ${START_MS / 1000} s and ${START_LINES} lines of ${COLUMNS} columns`,
    async check() {
      const { output, firstLineMs, tookMs } = await start(alias, COLUMNS, { NO_COLOR: '1' });
      expect(output.startsWith(`cosmos-telemetry, Node ${version}.`), `another Node:\n${output}`);
      expect(!output.includes('\u001B'), 'it has colours in spite of NO_COLOR');
      expect(firstLineMs <= FIRST_LINE_MS, `the first line came after ${Math.round(firstLineMs)} ms`);
      expect(tookMs <= START_MS, `it took ${Math.round(tookMs)} ms`);
      expect(countLines(output) <= START_LINES, `it has ${countLines(output)} lines:\n${output}`);
    },
  };
}

const narrowRow = {
  tool: 'Node 26',
  what: 'npm start fits 60 columns, and zeros are green',
  async check() {
    const { output } = await start('node-26', 60, { FORCE_COLOR: '1' });
    expect(output.includes('\u001B[32msockets 0, '), output);
  },
};

const readmeRow = {
  tool: 'README.md',
  what: `at most ${README_LINES} lines`,
  async check() {
    const lines = countLines(readFileSync(join(REPOSITORY, 'README.md'), 'utf8'));
    expect(lines <= README_LINES, `it has ${lines} lines`);
  },
};

export const part = 'Newcomer';
export const rows = [startRow('20.19', 'node-20'), startRow('26', 'node-26'), narrowRow, ...(CHECKS_README ? [readmeRow] : [])];
