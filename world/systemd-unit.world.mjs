// The relay under the filters of the unit that we ship: `examples/relay/cosmos-relay.service` names a command, address families, system
// calls, a umask, and a user without rights. The same command runs under the same seccomp rules. It must start, acknowledge events that
// lie on disk, deliver them, and end with 0 at SIGTERM; and start again with what it left.
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, chownSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, symlinkSync } from 'node:fs';
import { createServer, request } from 'node:http';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as wait } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const UNIT = 'examples/relay/cosmos-relay.service';
/** From the range that systemd takes for `DynamicUser`. */
const DYNAMIC_UID = 61_234;
const PATIENCE_MS = 30_000;

if (process.platform !== 'linux') leaveOut('seccomp is of Linux');
if (spawnSync('python3', ['-c', 'import ctypes; ctypes.CDLL("libseccomp.so.2")']).status !== 0) leaveOut('it needs python3 and libseccomp');
const isRoot = process.getuid() === 0;
// The unit's port is a fixed one, so it needs a network of its own.
const inOwnNetwork = process.argv.includes('--own-network');
if (isRoot && !inOwnNetwork && spawnSync('unshare', ['--net', 'true']).status === 0) {
  const script = 'ip link set lo up && exec "$0" "$@"';
  const again = spawnSync('unshare', ['--net', 'sh', '-c', script, process.execPath, fileURLToPath(import.meta.url), '--own-network'], {
    stdio: 'inherit',
  });
  process.exit(again.status ?? 1);
}

const unit = parseUnit(readFileSync(join(root, UNIT), 'utf8'));
const APPLIED = new Set([
  'ExecStart',
  'DynamicUser',
  'StateDirectory',
  'StateDirectoryMode',
  'UMask',
  'NoNewPrivileges',
  'CapabilityBoundingSet',
  'RestrictAddressFamilies',
  'SystemCallFilter',
  'SystemCallErrorNumber',
  'SystemCallArchitectures',
  'Type',
  'TimeoutStopSec',
]);
const notApplied = Object.keys(unit).filter((key) => !APPLIED.has(key));
console.log(`not applied here: ${notApplied.join(' ')}`);

const work = mkdtempSync(join(tmpdir(), 'cosmos-relay-unit-'));
process.on('exit', () => rmSync(work, { recursive: true, force: true }));
chmodSync(work, 0o755);
const bin = join(work, 'bin');
mkdirSync(bin);
const entry = join(root, 'dist/cli/bin.js');
symlinkSync(entry, join(bin, 'cosmos-telemetry'));
const stateDirectory = join(work, 'state', only('StateDirectory'));
mkdirSync(stateDirectory, { recursive: true });
chmodSync(stateDirectory, Number.parseInt(only('StateDirectoryMode'), 8));

const received = [];
let isAway = true;
const endpoint = createServer((req, res) => {
  if (!isAway) received.push(req.url);
  res.writeHead(isAway ? 503 : 204).end();
});
await new Promise((resolve) => {
  endpoint.listen(0, '127.0.0.1', resolve);
});

const command = expand(only('ExecStart'));
assert.equal(command[0], '/usr/bin/env');
// Cosmos' own endpoint is no business of a test: an operator's `--forward` leads to one of ours.
command.push('--forward', `http://127.0.0.1:${endpoint.address().port}/up`);
if (!inOwnNetwork) {
  command[command.indexOf('127.0.0.1:8787')] = '127.0.0.1:0';
  console.log('left out: the port of the unit, which needs root and a network of its own; a free one is taken');
}
const rules = {
  umask: only('UMask'),
  noNewPrivileges: only('NoNewPrivileges') === 'yes',
  dropCapabilities: isRoot && unit.CapabilityBoundingSet?.join('') === '',
  uid: isRoot && only('DynamicUser') === 'yes' ? DYNAMIC_UID : null,
  reads: [process.execPath, entry, join(root, 'node_modules/p-queue/package.json')],
  families: unit.RestrictAddressFamilies?.join(' ').split(' ') ?? null,
  errorNumber: only('SystemCallErrorNumber'),
  ...filteredCalls(unit.SystemCallFilter ?? []),
};
if (rules.uid === null) console.log('left out: the dynamic user and its lack of capabilities, which need root');
else chownSync(stateDirectory, rules.uid, rules.uid);
assertFiltered();

let relay = await start();
const target = (n) => `/astronomer-cosmos/v3/dag_run?status=success&task_count=${n}`;
assert.equal(await get(relay.port, target(1)), 204, 'acknowledged while the endpoint is away');
assert.ok(bytesIn(join(stateDirectory, 'spool')) > 0, 'on disk');
assert.equal(statSync(join(stateDirectory, 'spool')).mode & 0o777, 0o700);
assert.equal(await get(relay.port, '/readyz'), 200);
console.log(`ended with ${await end(relay)} while the endpoint was away`);

isAway = false;
relay = await start();
await until(() => received.length === 1, 'the event of the first process');
assert.equal(await get(relay.port, target(2)), 204);
await until(() => received.length === 2, 'the event of the second process');
assert.deepEqual(
  received,
  [1, 2].map((n) => `/up/v3/dag_run?status=success&task_count=${n}`),
);
assert.equal(await end(relay), 0);
console.log(`delivered ${received.length} of 2 events, ended with 0`);
endpoint.close();

function leaveOut(why) {
  console.log(`left out: ${why}`);
  process.exit(0);
}

/** Every key with its values; an empty value resets it, as systemd does. */
function parseUnit(text) {
  const keys = {};
  for (const [, key, value] of text.matchAll(/^(\w+)=(.*)$/gm)) keys[key] = value === '' ? [''] : [...(keys[key] ?? []), value];
  return keys;
}

function only(key) {
  const [value, ...more] = unit[key] ?? [];
  assert.ok(value !== undefined && more.length === 0, `${key} of the unit`);
  return value;
}

function expand(line) {
  return line.split(/\s+/).map((word) => word.replaceAll(/\$\{(\w+)\}/g, (_all, name) => ({ STATE_DIRECTORY: stateDirectory })[name]));
}

/** The system calls that the filters allow, in systemd's order: a list that begins without `~` allows, and `~` takes away. */
function filteredCalls(filters) {
  if (filters.length === 0) return { calls: null };
  const groups = groupsOfSystemd();
  if (groups === undefined) {
    console.log('left out: SystemCallFilter, since systemd-analyze is not here to say what its groups hold');
    return { calls: null };
  }
  assert.ok(!filters[0].startsWith('~'), 'the first filter allows');
  const membersOf = (name) => (name.startsWith('@') ? groups.get(name).flatMap(membersOf) : [name]);
  // systemd always allows these.
  const calls = new Set(membersOf('@default'));
  for (const filter of filters) {
    for (const name of filter.replace(/^~/, '').split(/\s+/)) {
      for (const call of membersOf(name)) {
        if (filter.startsWith('~')) calls.delete(call);
        else calls.add(call);
      }
    }
  }
  return { calls: [...calls], known: groups.has('@known') ? membersOf('@known') : [] };
}

function groupsOfSystemd() {
  const { status, stdout } = spawnSync('systemd-analyze', ['syscall-filter', '--no-pager'], { encoding: 'utf8' });
  if (status !== 0) return undefined;
  const groups = new Map();
  let members = [];
  for (const line of stdout.split('\n')) {
    if (line.startsWith('@')) groups.set(line.trim(), (members = []));
    else if (/^\s+[@\w]/.test(line)) members.push(line.trim());
    else if (line.startsWith('#')) members = [];
  }
  return groups;
}

/** The filters are there: a socket of another family and a call of `@privileged` are refused. */
function assertFiltered() {
  const probe = `
import errno, os, socket
def refused(call):
    try:
        call()
        return "allowed"
    except OSError as error:
        return errno.errorcode[error.errno]
print(refused(lambda: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW)), refused(lambda: os.chown("/", -1, -1)), refused(lambda: os.chroot("/")))`;
  const { stdout, stderr, status } = spawnSync('python3', [confined(), JSON.stringify({ ...rules, reads: [] }), 'python3', '-c', probe], {
    encoding: 'utf8',
  });
  assert.equal(status, 0, stderr);
  const callsRefused = rules.calls === null ? stdout.trim().split(' ').slice(1).join(' ') : 'EPERM EPERM';
  assert.equal(stdout.trim(), `EAFNOSUPPORT ${callsRefused}`);
  console.log(`under the filters: socket(AF_NETLINK), chown and chroot give ${stdout.trim()}`);
}

function confined() {
  return fileURLToPath(new URL('unit/confined.py', import.meta.url));
}

async function start() {
  const env = { PATH: `${bin}:${dirname(process.execPath)}:/usr/local/bin:/usr/bin:/bin`, STATE_DIRECTORY: stateDirectory };
  const child = spawn('python3', [confined(), JSON.stringify(rules), ...command], { env, cwd: '/', stdio: ['ignore', 'ignore', 'pipe'] });
  const log = [];
  const exited = once(child, 'exit');
  const listening = new Promise((resolve) => {
    createInterface(child.stderr).on('line', (line) => {
      log.push(line);
      const [, port] = /listening on http:\/\/127\.0\.0\.1:(\d+)/.exec(line) ?? [];
      if (port !== undefined) resolve(Number(port));
    });
  });
  const limit = setTimeout(() => child.kill('SIGKILL'), PATIENCE_MS).unref();
  const port = await Promise.race([listening, exited.then(([code, signal]) => ({ code, signal }))]);
  clearTimeout(limit);
  if (port.code === 77) {
    console.log('left out: the dynamic user, who cannot read this folder, or node');
    Object.assign(rules, { uid: null, dropCapabilities: false });
    chownSync(stateDirectory, process.getuid(), process.getgid());
    return start();
  }
  assert.equal(typeof port, 'number', `the relay starts, and does not end with ${port.code ?? port.signal}:\n${log.join('\n')}`);
  console.log(`listens at ${port}, as user ${readFileSync(`/proc/${child.pid}/status`, 'utf8').match(/^Uid:\s+(\d+)/m)[1]}`);
  return { child, port, exited, log };
}

async function end({ child, exited, log }) {
  child.kill('SIGTERM');
  const [code, signal] = await exited;
  assert.equal(code, 0, `exit ${code ?? signal}:\n${log.join('\n')}`);
  return code;
}

function get(port, path) {
  return new Promise((resolve, reject) => {
    const sent = request({ host: '127.0.0.1', port, path, agent: false }, (response) => {
      response.resume().on('end', () => resolve(response.statusCode));
    });
    sent.on('error', reject).end();
  });
}

function bytesIn(directory) {
  return readdirSync(directory).reduce((sum, name) => sum + statSync(join(directory, name)).size, 0);
}

async function until(holds, what) {
  const untilMs = Date.now() + PATIENCE_MS;
  while (!holds()) {
    assert.ok(Date.now() < untilMs, `still no ${what}`);
    await wait(20);
  }
}
