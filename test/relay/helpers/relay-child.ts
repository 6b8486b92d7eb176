import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import type { ExecutionContext } from 'ava';
import { guardedEnv } from '../../helpers/guarded-env.js';
import { get } from './relay-rig.js';

const BIN = fileURLToPath(new URL('../../../src/cli/bin.js', import.meta.url));

/** A temporary directory, removed after the test. */
export function makeFolder(t: ExecutionContext): string {
  const folder = mkdtempSync(path.join(tmpdir(), 'relay-'));
  t.teardown(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** `cosmos-telemetry relay` in a child process, killed after the test. */
export class RelayChild {
  readonly process: ChildProcess;
  stderr = '';
  stdout = '';
  readonly ended: Promise<number | string | null>;
  #changed = (): void => undefined;

  /** @param descriptors The most file descriptors that it may have open. @default as many as this process */
  constructor(t: ExecutionContext, args: readonly string[], env: NodeJS.ProcessEnv = {}, descriptors?: number) {
    const home = makeFolder(t);
    const limited = descriptors === undefined ? [] : ['/bin/sh', '-c', `ulimit -n ${descriptors}; exec "$@"`, 'sh'];
    const [file, ...rest] = [...limited, process.execPath, BIN, 'relay', ...args] as [string, ...string[]];
    this.process = spawn(file, rest, {
      env: guardedEnv({
        PATH: process.env['PATH'],
        NODE_V8_COVERAGE: process.env['NODE_V8_COVERAGE'] ?? '',
        HOME: home,
        APPDATA: home,
        XDG_CONFIG_DIRS: home,
        ...env,
      }),
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    this.process.stdout?.on('data', (chunk: Buffer) => (this.stdout += chunk.toString()));
    this.process.stderr?.on('data', (chunk: Buffer) => {
      this.stderr += chunk.toString();
      this.#changed();
    });
    this.ended = once(this.process, 'close').then(([code, signal]: unknown[]) => {
      this.#changed();
      return (code ?? signal) as number | string | null;
    });
    t.teardown(async () => {
      this.process.kill('SIGKILL');
      await this.ended;
    });
  }

  /** Waits until its standard error matches. */
  async says(pattern: RegExp): Promise<RegExpExecArray> {
    for (;;) {
      const found = pattern.exec(this.stderr);
      if (found !== null) return found;
      if (this.process.exitCode !== null) throw new Error(`The child ended: ${this.stderr}`);
      await new Promise<void>((resolve) => {
        this.#changed = resolve;
      });
    }
  }

  /** The port at which it listens. */
  async port(): Promise<number> {
    return Number((await this.says(/^listening on http:\/\/127\.0\.0\.1:(\d+)$/m))[1]);
  }

  /** The value of one metric. */
  async metric(name: string): Promise<number> {
    const { text } = await get(await this.port(), '/metrics');
    return Number(new RegExp(`^cosmos_relay_${name} (.+)$`, 'm').exec(text)?.[1]);
  }
}
