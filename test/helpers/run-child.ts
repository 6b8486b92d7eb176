import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { guardedEnv } from './guarded-env.js';

/** The end of a child process. */
export interface ChildEnd {
  code: number | null;
  stdout: string;
  stderr: string;
}

/** Runs a compiled helper of this folder, or a script (`.mjs`), in a child process. An unhandled rejection ends it with an error. */
export function runChild(helper: string, args: readonly string[], env: NodeJS.ProcessEnv = {}): Promise<ChildEnd> {
  const file = fileURLToPath(new URL(helper.endsWith('.mjs') ? helper : `./${helper}.js`, import.meta.url));
  const child = spawn(process.execPath, ['--unhandled-rejections=strict', file, ...args], {
    // Without this, a child inherits NODE_V8_COVERAGE. Its coverage takes longer than the child itself, and few children add any.
    env: guardedEnv({ PATH: process.env['PATH'], NODE_V8_COVERAGE: '', ...env }),
    stdio: ['ignore', 'pipe', 'pipe'],
    timeout: 30_000,
  });
  let stdout = '';
  let stderr = '';
  child.stdout.on('data', (chunk: Buffer) => (stdout += chunk.toString()));
  child.stderr.on('data', (chunk: Buffer) => (stderr += chunk.toString()));
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code) => {
      resolve({ code, stdout, stderr });
    });
  });
}
