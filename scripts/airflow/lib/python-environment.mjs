// A Python environment per requirements file, kept outside the repository so that a second run finds it there.
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { run } from './processes.mjs';

/**
 * Makes the environment where it is not there yet. COSMOS_TELEMETRY_AIRFLOW_CACHE says where environments are kept, and PYTHON which
 * Python makes them (`python3`).
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
  // Programs of an environment know its path, so it is made in its place; the mark says that it was finished.
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(cache, { recursive: true });
  console.log(`installing ${path.basename(requirementsFile)} for Python ${version}`);
  await run(python, ['-m', 'venv', folder]);
  await install(programs, requirementsFile);
  await run(path.join(programs, 'python'), ['-c', `open(${JSON.stringify(`${ready}.new`)}, 'w').close()`]);
  renameSync(`${ready}.new`, ready);
  return programs;
}

/** With uv where it can be had, which takes seconds instead of minutes. */
async function install(programs, requirementsFile) {
  const python = path.join(programs, 'python');
  try {
    await run(python, ['-m', 'pip', 'install', '--quiet', 'uv']);
    await run(path.join(programs, 'uv'), ['pip', 'install', '--quiet', '--python', python, '--requirement', requirementsFile]);
  } catch (error) {
    console.log(`without uv, since ${String(error.message).split('\n', 1)[0]}`);
    await run(python, ['-m', 'pip', 'install', '--quiet', '--requirement', requirementsFile]);
  }
}
