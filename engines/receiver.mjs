// What stands between a client and the file that engines read: a receiver of POSTs, and a relay in front of it.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { appendFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { gunzipSync, gzipSync } from 'node:zlib';

const BIN = join(import.meta.dirname, '..', 'dist', 'cli', 'bin.js');
const LIMIT_MS = 30_000;

/**
 * Appends the body of each POST to a file of gzip members, as docs/receiving.md says: a compressed body as it is. The answer to the first one
 * is lost, so that batch comes again.
 */
export async function startReceiver(file) {
  /** @type {{ compressed: number, plain: number, lines: number, wrong: string[] }} */
  const posts = { compressed: 0, plain: 0, lines: 0, wrong: [] };
  const server = createServer((request, response) => {
    const chunks = [];
    request.on('data', (chunk) => chunks.push(chunk));
    request.on('end', () => {
      const body = Buffer.concat(chunks);
      const isCompressed = request.headers['content-encoding'] === 'gzip';
      const text = (isCompressed ? gunzipSync(body) : body).toString('utf8');
      if (request.method !== 'POST' || request.headers['content-type'] !== 'application/x-ndjson' || !text.endsWith('\n')) {
        posts.wrong.push(`${request.method} ${JSON.stringify(request.headers)} ${text.slice(-80)}`);
      }
      appendFileSync(file, isCompressed ? body : gzipSync(body));
      posts.lines += text.split('\n').length - 1;
      posts[isCompressed ? 'compressed' : 'plain'] += 1;
      if (posts.compressed + posts.plain === 1) request.socket.destroy();
      else response.writeHead(204).end();
    });
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    url: `http://127.0.0.1:${server.address().port}/ingest`,
    posts,
    close() {
      server.closeAllConnections();
      server.close();
    },
  };
}

/** The relay of `dist/`, with a spool, which forwards every event as lines. */
export async function startRelay({ folder, forward }) {
  const args = ['relay', '--listen', '127.0.0.1:0', '--spool', join(folder, 'spool'), '--verbatim'];
  const child = spawn(process.execPath, [BIN, ...args, '--forward-kind', 'ndjson', '--forward', forward], {
    env: { PATH: process.env.PATH, HOME: folder, XDG_CONFIG_DIRS: join(folder, 'none') },
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  const ended = once(child, 'close');
  let said = '';
  child.stderr.setEncoding('utf8').on('data', (text) => (said += text));
  /** It delivers what it has, and ends. @throws Error if it cannot */
  const stop = async () => {
    child.kill('SIGTERM');
    const [code] = await ended;
    if (code !== 0) throw new Error(`the relay ended with ${code}: ${said}`);
  };
  for (const endMs = Date.now() + LIMIT_MS; Date.now() < endMs && child.exitCode === null; await sleep(20)) {
    const [, url] = /^listening on (http:\S+)$/m.exec(said) ?? [];
    if (url !== undefined) return { url: `${new URL(url).origin}/v3/events`, stop };
  }
  child.kill('SIGKILL');
  throw new Error(`the relay does not start: ${said}`);
}
