import { spawn } from 'node:child_process';
import type { ChildProcessByStdio } from 'node:child_process';
import type { Readable, Writable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import type { ExecutionContext } from 'ava';
import { guardedEnv } from '../../helpers/guarded-env.js';

/** A process with a spool, its output, and its end. */
export interface SpoolChild {
  process: ChildProcessByStdio<Writable, Readable, Readable>;
  lines: () => string[];
  /** Resolves once it has written so many lines; rejects if it ends before. */
  said: (lines: number) => Promise<void>;
  ended: Promise<{ code: number | null; stderr: string }>;
}

/** Starts `spool-child`; it is killed after the test. */
export function startChild(t: ExecutionContext, directory: string, task: string, ...args: string[]): SpoolChild {
  const file = fileURLToPath(new URL('./spool-child.js', import.meta.url));
  const child = spawn(process.execPath, ['--unhandled-rejections=strict', file, directory, task, ...args], {
    env: guardedEnv({ PATH: process.env['PATH'], NODE_V8_COVERAGE: '' }),
    stdio: ['pipe', 'pipe', 'pipe'],
  });
  t.teardown(() => child.kill('SIGKILL'));
  let stdout = '';
  let stderr = '';
  const listeners = new Set<() => void>();
  child.stdout.on('data', (chunk: Buffer) => {
    stdout += chunk.toString();
    for (const listener of listeners) listener();
  });
  child.stderr.on('data', (chunk: Buffer) => (stderr += chunk.toString()));
  // A line without a newline was cut off by the end of the process.
  const lines = (): string[] => stdout.split('\n').slice(0, -1);
  const ended = new Promise<{ code: number | null; stderr: string }>((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code) => resolve({ code, stderr }));
  });
  const said = (count: number): Promise<void> =>
    new Promise((resolve, reject) => {
      const look = (): void => {
        if (lines().length < count) return;
        listeners.delete(look);
        resolve();
      };
      listeners.add(look);
      look();
      ended.then(({ stderr: last }) => reject(new Error(`It ended after ${lines().length} lines: ${last}`)), reject);
    });
  return { process: child, lines, said, ended };
}
