// Runs the benchmarks: node bench/run.mjs [--quick] [--only publish,delivery] [--rounds 1] [--out FILE] [--beside FOLDER]
// Needs dist/ (`npm run build`). Without --quick it also needs the packages of this folder (`npm ci` in it), and for TLS the compiled tests.
// --rounds limits the rounds of each sample, to try something out.
// With --only, the results of other scenarios stay in the file as they are, with the commit and the machine that they are of.
// With --beside it also measures another build, such as dist/ of an earlier commit whose dependencies are installed.
import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';
import { goalsTable } from './goals.mjs';
import { makeCertificate } from './harness/certificate.mjs';
import { describeCommit, describeMachine, describeVersions } from './harness/machine.mjs';
import { Findings, LATEST, readResults, writeResults } from './harness/results.mjs';
import { runScenario } from './harness/runner.mjs';
import { besideTable, tableOf } from './tables.mjs';

const SCENARIOS =
  'publish million loop deferred encoding import exit burst delivery memory drain distance ndjson relay-memory relay-answers relay-forward install'.split(
    ' ',
  );

const { values: given } = parseArgs({
  options: {
    quick: { type: 'boolean', default: false },
    only: { type: 'string' },
    out: { type: 'string', default: LATEST },
    beside: { type: 'string' },
    rounds: { type: 'string' },
  },
});
const { quick, out } = given;
const maxRounds = given.rounds === undefined ? Infinity : Number(given.rounds);
const beside = given.beside === undefined ? undefined : pathToFileURL(`${path.resolve(given.beside)}/`).href;
const names = given.only?.split(',') ?? SCENARIOS;
check();

const startedAtMs = Date.now();
const commit = describeCommit();
const machine = describeMachine();
const tls = quick ? undefined : await makeCertificate();
const cells = [];
const broken = [];
try {
  for (const name of names) {
    const scenario = await import(`./scenarios/${name}.mjs`);
    const found = await runScenario(name, scenario, { quick, tls, beside, maxRounds, report });
    cells.push(...found.cells);
    broken.push(...found.broken);
    show(name);
  }
} finally {
  tls?.remove();
}

const tookS = Math.round((Date.now() - startedAtMs) / 1000);
const run = {
  date: new Date(startedAtMs).toISOString().slice(0, 10),
  tookS,
  commit,
  quick: quick || given.rounds !== undefined,
  machine,
  versions: describeVersions(),
};
writeResults(out, given.only === undefined ? { runs: [{ ...run, scenarios: names }], cells } : withOthers({ run, names, cells }));
const found = new Findings(cells);
if (!quick) console.log(`\n${goalsTable(found)}\n`);
if (!quick && tls === undefined) console.log('TLS was left out: it needs `npm run compile`.');
console.log(`${tookS} s; written to ${out}`);
for (const what of broken) console.error(`broken: ${what}`);
process.exitCode = broken.length > 0 ? 1 : 0;

/** The new results beside those of the scenarios that were not run now. */
function withOthers({ run: newRun, names: scenarios, cells: newCells }) {
  const old = existsSync(out) ? readResults(out) : { runs: [], cells: [] };
  const isRun = (scenario) => scenarios.includes(scenario.replace(/, beside$/, ''));
  const oldRuns = old.runs.map((each) => ({ ...each, scenarios: each.scenarios.filter((scenario) => !isRun(scenario)) }));
  return {
    runs: [...oldRuns.filter((each) => each.scenarios.length > 0), { ...newRun, scenarios }],
    cells: [...old.cells.filter(({ scenario }) => !isRun(scenario)), ...newCells],
  };
}

function report(step) {
  if (process.stderr.isTTY) process.stderr.write(`\r\u001B[K${step}`);
}

function show(name) {
  const shown = tableOf(name, new Findings(cells));
  report('');
  if (shown !== null && cells.some((cell) => cell.scenario === name)) console.log(`\n${shown.title}\n\n${shown.text}`);
  const compared = besideTable(name, new Findings(cells));
  if (compared !== null) console.log(`\n${compared}`);
}

/** Reports missing prerequisites before the run starts. */
function check() {
  const unknown = names.filter((name) => !SCENARIOS.includes(name));
  if (unknown.length > 0) fail(`Expected --only to name some of ${SCENARIOS.join(', ')}, got ${unknown.join(', ')}.`);
  if (!existsSync(new URL('../dist/index.js', import.meta.url))) fail('dist/ is missing: run `npm run build` first.');
  if (beside !== undefined && !existsSync(new URL('index.js', beside))) fail(`${given.beside} has no index.js: expected a dist/.`);
  if (quick) return;
  if (!existsSync(new URL('node_modules', import.meta.url)))
    fail('The packages to compare with are missing: run `npm ci` in bench/ first, or use --quick.');
  const theirs = describeVersions();
  for (const name of ['eventemitter3', 'p-queue', 'p-retry', 'node-fetch']) {
    const { version } = JSON.parse(readFileSync(new URL(`../node_modules/${name}/package.json`, import.meta.url), 'utf8'));
    if (version !== theirs[name])
      fail(`The library uses ${name} ${version}, the comparison ${theirs[name]}: pin the same version in bench/package.json.`);
  }
}

function fail(message) {
  console.error(message);
  process.exit(2);
}
