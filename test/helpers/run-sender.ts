import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import type { ExecutionContext } from 'ava';
import type { FetchTransportOptions } from '../../src/delivery/http/fetch-transport.js';
import type { SendOutcome } from '../../src/delivery/transport.js';
import { guardedEnv } from './guarded-env.js';

/** The task of a sender process. */
export interface SenderJob {
  /** Its clock stands still: no limit runs out, and no connection gets too old to be used again. */
  isStill?: boolean;
  options: Omit<FetchTransportOptions, 'logger' | 'env'>;
  /** Number of sends. @default 1 */
  sends?: number;
  /** Number of sends that the process awaits, one after the other. @default all */
  waitFor?: number;
  /** How long the process stays alive after its sends, in milliseconds. */
  aliveMs?: number;
  /**
   * How host names are looked up: this machine; this machine with an IPv6 address that refuses and an IPv4 one; no answer; the look-up
   * of the transport; a name server. @default 'loopback'
   */
  names?: 'loopback' | 'both-families' | 'silent' | 'own' | { server: string };
}

/** The end of a sender process. */
export interface SenderEnd {
  outcomes: SendOutcome[];
  code: number | null;
  stderr: string;
  /** Time from its last output, at the end of the script, to the end of the process. */
  lingeredMs: number;
}

/** Runs a sender process with this environment and the guard of the tests. */
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
