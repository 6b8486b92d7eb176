// Nx in a workspace of two projects: its plugin gets a run with all its tasks in one call, at the end.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, realpathSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { startCollector } from './collector.mjs';

const DIST = pathToFileURL(join(import.meta.dirname, '..', 'dist', 'index.js')).href;

/** Nx says how each task ended; `reportRun` takes it as it is, but for the words. */
const PLUGIN = `import { createTelemetry } from ${JSON.stringify(DIST)};

const OUTCOMES = { success: 'success', failure: 'failed', skipped: 'skipped', stopped: 'cancelled', 'local-cache': 'cached', 'local-cache-kept-existing': 'cached', 'remote-cache': 'cached' };

export const name = 'acme';
export async function postTasksExecution({ endpoint }, { id, taskResults, startTime, endTime }) {
  const telemetry = createTelemetry({ product: { name: 'acme', version: '1.0.0' }, host: { name: 'nx', version: '24.0.6' }, endpoint, env: {} });
  const tasks = Object.values(taskResults).map(({ task, status }) => ({
    taskId: task.id,
    owned: true,
    operatorName: task.target.target,
    status: OUTCOMES[status],
    startedAt: task.startTime,
    endedAt: task.endTime,
  }));
  const status = tasks.some((task) => task.status === 'failed') ? 'failed' : 'success';
  telemetry.reportRun({ runId: id, status, startedAt: startTime, endedAt: endTime, tasks });
  await telemetry.close();
}
`;

const { requests, endpoint, close } = await startCollector();

const folder = realpathSync(mkdtempSync(join(tmpdir(), 'nx-')));
const target = (command, more = {}) => ({ executor: 'nx:run-commands', options: { command }, ...more });
const FILES = {
  'package.json': { name: 'workspace', private: true },
  'nx.json': { plugins: [{ plugin: './acme.mjs', options: { endpoint } }], analytics: false, tui: { enabled: false } },
  'one/project.json': { name: 'one', targets: { build: target('echo built', { cache: true }), test: target('exit 0') } },
  'two/project.json': {
    name: 'two',
    targets: { build: target('exit 1'), test: target('exit 0', { dependsOn: ['build'] }) },
  },
};

const failures = [];
async function run(title, args, expected) {
  requests.length = 0;
  const env = {
    PATH: process.env.PATH,
    HOME: folder,
    NX_DAEMON: 'false',
    NX_NO_CLOUD: 'true',
    NX_WORKSPACE_DATA_DIRECTORY: join(folder, 'data'),
    CI: 'true',
  };
  const nx = join(import.meta.dirname, 'node_modules', 'nx', 'dist', 'bin', 'nx.js');
  const child = spawn(process.execPath, [nx, ...args], { cwd: folder, env, stdio: ['ignore', 'pipe', 'pipe'] });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => (output += chunk));
  await once(child, 'close');
  const seen = requests
    .map(({ type, status, operator_name: name, ...more }) =>
      [type, status, name ?? `${more.task_count} ${more.failed_count ?? 0} ${more.skipped_count ?? 0}`].join(' '),
    )
    .toSorted();
  const isFine = JSON.stringify(seen) === JSON.stringify(expected.toSorted());
  console.log(`${isFine ? 'ok    ' : 'FAILED'} ${title}: ${seen.join(', ')}`);
  if (!isFine) failures.push(`${title}: expected ${expected.join(', ')}\n${output.slice(-2000)}`);
}

try {
  for (const [name, value] of Object.entries(FILES)) {
    mkdirSync(dirname(join(folder, name)), { recursive: true });
    writeFileSync(join(folder, name), JSON.stringify(value));
  }
  writeFileSync(join(folder, 'acme.mjs'), PLUGIN);
  symlinkSync(join(import.meta.dirname, 'node_modules'), join(folder, 'node_modules'));
  await run('a run that succeeds', ['run', 'one:build'], ['dag_run success 1 0 0', 'task_instance success build']);
  await run('the same from the cache', ['run', 'one:build'], ['dag_run success 1 0 0', 'task_instance cached build']);
  // Nx 24.0 leaves out of its results what it did not start because of a failure.
  await run(
    'a run of which one task fails',
    ['run-many', '-t', 'test', '-p', 'one,two', '--nxBail=false'],
    ['dag_run failed 2 1 0', 'task_instance failed build', 'task_instance success test'],
  );
} finally {
  close();
  rmSync(folder, { recursive: true, force: true });
}
for (const failure of failures) console.log(`FAILED: ${failure}`);
process.exit(failures.length === 0 ? 0 : 1);
