// Bun and Deno as runtimes of a host: close, a plain end, silence, refusal, an opt-out in the middle, a worker. Every request is counted
// by a server that reads bytes, because a runtime may send one again below us.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { startRaw } from './lib/raw-servers.mjs';

const here = (name) => fileURLToPath(new URL(name, import.meta.url));
const RUNTIMES = [
  { name: 'Node 20', binary: here('node_modules/node-20/bin/node'), args: [] },
  { name: 'Node 26', binary: here('node_modules/node-26/bin/node'), args: [] },
  { name: 'Bun 1.4', binary: here('node_modules/@oven/bun-linux-x64/bin/bun'), args: [] },
  { name: 'Deno 2.9', binary: here('node_modules/@deno/linux-x64-glibc/deno'), args: ['run', '--allow-all', '--no-prompt'] },
];

/** What a runtime lacks, as docs/compatibility.md says it. */
const LACKS = new Map([['Deno 2.9', ['a worker that ends by itself']]]);

/** Runtimes keep caches in the home directory. */
const home = mkdtempSync(join(tmpdir(), 'cosmos-telemetry-runtimes-'));
process.on('exit', () => rmSync(home, { recursive: true, force: true }));

const failures = [];

for (const runtime of RUNTIMES) {
  if (!existsSync(runtime.binary)) {
    console.log(`left out: ${runtime.name}, whose binary is for Linux on x64`);
    continue;
  }
  for (const [what, run] of Object.entries(CASES())) {
    const { found, wanted } = await run(runtime);
    const holds = JSON.stringify(found) === JSON.stringify(wanted);
    const isKnown = LACKS.get(runtime.name)?.includes(what) === true;
    if (holds === isKnown) failures.push(`${runtime.name}: ${what}`);
    console.log(`${holds ? 'ok    ' : isKnown ? 'lacks ' : 'FAILED'} ${runtime.name}: ${what}: ${JSON.stringify(found)}`);
    if (!holds && !isKnown) console.log(`       wanted: ${JSON.stringify(wanted)}`);
  }
}
process.exitCode = failures.length === 0 ? 0 : 1;

function CASES() {
  const delivered = { code: 0, sent: 2, requests: 2 };
  return {
    'close() delivers': async (runtime) => {
      const server = await startRaw();
      const { code, stats } = await host(runtime, { endpoint: server.url, end: 'close' });
      server.close();
      return { found: { code, sent: stats?.sent, requests: server.requests.length }, wanted: delivered };
    },
    'a plain end delivers': async (runtime) => {
      const server = await startRaw();
      const { code, stats } = await host(runtime, { endpoint: server.url, end: 'plain', options: { exitDeadlineMs: 5000 } });
      server.close();
      return { found: { code, sent: stats?.sent, requests: server.requests.length }, wanted: delivered };
    },
    'a silent endpoint is a timeout, and no request comes twice': async (runtime) => {
      const server = await startRaw(() => undefined);
      const options = { attemptTimeoutMs: 500, retries: 0 };
      const { code, stats } = await host(runtime, { endpoint: server.url, end: 'close', options });
      await new Promise((resolve) => setTimeout(resolve, 300));
      server.close();
      return {
        found: { code, reasons: stats?.reasons, requests: server.requests.length },
        wanted: { code: 0, reasons: { timeout: 2 }, requests: 2 },
      };
    },
    'a refused connection is `connect`': async (runtime) => {
      const port = await refusedPort();
      const { code, stats } = await host(runtime, { endpoint: `http://127.0.0.1:${port}`, end: 'close', options: { retries: 0 } });
      return {
        found: { code, sent: stats?.sent, isNetwork: 'network' in (stats?.reasons ?? {}) },
        wanted: { code: 0, sent: 0, isNetwork: false },
      };
    },
    'a connection that ends as the second request is written: each request comes once': async (runtime) => {
      let answered = 0;
      const server = await startRaw((_request, socket) => {
        answered += 1;
        if (answered % 2 === 0) {
          socket.resetAndDestroy();
          return undefined;
        }
        return 'HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok';
      });
      const { code, stats } = await host(runtime, {
        endpoint: server.url,
        end: 'close',
        events: 8,
        options: { concurrency: 1, drainConcurrency: 1 },
      });
      server.close();
      return {
        found: { code, sent: stats?.sent, network: stats?.reasons.network, requests: server.requests.length },
        wanted: { code: 0, sent: 4, network: 4, requests: 8 },
      };
    },
    'after an opt-out an aborted request does not come again': async (runtime) => {
      let answered = 0;
      const server = await startRaw(() => {
        answered += 1;
        return answered === 1 ? 'HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok' : undefined;
      });
      const options = { concurrency: 1, attemptTimeoutMs: 10_000 };
      const { code, stats } = await host(runtime, { endpoint: server.url, end: 'close', events: 3, options, isOptingOut: true });
      server.close();
      return {
        found: { code, sent: stats?.sent, reasons: stats?.reasons, requests: server.requests.length },
        wanted: { code: 0, sent: 1, reasons: { opted_out: 1, aborted: 1 }, requests: 2 },
      };
    },
    'a worker that closes': async (runtime) => {
      const server = await startRaw();
      const { code, stats } = await host(runtime, { endpoint: server.url, end: 'close' }, 'runtimes/worker.mjs');
      server.close();
      return { found: { code, sent: stats?.sent, requests: server.requests.length }, wanted: delivered };
    },
    'a worker that ends by itself': async (runtime) => {
      const server = await startRaw();
      const { code } = await host(
        runtime,
        { endpoint: server.url, end: 'plain', options: { exitDeadlineMs: 5000 } },
        'runtimes/worker.mjs',
      );
      server.close();
      return { found: { code, requests: server.requests.length }, wanted: { code: 0, requests: 2 } };
    },
  };
}

/** Runs a host to its end. */
async function host({ binary, args }, settings, script = 'runtimes/host.mjs') {
  const child = spawn(binary, [...args, here(script), JSON.stringify(settings)], {
    env: { PATH: process.env.PATH, HOME: home, DENO_NO_UPDATE_CHECK: '1' },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const limit = setTimeout(() => child.kill('SIGKILL'), 20_000);
  let text = '';
  child.stdout.on('data', (chunk) => (text += chunk));
  const [code] = await once(child, 'close');
  clearTimeout(limit);
  const line = text.split('\n').find((each) => each.startsWith('{'));
  return { code, stats: line && JSON.parse(line) };
}

/** A port that refuses connections while the returned server's own connection holds it: see `process-exit.test.ts`. */
async function refusedPort() {
  const server = createServer();
  await once(server.listen(0, '127.0.0.1'), 'listening');
  const { port } = server.address();
  server.close();
  return port;
}
