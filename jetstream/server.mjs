// A server of NATS with JetStream, on a free port, with its data in a temporary folder.
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

/** The version of nats-server on this machine; undefined without one. Debian's package puts it where only root looks. */
export function serverVersion(env = process.env) {
  const { stdout } = spawnSync('nats-server', ['--version'], { env: withSbin(env), encoding: 'utf8' });
  return /v?(\d+\.\d+\.\d+)/.exec(stdout ?? '')?.[1];
}

function withSbin(env = process.env) {
  return { ...env, PATH: `${env.PATH}:/usr/sbin` };
}

/** A free port. Whoever asks for it must take it soon. */
export async function freePort() {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address();
  server.close();
  await once(server, 'close');
  return port;
}

async function listens(port) {
  const socket = connect(port, '127.0.0.1');
  try {
    await once(socket, 'connect');
    const [greeting] = await once(socket, 'data');
    return String(greeting).startsWith('INFO');
  } catch {
    return false;
  } finally {
    socket.destroy();
  }
}

/** Starts a server. `stop()` and `start()` restart it on its port with its data; `end()` deletes them. */
export async function startNats(args = []) {
  const folder = mkdtempSync(join(tmpdir(), 'cosmos-nats-'));
  const port = await freePort();
  let child;
  const start = async () => {
    child = spawn('nats-server', ['-a', '127.0.0.1', '-p', String(port), '-js', '-sd', folder, ...args], {
      env: withSbin(),
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    let log = '';
    child.stderr.on('data', (chunk) => (log = `${log}${chunk}`.slice(-4000)));
    for (let tries = 0; tries < 400; tries += 1) {
      if (child.exitCode !== null) throw new Error(`nats-server ended: ${log}`);
      if (await listens(port)) return;
      await sleep(25);
    }
    throw new Error(`nats-server does not listen: ${log}`);
  };
  const stop = async (signal = 'SIGTERM') => {
    if (child.exitCode !== null || child.signalCode !== null) return;
    const ended = once(child, 'exit');
    child.kill(signal);
    await ended;
  };
  await start();
  return {
    url: `nats://127.0.0.1:${port}`,
    port,
    get pid() {
      return child.pid;
    },
    start,
    stop,
    end: async () => {
      await stop('SIGKILL');
      rmSync(folder, { recursive: true, force: true });
    },
  };
}
