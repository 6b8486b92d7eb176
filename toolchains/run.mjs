// The package in the tools that its users have: runtimes, test runners, TypeScript, bundlers, package managers. Each row is a project of a
// few lines, made from the packed package in a temporary folder. `npm run test:toolchains` runs all of them and checks that
// docs/compatibility.md has their table; with `--write` it writes the table. Words choose rows: `node toolchains/run.mjs jest webpack`.
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Workshop } from './project.mjs';
import * as bundlers from './rows/bundlers.mjs';
import * as loading from './rows/loading.mjs';
import * as managers from './rows/managers.mjs';
import * as newcomer from './rows/newcomer.mjs';
import * as runners from './rows/runners.mjs';
import * as typescript from './rows/typescript.mjs';

const PAGE = join(import.meta.dirname, '..', 'docs', 'compatibility.md');
const [START, END] = ['<!-- toolchains -->', '<!-- /toolchains -->'];

const isWriting = process.argv.includes('--write');
const words = process.argv.slice(2).filter((word) => !word.startsWith('--'));
const rowsOf = ({ part, rows }) => rows.map((row) => ({ part, ...row }));
const tools = [loading, runners, typescript, bundlers, managers].flatMap(rowsOf);
const all = [...tools, ...rowsOf(newcomer)];
const nameOf = ({ part, tool, what }) => `${part}, ${tool}: ${what}`;
const chosen = all.filter((row) => words.length === 0 || words.some((word) => nameOf(row).toLowerCase().includes(word.toLowerCase())));

const failed = [];
const workshop = await Workshop.open();
try {
  for (const row of chosen) {
    const startedAt = Date.now();
    const error =
      row.unsupported === undefined
        ? await row.check(workshop).then(
            () => undefined,
            (reason) => reason,
          )
        : undefined;
    const seconds = ((Date.now() - startedAt) / 1000).toFixed(1);
    console.log(`${row.unsupported ? 'lacks ' : error === undefined ? 'ok    ' : 'FAILED'} ${nameOf(row)} (${seconds} s)`);
    if (error === undefined) continue;
    failed.push(nameOf(row));
    console.log(String(error.stack ?? error).replaceAll(/^/gm, '       '));
  }
} finally {
  workshop.close();
}

/** One line for each tool, with what was done in it. */
function table() {
  const lines = ['| Part | Tool | What runs | |', '| --- | --- | --- | --- |'];
  const byTool = Map.groupBy(tools, ({ part, tool, unsupported }) => JSON.stringify([part, tool, unsupported ?? '']));
  for (const [key, rows] of byTool) {
    const [part, tool, unsupported] = JSON.parse(key);
    lines.push(`| ${part} | ${tool} | ${rows.map(({ what }) => what).join('; ')} | ${unsupported === '' ? 'yes' : `no: ${unsupported}`} |`);
  }
  return `${START}\n\n${lines.join('\n')}\n\n${END}`;
}

const page = readFileSync(PAGE, 'utf8');
const [before, after] = [page.slice(0, page.indexOf(START)), page.slice(page.indexOf(END) + END.length)];
const wanted = `${before}${table()}${after}`;
if (isWriting && failed.length === 0) writeFileSync(PAGE, wanted);
const isStale = !isWriting && page !== wanted;

console.log(`\n${chosen.length - failed.length} of ${chosen.length} rows are fine`);
for (const name of failed) console.log(`FAILED: ${name}`);
if (isStale) console.log('FAILED: docs/compatibility.md has another table: run `node toolchains/run.mjs --write`');
process.exitCode = failed.length === 0 && chosen.length > 0 && !isStale ? 0 : 1;
