// The built relay command in a process of its own, with a spool on disk, for tests that kill it.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { request as openRequest } from 'node:http';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

const BIN = join(import.meta.dirname, '..', '..', 'dist', 'cli', 'bin.js');
const WAIT_MS = 30_000;

/**
 * Starts a relay and waits until it listens.
 *
 * @param folder its home directory
 * @param wrapper a command that runs the relay, such as strace with its arguments
 * @returns `said` is what it wrote to standard error so far
 */
export async function startRelay({ folder, spool, forward, wrapper = [] }) {
  const args = ['--listen', '127.0.0.1:0', '--forward', forward, '--spool', spool];
  const times = ['--backoff-ms', '20', '--max-backoff-ms', '200'];
  const [command, ...rest] = [...wrapper, process.execPath, BIN, 'relay', ...args, ...times, '--log-level', 'warn'];
  // A group of its own, so that a wrapper and the relay below it are killed together.
  const child = spawn(command, rest, {
    env: { PATH: process.env.PATH, HOME: folder, XDG_CONFIG_DIRS: join(folder, 'none') },
    stdio: ['ignore', 'ignore', 'pipe'],
    detached: true,
  });
  const ended = once(child, 'close');
  const relay = { said: '', url: '', kill, get: (path) => get(`${relay.url}${path}`) };
  child.stderr.on('data', (chunk) => (relay.said += chunk));

  /** Kills it with SIGKILL, and waits for its end. Harmless after the end. */
  async function kill() {
    if (child.exitCode === null && child.signalCode === null) process.kill(-Number(child.pid), 'SIGKILL');
    await ended;
  }

  for (const endMs = Date.now() + WAIT_MS; Date.now() < endMs && child.exitCode === null; await sleep(20)) {
    const [, url] = /^listening on (http:\S+)$/m.exec(relay.said) ?? [];
    if (url !== undefined) return Object.assign(relay, { url });
  }
  await kill();
  throw new Error(`The relay does not start: ${relay.said}`);
}

/** One GET over a new connection. */
function get(url) {
  return new Promise((resolve, reject) => {
    const sent = openRequest(url, { agent: false }, (response) => {
      let text = '';
      response.setEncoding('utf8');
      response.on('data', (chunk) => (text += chunk));
      response.on('end', () => resolve({ status: response.statusCode, text }));
    });
    sent.on('error', reject);
    sent.end();
  });
}
