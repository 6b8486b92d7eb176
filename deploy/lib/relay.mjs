// Real relays for the tests: the command of `dist/`, an endpoint that can be told to be silent, and requests to both.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer, request } from 'node:http';
import { fileURLToPath } from 'node:url';
import { setTimeout as sleep } from 'node:timers/promises';
import { image } from './image.mjs';

export const BIN = fileURLToPath(new URL('../../dist/cli/bin.js', import.meta.url));
const LIMIT_MS = 30_000;

/** An endpoint: it keeps the targets that it got, and answers with `status`, or not at all while that is undefined. */
export async function startEndpoint(status = 204) {
  const endpoint = { status, targets: [], headers: {} };
  const server = createServer(({ url }, response) => {
    endpoint.targets.push(url);
    if (endpoint.status !== undefined) response.writeHead(endpoint.status, endpoint.headers).end();
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  endpoint.port = server.address().port;
  endpoint.url = `http://127.0.0.1:${endpoint.port}/astronomer-cosmos`;
  endpoint.close = () => {
    server.closeAllConnections();
    server.close();
  };
  return endpoint;
}

/** GET. @returns The status and the body; the status 0 if nothing answers. */
export function get(port, path, headers = {}) {
  return new Promise((resolve) => {
    request({ host: '127.0.0.1', port, path, headers, agent: false }, (response) => {
      let text = '';
      response
        .setEncoding('utf8')
        .on('data', (chunk) => (text += chunk))
        .on('end', () => resolve({ status: response.statusCode, text }));
    })
      .on('error', () => resolve({ status: 0, text: '' }))
      .end();
  });
}

/** Asks until the answer is as wanted. @throws after half a minute, with the last answer. */
export async function until(ask, isWanted) {
  const endMs = performance.now() + LIMIT_MS;
  for (;;) {
    const answer = await ask();
    if (isWanted(answer)) return answer;
    if (performance.now() > endMs) throw new Error(`still ${JSON.stringify(answer).slice(0, 2000)}`);
    await sleep(20);
  }
}

/** Starts `cosmos-telemetry` with these arguments and this environment alone. @param runner A command that starts it. */
export function startCommand(args, env, runner = []) {
  const bin = args.some((arg) => arg.startsWith('--jetstream=')) ? image().bin : BIN;
  const [file, ...rest] = [...runner, process.execPath, bin, ...args];
  const child = spawn(file, rest, { env: { PATH: process.env.PATH, ...env }, stdio: ['ignore', 'ignore', 'pipe'] });
  let log = '';
  child.stderr.setEncoding('utf8').on('data', (chunk) => (log += chunk));
  const ended = once(child, 'close').then(([code, signal]) => ({ code, signal }));
  return {
    ended,
    log: () => log,
    kill: (signal) => child.kill(signal),
    /** Sends SIGTERM. @returns The exit code, and how long the end took. */
    async stop() {
      const startedMs = performance.now();
      child.kill('SIGTERM');
      const { code } = await ended;
      return { code, seconds: (performance.now() - startedMs) / 1000 };
    },
  };
}

/** The value of each series of a page of metrics. */
export function seriesOf(text) {
  const lines = text.split('\n').filter((line) => line !== '' && !line.startsWith('#'));
  return new Map(lines.map((line) => [line.slice(0, line.lastIndexOf(' ')), Number(line.slice(line.lastIndexOf(' ') + 1))]));
}
