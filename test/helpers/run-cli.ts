import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import type { ExecutionContext } from 'ava';
import { createTelemetryCli } from '../../src/cli/index.js';
import type { CliIo, TelemetryCliOptions } from '../../src/cli/index.js';
import { guardedEnv } from './guarded-env.js';
import { childQueue } from './at-a-time.js';

const BIN = fileURLToPath(new URL('../../../dist/cli/bin.js', import.meta.url));

/** The end of a command. */
export interface CliEnd {
  code: number | null;
  stdout: string;
  stderr: string;
}

/** An empty home directory, and the variables that name it. */
export interface Home {
  folder: string;
  /** The path of the config file of `product`. */
  file: (product: string) => string;
  env: NodeJS.ProcessEnv;
}

/** Makes a home for one test, and removes it afterwards. */
export function makeHome(t: ExecutionContext): Home {
  const folder = mkdtempSync(path.join(tmpdir(), 'telemetry-cli-'));
  t.teardown(() => rmSync(folder, { recursive: true, force: true }));
  return {
    folder,
    file: (product) => path.join(folder, '.config', product, 'telemetry.json'),
    env: { HOME: folder, APPDATA: path.join(folder, '.config'), XDG_CONFIG_DIRS: path.join(folder, 'policy') },
  };
}

/** Runs the built `cosmos-telemetry` in a process of its own, at most three at a time. */
export function runBin(args: readonly string[], env: NodeJS.ProcessEnv, input?: string | Buffer): Promise<CliEnd> {
  return childQueue(() => spawnBin(args, env, input));
}

async function spawnBin(args: readonly string[], env: NodeJS.ProcessEnv, input?: string | Buffer): Promise<CliEnd> {
  const child = spawn(process.execPath, [BIN, ...args], {
    env: guardedEnv({ SystemRoot: process.env['SystemRoot'], ...env }),
    stdio: [input === undefined ? 'ignore' : 'pipe', 'pipe', 'pipe'],
    timeout: 30_000,
  });
  let stdout = '';
  let stderr = '';
  child.stdout?.on('data', (chunk: Buffer) => (stdout += chunk.toString()));
  child.stderr?.on('data', (chunk: Buffer) => (stderr += chunk.toString()));
  // The child may end before it has read all of the input.
  child.stdin?.on('error', () => undefined);
  child.stdin?.end(input);
  const [code] = (await once(child, 'close')) as [number | null];
  return { code, stdout, stderr };
}

/** Runs a product's command in this process, with Linux as the default platform. */
export async function runCli(options: TelemetryCliOptions, args: readonly string[], io: CliIo = {}): Promise<CliEnd> {
  let stdout = '';
  let stderr = '';
  const code = await createTelemetryCli(options).run(args, {
    platform: 'linux',
    env: {},
    stdout: { write: (text) => (stdout += text) },
    stderr: { write: (text) => (stderr += text) },
    ...io,
  });
  return { code, stdout, stderr };
}
