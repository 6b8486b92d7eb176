// `npm run test:deploy`: the files of this folder against the schemas of Kubernetes, promtool, and real relays. It needs Python with venv
// and promtool (Debian: `prometheus`); with kubectl (Debian: `kubernetes-client`) it builds the kustomizations, too.
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const root = join(import.meta.dirname, '..');
const folder = mkdtempSync(join(tmpdir(), 'deploy-'));
const python = join(folder, 'bin', 'python');
const run = (command, args, env = {}) =>
  spawnSync(command, args, { cwd: root, stdio: 'inherit', env: { ...process.env, ...env }, timeout: 300_000 }).status === 0;

try {
  const isReady =
    run(process.env.PYTHON ?? 'python3', ['-m', 'venv', folder]) &&
    run(python, ['-m', 'pip', 'install', '--quiet', '--no-deps', '-r', join(import.meta.dirname, 'requirements.txt')]);
  if (!isReady) console.error('npm run test:deploy needs Python 3.10 or newer with venv and pip');
  const ava = join(root, 'node_modules', 'ava', 'entrypoints', 'cli.mjs');
  const isFine =
    isReady && run(process.execPath, [ava, '--config', 'ava.deploy.config.mjs', ...process.argv.slice(2)], { DEPLOY_PYTHON: python });
  process.exitCode = isFine ? 0 : 1;
} finally {
  rmSync(folder, { recursive: true, force: true });
}
