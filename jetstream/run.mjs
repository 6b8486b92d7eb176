// Relays and hosts that share a queue on real servers of NATS: `npm run test:jetstream`. Each `*.suite.mjs` is a process of its own. They run
// with the server of this machine, and with the newest one, from PyPI. `--figures` measures in place of that.
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { serverVersion } from './server.mjs';

const here = import.meta.dirname;
const folder = mkdtempSync(join(tmpdir(), 'cosmos-nats-newest-'));
const kind = process.argv.includes('--figures') ? '.figures.mjs' : '.suite.mjs';
const files = readdirSync(here).filter((name) => name.endsWith(kind));

const run = (command, args) => spawnSync(command, args, { stdio: 'ignore', timeout: 300_000 }).status === 0;

/** @returns The folder with the newest server; undefined where it cannot be installed. */
function newest() {
  const install = ['-m', 'pip', 'install', '--quiet', '--no-deps', '-r', join(here, 'requirements.txt')];
  const isThere = run(process.env.PYTHON ?? 'python3', ['-m', 'venv', folder]) && run(join(folder, 'bin', 'python'), install);
  return isThere ? join(folder, 'bin') : undefined;
}

/** @returns The suites that fail with the first server on this path. */
function failedWith(path) {
  const env = { ...process.env, PATH: path };
  console.log(`\n═══ nats-server ${serverVersion(env)}`);
  return files.filter((name) => {
    console.log(`\n── ${name}`);
    return spawnSync(process.execPath, [join(here, name)], { stdio: 'inherit', timeout: 300_000, env }).status !== 0;
  });
}

try {
  const added = newest();
  if (added === undefined) console.log('(left out: the newest nats-server, which needs Python with venv, and PyPI)');
  const paths = [
    ...(serverVersion() === undefined ? [] : [process.env.PATH]),
    ...(added === undefined ? [] : [`${added}${delimiter}${process.env.PATH}`]),
  ];
  if (serverVersion() === undefined) console.log('(left out: the nats-server of this machine; Debian has it: apt-get install nats-server)');
  // One server is enough for figures.
  const failed = (kind === '.suite.mjs' ? paths : paths.slice(-1)).flatMap(failedWith);
  const count = paths.length * files.length;
  if (kind === '.suite.mjs')
    console.log(`\n${count - failed.length} of ${count} suites pass${failed.length === 0 ? '' : `; not: ${failed.join(', ')}`}`);
  process.exitCode = failed.length === 0 && files.length > 0 ? 0 : 1;
} finally {
  rmSync(folder, { recursive: true, force: true });
}
