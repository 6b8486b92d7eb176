import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { guardedEnv } from './guarded-env.js';

/** How a child process ended. */
export interface ChildEnd {
  code: number | null;
  stdout: string;
  stderr: string;
}

/** Children mostly wait, so each test file may run a few of them at a time. */
const MAX_CHILDREN = 3;

const queue: (() => void)[] = [];
let running = 0;

/**
 * Runs a compiled helper of this folder in a process of its own, three at a time; the others wait for their turn. An unhandled
 * rejection ends the process.
 */
export async function runChild(helper: string, args: readonly string[], env: NodeJS.ProcessEnv = {}): Promise<ChildEnd> {
  if (running < MAX_CHILDREN) running += 1;
  else
    await new Promise<void>((resolve) => {
      queue.push(resolve);
    });
  try {
    return await spawnChild(helper, args, env);
  } finally {
    const next = queue.shift();
    if (next === undefined) running -= 1;
    else next();
  }
}

function spawnChild(helper: string, args: readonly string[], env: NodeJS.ProcessEnv): Promise<ChildEnd> {
  const file = fileURLToPath(new URL(`./${helper}.js`, import.meta.url));
  const child = spawn(process.execPath, ['--unhandled-rejections=strict', file, ...args], {
    // Set, because Node passes its own value on: coverage costs more than the child itself, and few children add to it.
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
