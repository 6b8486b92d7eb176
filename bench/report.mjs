// Writes docs/performance.md and its charts: node bench/report.mjs [--publish]
// By default it uses the published results again; with --publish it publishes the results of the last run.
import { copyFileSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { goalsTable, judgeGoals } from './goals.mjs';
import { Findings, LATEST, PUBLISHED, readResults } from './harness/results.mjs';
import { figure, table } from './harness/table.mjs';
import { FIGURES } from './report/figures.mjs';
import { tableOf } from './tables.mjs';

const inRepository = (file) => fileURLToPath(new URL(`../${file}`, import.meta.url));

const { values: given } = parseArgs({ options: { publish: { type: 'boolean', default: false } } });
if (given.publish) {
  if (readResults(LATEST).runs.some(({ quick }) => quick)) throw new Error(`${LATEST} is from a quick run: run \`npm run bench\` first`);
  copyFileSync(LATEST, PUBLISHED);
}
const results = readResults(PUBLISHED);
const found = new Findings(results.cells);

const CHARTS = 'docs/charts';
mkdirSync(inRepository(CHARTS), { recursive: true });
for (const { name, alt, draw } of FIGURES) writeFileSync(inRepository(`${CHARTS}/${name}.svg`), await draw(found, alt));

/** The placeholders in double braces of the template. */
const FILLERS = {
  table: (name) => tableOf(name, found).text,
  chart: (name) => `![${FIGURES.find((chart) => chart.name === name).alt}](charts/${name}.svg)`,
  goals: () => goalsTable(found),
  missed: () => missed(),
  machine: () => machine(),
  versions: () =>
    Object.entries(results.runs.at(-1).versions)
      .filter(([name]) => name !== 'vega' && !name.startsWith('@azure/'))
      .map(([name, version]) => `${name} ${version}`)
      .join(', '),
  median: (...where) => figure(found.median(...where)),
  ratio: (scenario, row, other, value, column) => figure(found.ratio(scenario, row, other, value, column)?.median ?? null),
};

function missed() {
  const judged = judgeGoals(found);
  const names = judged.filter(({ isMet }) => isMet === false).map(({ goal }) => goal);
  const met = judged.filter(({ isMet }) => isMet === true).length;
  return names.length === 0 ? `All ${met} goals are met.` : `${met} goals are met, ${names.length} are missed.`;
}

/** A column for each run: a change is measured again without all the rest. */
function machine() {
  const { runs } = results;
  const row = (what, valueOf) => [what, ...runs.map(valueOf)];
  const rows = [
    row('Date', ({ date }) => date),
    row('Commit', ({ commit }) => commit ?? 'unknown'),
    row('Processor', ({ machine: { processor, cores } }) => `${processor}, ${cores} cores`),
    row('Memory', ({ machine: { memoryGiB } }) => `${memoryGiB} GiB`),
    row('System', ({ machine: { system } }) => system),
    row('Node', ({ machine: { node } }) => node),
    row('Load before', ({ machine: { loadBefore } }) => `${loadBefore} (one minute)`),
    row('Duration of the run', ({ tookS }) => `${Math.round(tookS / 60)} minutes`),
  ];
  if (runs.length > 1) rows.unshift(row('Measures', ({ scenarios }) => scenarios.join(', ')));
  return table(['', ...runs.map((_, index) => (runs.length > 1 ? `Run ${index + 1}` : 'Value'))], rows);
}

const template = readFileSync(new URL('report/performance.template.md', import.meta.url), 'utf8');
const text = template.replaceAll(/\{\{([^}]+)\}\}/g, (_, inside) => {
  const [filler, ...args] = inside.split('|').map((part) => part.trim());
  if (FILLERS[filler] === undefined) throw new Error(`The template has an unknown placeholder: ${filler}`);
  return FILLERS[filler](...args);
});
writeFileSync(inRepository('docs/performance.md'), text);
console.log(`docs/performance.md and ${FIGURES.length} charts, from the run of ${results.runs.at(-1).date}`);
