/**
 * Two hosts on one machine, for tests of what loopback cannot show: distance, lost packets, name servers, the files of a host.
 *
 *     client namespace --- veth --- the wire (wire.py) --- veth --- server namespace
 *
 * The wire holds each frame for half the round trip. Every namespace is ours alone, so addresses and ports are fixed. Needs root, `ip`
 * (iproute2), `nsenter` and `unshare` (util-linux), python3 and openssl; without them `openLab` says so and ends the process with code 0.
 */
import { execFileSync, fork, spawn, spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { makeCertificate } from './certificate.mjs';

const HERE = import.meta.dirname;

/** Addresses of RFC 2544, which nothing outside of a lab uses. */
export const CLIENT = '198.18.0.1';
/** Where servers listen unless they say otherwise. */
export const SERVER = '198.18.0.2';
export const CLIENT6 = 'fd00:18::1';
export const SERVER6 = 'fd00:18::2';
/** Further addresses of the server's host, for name servers. */
export const NAME_SERVERS = ['198.18.0.53', '198.18.0.54', '198.18.0.55'];
/** A host that nobody is: packets for it reach the wire and end there. */
export const NOWHERE = '198.18.0.99';

const TOOLS = { ip: ['-V'], nsenter: ['--version'], unshare: ['--version'], python3: ['--version'], openssl: ['version'] };

/** Why there can be no lab on this machine; undefined if there can be one. */
export function whatIsMissing() {
  if (process.platform !== 'linux') return 'Linux';
  if (process.getuid() !== 0) return 'root';
  for (const [tool, args] of Object.entries(TOOLS)) {
    if (spawnSync(tool, args, { stdio: 'ignore' }).status !== 0) return tool;
  }
  const name = `ct-${process.pid}-${randomBytes(4).toString('hex')}-probe`;
  if (spawnSync('ip', ['netns', 'add', name], { stdio: 'ignore' }).status !== 0) return 'the right to make network namespaces';
  spawnSync('ip', ['netns', 'del', name], { stdio: 'ignore' });
  return undefined;
}

/**
 * Opens a lab.
 *
 * @param {object} [options]
 * @param {number} [options.roundTripMs] the time from a packet to its answer, beside what the machine itself takes
 * @param {boolean} [options.ipv6] whether the hosts have IPv6 addresses as well
 * @param {string[]} [options.names] the names in the certificate of https servers
 */
export async function openLab(options = {}) {
  const missing = whatIsMissing();
  if (missing !== undefined) {
    console.log(`left out: the network lab needs ${missing}`);
    process.exit(0);
  }
  removeLeftOvers();
  const lab = new Lab(options);
  try {
    await lab.open();
  } catch (error) {
    await lab.close();
    throw error;
  }
  return lab;
}

/** Removes the namespaces of labs whose process was killed: they outlive every process. */
function removeLeftOvers() {
  const names = execFileSync('ip', ['netns', 'list'], { encoding: 'utf8' }).match(/^ct-\d+-\S+/gm) ?? [];
  for (const name of names) {
    if (!existsSync(`/proc/${name.split('-')[1]}`)) spawnSync('ip', ['netns', 'del', name], { stdio: 'ignore' });
  }
}

function ip(...args) {
  execFileSync('ip', args, { stdio: ['ignore', 'ignore', 'pipe'] });
}

class Lab {
  roundTripMs;
  /** The paths of the PEM files: `authority` for NODE_EXTRA_CA_CERTS, and the server's `certificate` and `key`. */
  tls;
  #ipv6;
  #names;
  #id = `ct-${process.pid}-${randomBytes(3).toString('hex')}`;
  #folder = mkdtempSync(join(tmpdir(), 'cosmos-telemetry-lab-'));
  #namespaces = [];
  #children = new Set();
  #wire;
  #answers = [];
  // A test that throws ends without `close`; namespaces would stay.
  #atExit = () => this.#remove();

  constructor({ roundTripMs = 0, ipv6 = false, names = [] }) {
    this.roundTripMs = roundTripMs;
    this.#ipv6 = ipv6;
    this.#names = names;
  }

  async open() {
    process.once('exit', this.#atExit);
    const [client, server, middle] = ['client', 'server', 'middle'].map((role) => this.#namespace(role));
    for (const [side, namespace] of Object.entries({ left: client, right: server })) {
      ip('-n', middle, 'link', 'add', side, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', namespace);
      ip('-n', middle, 'link', 'set', side, 'up');
      this.#inside(middle, 'sysctl', '-qw', `net.ipv6.conf.${side}.disable_ipv6=1`);
      this.#inside(namespace, 'python3', join(HERE, 'wire.py'), 'offload', 'eth0');
      if (!this.#ipv6) this.#inside(namespace, 'sysctl', '-qw', 'net.ipv6.conf.eth0.disable_ipv6=1');
    }
    const here = [`${CLIENT}/24`, ...(this.#ipv6 ? [`${CLIENT6}/64`] : [])];
    const there = [SERVER, ...NAME_SERVERS].map((address) => `${address}/24`).concat(this.#ipv6 ? [`${SERVER6}/64`] : []);
    this.#raise(client, here);
    this.#raise(server, there);
    // Neighbours are known from the start: asking for them would cost the first packet another round trip.
    this.#introduce(client, server, [SERVER, ...NAME_SERVERS, NOWHERE, ...(this.#ipv6 ? [SERVER6] : [])]);
    this.#introduce(server, client, [CLIENT, ...(this.#ipv6 ? [CLIENT6] : [])]);
    this.setFiles({});
    this.tls = makeCertificate(this.#folder, { names: ['localhost', ...this.#names], addresses: [SERVER] });
    await this.#startWire(middle);
  }

  /**
   * Writes the files that programs in the client's namespace see, also those that run already. A file that is not named is the usual one.
   *
   * @param {{ resolvConf?: string, hosts?: string, nsswitch?: string }} files
   */
  setFiles({ resolvConf = `nameserver ${NAME_SERVERS[0]}\n`, hosts = '127.0.0.1 localhost\n', nsswitch = 'hosts: files dns\n' }) {
    for (const [name, text] of Object.entries({ 'resolv.conf': resolvConf, hosts, 'nsswitch.conf': nsswitch })) {
      writeFileSync(join(this.#folder, name), text);
    }
  }

  /**
   * Starts a program in the client's namespace.
   *
   * @param {string[]} command a program and its arguments, or the path of a Node script and its arguments
   * @param {{ env?: object, node?: string }} [options] variables to add; the Node to run scripts with
   * @returns the child, with `exit`: a promise of `{ code, signal, stdout, stderr, elapsedMs }`
   */
  start(command, { env = {}, node = process.execPath } = {}) {
    const all = /\.m?js$/.test(command[0]) ? [node, ...command] : command;
    const binds = ['resolv.conf', 'hosts', 'nsswitch.conf'].map((name) => `mount --bind '${join(this.#folder, name)}' /etc/${name}`);
    const script = `${binds.join(' && ')} && exec "$@"`;
    const args = [`--net=/run/netns/${this.#namespaces[0]}`, 'unshare', '--mount', '--propagation', 'private', 'sh', '-c', script, 'sh'];
    // nsenter, unshare and sh all exec, so the child's id is that of the program.
    const child = spawn('nsenter', [...args, ...all], { stdio: 'pipe', env: { ...process.env, ...env } });
    const started = performance.now();
    this.#keep(child);
    let [stdout, stderr] = ['', ''];
    child.stdout.setEncoding('utf8').on('data', (text) => (stdout += text));
    child.stderr.setEncoding('utf8').on('data', (text) => (stderr += text));
    child.stdin.on('error', () => {});
    child.exit = once(child, 'close').then(([code, signal]) => ({ code, signal, stdout, stderr, elapsedMs: performance.now() - started }));
    return child;
  }

  /**
   * Runs a program in the client's namespace to its end. Throws if it fails or takes longer than `timeoutMs`.
   *
   * @returns {Promise<{ stdout: string, stderr: string, elapsedMs: number }>}
   */
  async run(command, { timeoutMs = 60_000, ...options } = {}) {
    const child = this.start(command, options);
    const timer = setTimeout(() => child.kill('SIGKILL'), timeoutMs);
    const result = await child.exit;
    clearTimeout(timer);
    if (result.code !== 0) throw new Error(`${command.join(' ')} ended with ${result.code ?? result.signal}: ${result.stderr}`);
    return result;
  }

  /** What getaddrinfo finds in the client's namespace, as addresses in its order. */
  async getent(name, env = {}) {
    const child = this.start(['getent', 'ahosts', name], { env });
    const { stdout } = await child.exit;
    const addresses = stdout.split('\n').map((line) => line.split(' ')[0]);
    return [...new Set(addresses)].filter((address) => address !== '');
  }

  /**
   * Starts a server in the server's namespace.
   *
   * @param {object} options
   * @param {'http' | 'https' | 'proxy' | 'silent'} options.kind `proxy` takes CONNECT and passes http on; `silent` takes bytes and says
   * nothing. A port where nothing was started refuses; packets vanish at NOWHERE, and by `drop`.
   * @param {number} options.port
   * @param {number} [options.ports] how many ports from `port` on, each with a server of its own, counted together
   * @param {string} [options.address]
   * @param {'TLSv1.2' | 'TLSv1.3'} [options.tls] the one version that https speaks
   * @param {number} [options.lateMs] how long each answer takes
   * @param {number} [options.idleMs] after which idle time connections are closed; never if absent
   * @param {boolean} [options.announceIdle] whether the `Keep-Alive` header says so
   * @param {number} [options.status]
   * @returns `count()` for a promise of `{ connections, requests, urls }`, `set()` to change options, `stop()`
   */
  async startServer(options) {
    const { certificate, key } = this.tls;
    const given = { address: SERVER, ...options, ...(options.kind === 'https' ? { tls: options.tls ?? 'TLSv1.3', certificate, key } : {}) };
    const command = `--net=/run/netns/${this.#namespaces[1]}`;
    const child = fork(join(HERE, 'server.mjs'), [JSON.stringify(given)], {
      execPath: 'nsenter',
      execArgv: [command, process.execPath],
      stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
    });
    this.#keep(child);
    let stderr = '';
    child.stderr.setEncoding('utf8').on('data', (text) => (stderr += text));
    const ended = once(child, 'exit').then(() => {
      throw new Error(`the ${options.kind} server ended: ${stderr}`);
    });
    ended.catch(() => {});
    const heard = async () => Promise.race([once(child, 'message'), ended]);
    const ask = async (message) => {
      if (child.connected) child.send(message);
      const [answer] = await heard();
      return answer;
    };
    await heard();
    return {
      count: async () => (await ask({ do: 'count' })).counts,
      set: async (changed) => void (await ask({ do: 'set', options: changed })),
      stop: () => this.#stop(child),
    };
  }

  /**
   * Starts a name server in the server's namespace.
   *
   * @param {object} options
   * @param {object} [options.records] for each name `{ A: [...], AAAA: [...] }`, or 'SERVFAIL', 'REFUSED' or 'silent'; others do not exist
   * @param {string} [options.address] one of NAME_SERVERS, by default the first
   * @param {number} [options.delayMs] how long each answer takes
   * @param {boolean} [options.silent] whether it never answers
   * @param {number} [options.dropFirst] how many packets get no answer at first
   * @param {boolean} [options.truncate] whether answers come over TCP only
   * @returns as `startServer`; `count()` has `questions`, as `A example.org`
   */
  async startDns({ address = NAME_SERVERS[0], ...options }) {
    return this.startServer({ kind: 'dns', address, port: 53, ...options });
  }

  /**
   * Has the wire drop frames from now on; see wire.py. An empty list drops none.
   *
   * @param {{ protocol?: 'tcp' | 'udp', to?: number, from?: number, address?: string, onlySyn?: boolean, count?: number }[]} rules
   */
  async drop(rules) {
    await this.#command({ do: 'rules', rules });
  }

  /** Changes the round trip, for frames that leave from now on. */
  async setRoundTrip(roundTripMs) {
    this.roundTripMs = roundTripMs;
    await this.#command({ do: 'hold', ms: roundTripMs / 2 });
  }

  /** Cuts the wire, or mends it. */
  async cut(isCut) {
    await this.#command({ do: 'cut', cut: isCut });
  }

  /** How many frames the wire carried and dropped. */
  async frames() {
    return this.#command({ do: 'count' });
  }

  /** Stops every process of the lab by its id and removes its namespaces and files. */
  async close() {
    await Promise.all([...this.#children].map((child) => this.#stop(child)));
    this.#remove();
  }

  #namespace(role) {
    const name = `${this.#id}-${role}`;
    ip('netns', 'add', name);
    this.#namespaces.push(name);
    return name;
  }

  #inside(namespace, ...command) {
    execFileSync('ip', ['netns', 'exec', namespace, ...command], { stdio: ['ignore', 'ignore', 'pipe'] });
  }

  #raise(namespace, addresses) {
    ip('-n', namespace, 'link', 'set', 'lo', 'up');
    ip('-n', namespace, 'link', 'set', 'eth0', 'up');
    for (const address of addresses)
      ip('-n', namespace, 'address', 'add', address, 'dev', 'eth0', ...(address.includes(':') ? ['nodad'] : []));
  }

  #introduce(namespace, other, addresses) {
    const [{ address: hardware }] = JSON.parse(execFileSync('ip', ['-j', '-n', other, 'link', 'show', 'eth0'], { encoding: 'utf8' }));
    for (const address of addresses)
      ip('-n', namespace, 'neigh', 'replace', address, 'lladdr', hardware, 'dev', 'eth0', 'nud', 'permanent');
  }

  async #startWire(namespace) {
    const command = ['python3', join(HERE, 'wire.py'), String(this.roundTripMs / 2), 'left', 'right'];
    this.#wire = spawn('nsenter', [`--net=/run/netns/${namespace}`, ...command], { stdio: ['pipe', 'pipe', 'inherit'] });
    this.#keep(this.#wire);
    createInterface({ input: this.#wire.stdout }).on('line', (line) => this.#answers.shift()?.(JSON.parse(line)));
    this.#wire.stdin.on('error', () => {});
    const ended = once(this.#wire, 'exit').then(() => {
      throw new Error('the wire ended');
    });
    await Promise.race([new Promise((resolve) => this.#answers.push(resolve)), ended]);
    ended.catch(() => {});
  }

  async #command(command) {
    return new Promise((resolve) => {
      this.#answers.push(resolve);
      this.#wire.stdin.write(`${JSON.stringify(command)}\n`);
    });
  }

  #keep(child) {
    this.#children.add(child);
    child.once('close', () => this.#children.delete(child));
  }

  async #stop(child) {
    if (!this.#children.has(child)) return;
    const closed = once(child, 'close');
    child.kill('SIGKILL');
    await closed;
  }

  #remove() {
    process.removeListener('exit', this.#atExit);
    for (const child of this.#children) child.kill('SIGKILL');
    for (const name of this.#namespaces.splice(0)) spawnSync('ip', ['netns', 'del', name], { stdio: 'ignore' });
    rmSync(this.#folder, { recursive: true, force: true });
  }
}
