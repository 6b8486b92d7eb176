// A host that has no descriptors, or a full thread pool, when this package loads what it loads late. Argument: a scene. It runs the built
// package and prints a `LateReport`.
import { execFileSync } from 'node:child_process';
import { EventEmitter, once } from 'node:events';
import fs from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout } from 'node:timers/promises';
import type * as Index from '../../src/index.js';
import type { DrainReport } from '../../src/index.js';

export const SCENES = ['no descriptors', 'descriptors at close', 'no descriptors at close', 'full thread pool', 'polluted'] as const;
export type Scene = (typeof SCENES)[number];

/** What the child prints. */
export interface LateReport {
  stats: DrainReport;
  requests: number;
  warnings: string[];
}

const scene = process.argv[2] as Scene | undefined;
if (scene !== undefined && SCENES.includes(scene)) await play(scene);

async function play(now: Scene): Promise<void> {
  const { createTelemetry } = (await import(new URL('../../../dist/index.js', import.meta.url).href)) as typeof Index;
  let requests = 0;
  const server = createServer((_request, response) => {
    requests += 1;
    response.end();
    server.emit('answered');
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  const { port } = server.address() as AddressInfo;
  const warnings: string[] = [];
  const log = new EventEmitter();
  const logger = {
    debug: () => undefined,
    warn: (line: string) => {
      warnings.push(line);
      log.emit('warning');
    },
  };
  const telemetry = createTelemetry({
    product: { name: 'acme', version: '1.0.0' },
    dbt: true,
    endpoint: `http://127.0.0.1:${port}`,
    env: {},
    logger,
  });
  const publish = (): void =>
    void telemetry.publish('dbt_docs_access', {
      storage_type: 's3',
      docs_dir_configured: true,
      uses_custom_conn: false,
      has_custom_name: false,
    });
  const warning = once(log, 'warning');

  if (now === 'full thread pool') {
    const free = fillThreadPool();
    publish();
    await once(server, 'answered');
    const stats = await telemetry.close();
    free();
    print({ stats, requests, warnings });
  } else if (now === 'polluted') {
    // Node 24 and 26 cannot load their HTTP meanwhile.
    Reflect.set(Object.prototype, 'signal', 1);
    publish();
    await telemetry.drain({ deadlineMs: 200 });
    Reflect.deleteProperty(Object.prototype, 'signal');
    publish();
    print({ stats: await telemetry.close(), requests, warnings });
  } else {
    const taken = takeDescriptors();
    for (let event = 0; event < (now === 'no descriptors' ? 3 : 1); event += 1) publish();
    await warning;
    const giveBack = (): void => taken.forEach((descriptor) => fs.closeSync(descriptor));
    if (now === 'no descriptors at close') {
      const stats = await telemetry.close({ deadlineMs: 300 });
      giveBack();
      print({ stats, requests, warnings });
    } else {
      giveBack();
      // It tries again by itself, a second after the first time.
      if (now === 'no descriptors') while (telemetry.stats().pending > 0) await setTimeout(10);
      print({ stats: await telemetry.close(), requests, warnings });
    }
  }
  server.closeAllConnections();
  server.close();
}

/** Takes every descriptor that the process may have. */
function takeDescriptors(): number[] {
  const taken: number[] = [];
  try {
    for (;;) taken.push(fs.openSync('/dev/null', 'r'));
  } catch {
    return taken;
  }
}

/** Has every thread of the pool wait for the writer of a pipe. @returns Ends the waits. */
function fillThreadPool(): () => void {
  const folder = fs.mkdtempSync(path.join(tmpdir(), 'late-'));
  const pipe = path.join(folder, 'pipe');
  execFileSync('mkfifo', [pipe]);
  for (let thread = 0; thread < 4; thread += 1) fs.open(pipe, 'r', (_error, descriptor) => fs.closeSync(descriptor));
  return () => {
    fs.closeSync(fs.openSync(pipe, 'r+'));
    fs.rmSync(folder, { recursive: true });
  };
}

function print(report: LateReport): void {
  fs.writeSync(1, JSON.stringify(report));
}
