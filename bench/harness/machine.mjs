// Describes the machine and the versions: a figure means nothing without them.
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import os from 'node:os';
import { NODE } from './child.mjs';

export function describeMachine() {
  return {
    node: execFileSync(NODE, ['--version'], { encoding: 'utf8' }).trim().slice(1),
    system: `${os.type()} ${os.release()}`,
    processor: os.cpus()[0]?.model ?? os.machine(),
    cores: os.availableParallelism(),
    memoryGiB: Math.round(os.totalmem() / 1024 ** 3),
    loadBefore: Math.round(os.loadavg()[0] * 100) / 100,
  };
}

export function describeVersions() {
  const { dependencies } = read('../package.json');
  return { 'cosmos-telemetry': read('../../package.json').version, ...dependencies };
}

/** The measured commit, with a plus sign if files differ from it; null outside of a clone. */
export function describeCommit() {
  try {
    return `${git('rev-parse', '--short', 'HEAD')}${git('status', '--porcelain', '--untracked-files=no') === '' ? '' : '+'}`;
  } catch {
    return null;
  }
}

function git(...args) {
  return execFileSync('git', args, { encoding: 'utf8', cwd: new URL('.', import.meta.url), stdio: ['ignore', 'pipe', 'ignore'] }).trim();
}

function read(file) {
  return JSON.parse(readFileSync(new URL(file, import.meta.url), 'utf8'));
}
