// nginx as a receiver, by the configuration in docs/receiving.md: it keeps the body of each POST as a file.
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { appendFileSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { gzipSync } from 'node:zlib';
import { freePort } from '../jetstream/server.mjs';

const PAGE = join(import.meta.dirname, '..', 'docs', 'receiving.md');
const LIMIT_MS = 10_000;

/** @returns Why it cannot run, or undefined. */
export function whyNoNginx() {
  return spawnSync('nginx', ['-v']).error === undefined ? undefined : 'nginx is not installed';
}

/** The part of `http` that the page shows, in another folder and on another port. */
function configurationOf(folder, port) {
  const [, shown] = /^```nginx\n([\s\S]*?)^```$/m.exec(readFileSync(PAGE, 'utf8')) ?? [];
  if (shown === undefined) throw new Error('docs/receiving.md shows no configuration of nginx');
  const http = shown.replaceAll('/var/lib/usage', folder).replace('listen 8080;', `listen 127.0.0.1:${port};`);
  const own = ['proxy', 'fastcgi', 'uwsgi', 'scgi'].map((kind) => `${kind}_temp_path ${join(folder, 'temp')};`).join('\n');
  return `daemon off;\nmaster_process off;\npid ${join(folder, 'pid')};\nerror_log stderr warn;\nevents {}\nhttp {\naccess_log off;\n${own}\n${http}}\n`;
}

function isOpen(port) {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1', () => resolve(true)).on('error', () => resolve(false));
    socket.on('connect', () => socket.destroy());
  });
}

/** Starts nginx. `stop(file)` ends it and appends what it has kept. */
export async function startNginx(parent) {
  const folder = join(parent, 'nginx');
  mkdirSync(folder);
  const port = await freePort();
  const configuration = join(folder, 'nginx.conf');
  writeFileSync(configuration, configurationOf(folder, port));
  const child = spawn('nginx', ['-p', folder, '-e', 'stderr', '-c', configuration], { stdio: ['ignore', 'ignore', 'pipe'] });
  let said = '';
  child.stderr.setEncoding('utf8').on('data', (text) => (said += text));
  const ended = once(child, 'close');
  for (const endMs = Date.now() + LIMIT_MS; !(await isOpen(port)); await sleep(20)) {
    if (child.exitCode !== null || Date.now() > endMs) {
      child.kill('SIGKILL');
      throw new Error(`nginx does not start: ${said}`);
    }
  }
  const kept = (kind) => {
    const place = join(folder, kind);
    return readdirSync(place).map((name) => readFileSync(join(place, name)));
  };
  return {
    url: `http://127.0.0.1:${port}/ingest`,
    /** @returns How many compressed bodies there were, and how many others. */
    async stop(file) {
      child.kill('SIGQUIT');
      await ended;
      const [compressed, plain] = ['gzip', 'plain'].map(kept);
      for (const body of compressed) appendFileSync(file, body);
      for (const body of plain) appendFileSync(file, gzipSync(body));
      return { compressed: compressed.length, plain: plain.length };
    },
  };
}
