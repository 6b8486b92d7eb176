import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import type { ExecutionContext } from 'ava';
import type { FetchTransportOptions } from '../../src/delivery/http/fetch-transport.js';
import type { SendOutcome } from '../../src/delivery/transport.js';
import { guardedEnv } from './guarded-env.js';

/** What a sender of its own process does. */
export interface SenderJob {
  options: Omit<FetchTransportOptions, 'logger' | 'env'>;
  /** How many events are sent. @default 1 */
  sends?: number;
  /** How many of the sends are waited for, in turn, in a process that is held meanwhile. @default all */
  waitFor?: number;
  /** How long the process has something else to do after its sends, in milliseconds. */
  aliveMs?: number;
  /**
   * Where names lead: to this machine, to it by an IPv6 address that refuses and an IPv4 one, nowhere ever, where the transport's
   * own look-up finds them, or where a name server says. @default 'loopback'
   */
  names?: 'loopback' | 'both-families' | 'silent' | 'own' | { server: string };
}

/** How a sender ended. */
export interface SenderEnd {
  outcomes: SendOutcome[];
  code: number | null;
  stderr: string;
  /** From its last word, said when its script had nothing left to do, to its end. */
  lingeredMs: number;
}

/** Runs a sender in a process of its own, with this environment and the guard of the tests. */
export async function runSender(t: ExecutionContext, job: SenderJob, env: Record<string, string> = {}): Promise<SenderEnd> {
  const script = fileURLToPath(new URL('send-child.js', import.meta.url));
  const child = spawn(process.execPath, ['--unhandled-rejections=strict', script, JSON.stringify(job)], {
    env: guardedEnv(env),
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  t.teardown(() => child.kill('SIGKILL'));
  let stdout = '';
  let stderr = '';
  let saidAt = 0;
  child.stdout.on('data', (chunk: Buffer) => {
    stdout += chunk.toString();
    saidAt = performance.now();
  });
  child.stderr.on('data', (chunk: Buffer) => {
    stderr += chunk.toString();
  });
  const code = await new Promise<number | null>((resolve) => {
    child.once('close', resolve);
  });
  const lingeredMs = performance.now() - saidAt;
  return { outcomes: stdout === '' ? [] : (JSON.parse(stdout) as SendOutcome[]), code, stderr, lingeredMs };
}
