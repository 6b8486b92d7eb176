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

const BIN = fileURLToPath(new URL('../../../dist/cli/bin.js', import.meta.url));

/** The end of a command. */
export interface CliEnd {
  code: number | null;
  stdout: string;
  stderr: string;
}

/** An empty home folder. */
export interface Home {
  folder: string;
  /** Path of the config file of `product`. */
  file: (product: string) => string;
  env: NodeJS.ProcessEnv;
}

/** Makes a home folder. It is removed at the end of the test. */
export function makeHome(t: ExecutionContext): Home {
  const folder = mkdtempSync(path.join(tmpdir(), 'telemetry-cli-'));
  t.teardown(() => rmSync(folder, { recursive: true, force: true }));
  return {
    folder,
    file: (product) => path.join(folder, '.config', product, 'telemetry.json'),
    env: { HOME: folder, APPDATA: path.join(folder, '.config'), XDG_CONFIG_DIRS: path.join(folder, 'policy') },
  };
}

/** Runs the built `cosmos-telemetry` in a child process. */
export async function runBin(args: readonly string[], env: NodeJS.ProcessEnv, input?: string | Buffer): Promise<CliEnd> {
  const child = spawn(process.execPath, [BIN, ...args], {
    env: guardedEnv({ SystemRoot: process.env['SystemRoot'], ...env }),
    stdio: [input === undefined ? 'ignore' : 'pipe', 'pipe', 'pipe'],
    timeout: 30_000,
  });
  let stdout = '';
  let stderr = '';
  child.stdout?.on('data', (chunk: Buffer) => (stdout += chunk.toString()));
  child.stderr?.on('data', (chunk: Buffer) => (stderr += chunk.toString()));
  // The command may end before it has read its input.
  child.stdin?.on('error', () => undefined);
  child.stdin?.end(input);
  const [code] = (await once(child, 'close')) as [number | null];
  return { code, stdout, stderr };
}

/** Runs a command of a product in this process, as on Linux unless `io` says otherwise. */
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
