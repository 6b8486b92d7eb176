// One Python environment for each requirements file, kept outside the repository for the next run.
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { run } from './processes.mjs';

/**
 * Creates the environment if it does not exist. COSMOS_TELEMETRY_AIRFLOW_CACHE is the folder of all environments, and PYTHON the Python
 * that creates them (`python3`).
 *
 * @returns The folder of its programs.
 */
export async function pythonEnvironment(requirementsFile) {
  const python = process.env.PYTHON ?? 'python3';
  const version = (
    await run(python, [
      '-c',
      'import platform, sys; assert sys.version_info >= (3, 10), "Python 3.10 or newer is needed"; print(platform.python_version())',
    ])
  ).trim();
  const cache = process.env.COSMOS_TELEMETRY_AIRFLOW_CACHE ?? path.join(tmpdir(), 'cosmos-telemetry-airflow');
  const key = createHash('sha256').update(version).update(readFileSync(requirementsFile)).digest('hex').slice(0, 16);
  const folder = path.join(cache, `${path.basename(requirementsFile, '.txt')}-${key}`);
  const programs = path.join(folder, 'bin');
  const ready = path.join(folder, 'complete');
  if (existsSync(ready)) return programs;
  // The programs of an environment contain its path, so it cannot be moved later. The marker file means that it is complete.
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(cache, { recursive: true });
  console.log(`installing ${path.basename(requirementsFile)} for Python ${version}`);
  await run(python, ['-m', 'venv', folder]);
  await install(programs, requirementsFile);
  await run(path.join(programs, 'python'), ['-c', `open(${JSON.stringify(`${ready}.new`)}, 'w').close()`]);
  renameSync(`${ready}.new`, ready);
  return programs;
}

/** Uses uv if it is available: it takes seconds instead of minutes. */
async function install(programs, requirementsFile) {
  const python = path.join(programs, 'python');
  try {
    await run(python, ['-m', 'pip', 'install', '--quiet', 'uv']);
    await run(path.join(programs, 'uv'), ['pip', 'install', '--quiet', '--python', python, '--requirement', requirementsFile]);
  } catch (error) {
    console.log(`without uv: ${String(error.message).split('\n', 1)[0]}`);
    await run(python, ['-m', 'pip', 'install', '--quiet', '--requirement', requirementsFile]);
  }
}
