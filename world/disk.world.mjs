// One relay, one spool, and one trouble after the other, with `kill -9` in between: an edge that answers for the endpoint, a settings file
// that the system refuses to read (errors by `strace -e inject`), and the fsGroup pass of Kubernetes over the spool. When all is well
// again, every acknowledged event must arrive.
import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { startRelay } from './lib/relay-process.mjs';

const EVENTS = 20;
const WAIT_MS = 30_000;
const hasStrace = spawnSync('strace', ['-e', 'trace=none', 'true']).status === 0;

const failures = [];
const check = (holds, what) => {
  console.log(`${holds ? 'ok    ' : 'FAILED'} ${what}`);
  if (!holds) failures.push(what);
};

let status = 521;
const arrived = new Map();
const endpoint = createServer((request, response) => {
  if (status < 300) arrived.set(request.url, (arrived.get(request.url) ?? 0) + 1);
  response.writeHead(status).end();
});
endpoint.listen(0, '127.0.0.1');
await once(endpoint, 'listening');

const folder = mkdtempSync(join(tmpdir(), 'cosmos-telemetry-disk-'));
const spool = join(folder, 'spool');
const SETTINGS = join(folder, '.config', 'cosmos', 'telemetry.json');

/** `code`: the error of each system call that looks at the settings file. */
function start(code) {
  const strace = ['strace', '-f', '-o', '/dev/null', '-P', SETTINGS, '-e', `inject=open,openat,stat,statx,lstat:error=${code}`];
  const forward = `http://127.0.0.1:${endpoint.address().port}`;
  return startRelay({ folder, spool, forward, wrapper: code === undefined ? [] : strace });
}

const acknowledged = [];
async function publish(relay, wanted) {
  const seen = new Set();
  for (let index = 0; index < EVENTS; index += 1) {
    const target = `/v3/dag_run?status=success&task_count=${acknowledged.length}`;
    const answer = await relay.get(target);
    seen.add(answer.status);
    // 200 says that the event is in memory alone: the kill may take it.
    if (answer.status === 204) acknowledged.push(target);
  }
  check([...seen].join() === String(wanted), `${EVENTS} events are answered with ${[...seen].join()} (wanted ${wanted})`);
}

const linesOnDisk = () => readdirSync(spool).filter((name) => name.startsWith('events-')).length;

let relay;
try {
  console.log('an edge answers 521');
  relay = await start();
  await publish(relay, 204);
  await relay.kill();

  if (hasStrace) {
    for (const code of ['EMFILE', 'EIO', 'ESTALE', 'ENOMEM', 'EACCES']) {
      console.log(`${code} at each look at telemetry.json`);
      relay = await start(code);
      await publish(relay, 204);
      const { text } = await relay.get('/readyz');
      check(text.startsWith('ready, but nothing is sent'), `/readyz says: ${text.trim()}`);
      await relay.kill();
      check(linesOnDisk() > 0, 'the spool is kept');
    }
  } else console.log('left out: errors of the file system need strace');

  console.log('the fsGroup pass of Kubernetes');
  chmodSync(spool, 0o2770);
  for (const name of readdirSync(spool)) chmodSync(join(spool, name), 0o660);
  relay = await start();
  check(relay.said.includes('spool_permissions'), 'the relay takes back its permissions, and says so');
  check((statSync(spool).mode & 0o7777) === 0o700, `the mode is ${(statSync(spool).mode & 0o7777).toString(8)}`);
  await publish(relay, 204);
  await relay.kill();

  console.log('all is well again');
  status = 200;
  relay = await start();
  await publish(relay, 204);
  for (const endMs = Date.now() + WAIT_MS; Date.now() < endMs && acknowledged.some((target) => !arrived.has(target)); ) await sleep(50);
  const missing = acknowledged.filter((target) => !arrived.has(target)).length;
  const twice = acknowledged.filter((target) => arrived.get(target) > 1).length;
  check(missing === 0, `${acknowledged.length - missing} of ${acknowledged.length} acknowledged events arrived, ${twice} of them twice`);
} finally {
  await relay?.kill();
  endpoint.close();
  endpoint.closeAllConnections();
  rmSync(folder, { recursive: true, force: true });
}
process.exitCode = failures.length === 0 ? 0 : 1;
