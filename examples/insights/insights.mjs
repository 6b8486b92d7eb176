// Answers for a maintainer: an access log, or lines of JSON, as one HTML file. See docs/insights.md.
import { statSync, writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { NAME } from './columns.mjs';
import { answersOf } from './model.mjs';
import { InputError, readFiles } from './read.mjs';
import { reportOf } from './report.mjs';

const USAGE = `Usage: node insights.mjs FILES... --out report.html

  --out FILE          where the report is written
  --format FORMAT     nginx or ndjson; by default what the first line of each file is
  --product NAME      the product, whose version is the field NAME_version (default: cosmos)
  --daily EVENT       the event that an installation sends once a day (default: active)
  --memory SIZE       how much memory DuckDB may use (default: 1GB); the rest goes to a temporary folder
`;

const OPTIONS = {
  out: { type: 'string' },
  format: { type: 'string' },
  product: { type: 'string', default: 'cosmos' },
  daily: { type: 'string', default: 'active' },
  memory: { type: 'string', default: '1GB' },
  help: { type: 'boolean' },
};

function readArguments() {
  try {
    return parseArgs({ options: OPTIONS, allowPositionals: true });
  } catch (error) {
    throw new InputError(`${String(error.message)}\n\n${USAGE}`);
  }
}

/** Whether two paths lead to one file, by links too. */
function isSame(one, other) {
  const [first, second] = [one, other].map((path) => statSync(path, { throwIfNoEntry: false }));
  return first !== undefined && second !== undefined && first.dev === second.dev && first.ino === second.ino;
}

async function main() {
  const { values, positionals: files } = readArguments();
  if (values.help === true) return console.log(USAGE);
  const { out, product, daily, memory } = values;
  if (files.length === 0) throw new InputError(`No file is given.\n\n${USAGE}`);
  if (out === undefined || out === '') throw new InputError(`--out is missing.\n\n${USAGE}`);
  for (const [name, value] of Object.entries({ product, daily })) {
    if (!NAME.test(value)) throw new InputError(`--${name} is a name that matches ${NAME.source}, not ${JSON.stringify(value)}.`);
  }
  if (!/^\d+(?:\.\d+)? ?(?:[KMGT]i?B)$/.test(memory))
    throw new InputError(`--memory is a size such as 1GB, not ${JSON.stringify(memory)}.`);
  if (files.some((file) => isSame(file, out))) throw new InputError(`--out ${String(out)} is one of the files to be read.`);
  const startMs = performance.now();
  const answers = answersOf(await readFiles(files, values), values);
  const report = reportOf(answers);
  try {
    writeFileSync(out, report);
  } catch (error) {
    throw new InputError(`--out ${String(out)} cannot be written: ${String(error.code ?? error.message)}.`);
  }
  const { events, lines, repeated, notUnderstood } = answers;
  const broken = notUnderstood.reduce((sum, each) => sum + each.lines, 0);
  console.log(
    `${String(out)}: ${events} events of ${lines} lines, ${repeated} repeated, ${broken} not understood, ` +
      `in ${((performance.now() - startMs) / 1000).toFixed(1)} s`,
  );
}

try {
  await main();
} catch (error) {
  if (!(error instanceof InputError)) throw error;
  console.error(error.message);
  process.exitCode = 1;
}
