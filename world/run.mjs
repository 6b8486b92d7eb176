// Runs what needs the outside world: real services, root, other runtimes, the neighbours in a host's process. Each `*.world.mjs` of this
// folder is a process of its own, prints what it measured and what it leaves out, and exits with a code other than 0 if a promise breaks.
// `npm run test:world` runs all of them; `node world/run.mjs agents disk` those whose names contain one of the words, after
// `npm ci --prefix world && npm run build && npm run compile`.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

/** The longest that one file may take. */
const LIMIT_MS = 15 * 60_000;

const folder = fileURLToPath(new URL('.', import.meta.url));
const words = process.argv.slice(2);
const files = readdirSync(folder)
  .filter((name) => name.endsWith('.world.mjs') && (words.length === 0 || words.some((word) => name.includes(word))))
  .sort();

const failed = [];
for (const file of files) {
  console.log(`\n── ${file}`);
  const startedAt = Date.now();
  const end = await run(file);
  const seconds = ((Date.now() - startedAt) / 1000).toFixed(1);
  console.log(end === undefined ? `── ${file}: fine, ${seconds} s` : `── ${file}: FAILED (${end}), ${seconds} s`);
  if (end !== undefined) failed.push(file);
}
console.log(
  `\n${files.length - failed.length} of ${files.length} files are fine${failed.length === 0 ? '' : `; these are not: ${failed.join(', ')}`}`,
);
process.exitCode = failed.length === 0 && files.length > 0 ? 0 : 1;

/** Why a file failed; undefined if it did not. */
async function run(file) {
  // A group of its own, so that the limit also ends what the file started.
  const child = spawn(process.execPath, [`${folder}${file}`], { stdio: ['ignore', 'inherit', 'inherit'], detached: true });
  const endAll = () => process.kill(-Number(child.pid), 'SIGKILL');
  const interrupted = () => {
    endAll();
    process.exit(130);
  };
  process.once('SIGINT', interrupted).once('SIGTERM', interrupted);
  let isOverdue = false;
  const limit = setTimeout(() => {
    isOverdue = true;
    endAll();
  }, LIMIT_MS);
  const [code, signal] = await once(child, 'exit');
  clearTimeout(limit);
  process.off('SIGINT', interrupted).off('SIGTERM', interrupted);
  if (isOverdue) return `not over after ${LIMIT_MS / 60_000} minutes`;
  return code === 0 ? undefined : `exit ${code ?? signal}`;
}
