// Reports of made-up fleets, whose numbers are known, and one of them in a real Chromium: `npm run test:insights`, which says what it
// leaves out. `-- --screenshots` also makes the pictures of the docs.
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';

/** Where Chromium is. */
function findChromium() {
  const names = [process.env.CHROMIUM, 'chromium', 'chromium-browser', 'google-chrome'].filter((name) => name !== undefined);
  for (const name of names) {
    const { status, stdout } = spawnSync('sh', ['-c', 'command -v "$1"', 'sh', name], { encoding: 'utf8' });
    if (status === 0 && spawnSync(name, ['--version'], { stdio: 'ignore' }).status === 0) return stdout.trim();
  }
  return undefined;
}

function run(suite, env = {}) {
  console.log(`\n── ${suite}`);
  const args = [join(import.meta.dirname, 'test', suite), ...process.argv.slice(2)];
  return spawnSync(process.execPath, args, { stdio: 'inherit', timeout: 600_000, env: { ...process.env, ...env } }).status === 0;
}

const results = [run('report.suite.mjs')];
const chromium = findChromium();
if (chromium === undefined)
  console.log('(skipped: the report in Chromium, which is not installed; Debian has it: apt-get install chromium)');
else results.push(run('browser.suite.mjs', { CHROMIUM: chromium }));
process.exitCode = results.every(Boolean) ? 0 : 1;
