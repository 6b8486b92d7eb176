// A project of a few lines in a temporary folder, as a user has it: the packed package is installed, and the tools are beside it.
import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, realpathSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { homedir, tmpdir } from 'node:os';
import { dirname, join } from 'node:path';

const TOOLS = join(import.meta.dirname, 'node_modules');
const REPOSITORY = join(import.meta.dirname, '..');
const LIMIT_MS = 240_000;
/** Shared with the machine: what it has downloaded before need not come again. */
const NPM_CACHE = process.env.npm_config_cache ?? join(homedir(), '.npm');

/** A home directory with nothing in it, and with no project in it. */
const HOME = mkdtempSync(join(tmpdir(), 'home-'));
process.once('exit', () => rmSync(HOME, { recursive: true, force: true }));

/** The path of a tool's file; the name of an alias counts as a package. */
export const tool = (name, file) => join(TOOLS, name, file);
export const NODES = [
  ['20.19', 'node-20'],
  ['22', 'node-22'],
  ['24', 'node-24'],
  ['26', 'node-26'],
];
export const nodeOf = (alias) => tool(alias, 'bin/node');
export const NEWEST = nodeOf('node-26');
export const BUN = tool('@oven/bun-linux-x64', 'bin/bun');
export const DENO = tool('@deno/linux-x64-glibc', 'deno');

/** Runs a command to its end. @returns its code and all of its output */
export async function run(command, args, { cwd, env = {} }) {
  return new Promise((resolve) => {
    const { NODE_EXTRA_CA_CERTS } = process.env;
    const variables = {
      ...(NODE_EXTRA_CA_CERTS && { NODE_EXTRA_CA_CERTS }),
      PATH: `${dirname(NEWEST)}:${process.env.PATH}`,
      HOME,
      npm_config_cache: NPM_CACHE,
      NO_COLOR: '1',
      FORCE_COLOR: '0',
      ...env,
    };
    const settings = { cwd, env: variables, timeout: LIMIT_MS, maxBuffer: 2 ** 26, killSignal: 'SIGKILL' };
    execFile(command, args, settings, (error, stdout, stderr) => {
      resolve({ code: error === null ? 0 : (error.code ?? error.signal), stdout, stderr, output: `${stdout}\n${stderr}` });
    });
  });
}

/** As `run`. @throws with the output if the command fails */
export async function must(command, args, options) {
  const result = await run(command, args, options);
  if (result.code !== 0) throw new Error(`${command} ${args.join(' ')} ended with ${result.code}:\n${result.output.slice(-4000)}`);
  return result;
}

/** Everything the rows share: the packed package, installed, and an endpoint that counts requests by the name of their project. */
export class Workshop {
  static async open() {
    const home = realpathSync(mkdtempSync(join(tmpdir(), 'toolchains-')));
    const npm = (...args) => must('npm', args, { cwd: home, env: { HOME: process.env.HOME } });
    const packed = await must('npm', ['pack', '--json', '--pack-destination', home], { cwd: REPOSITORY, env: { HOME: process.env.HOME } });
    const [{ filename }] = JSON.parse(packed.stdout.slice(packed.stdout.indexOf('[')));
    const workshop = new Workshop(home, join(home, filename));
    writeFileSync(join(home, 'package.json'), '{ "private": true }');
    await npm('install', '--no-audit', '--no-fund', workshop.tarball);
    workshop.#requests = new Map();
    workshop.#server = createServer((request, response) => {
      const project = /[?&]acme_version=([^&]+)/.exec(request.url)?.[1] ?? '';
      workshop.#requests.set(project, (workshop.#requests.get(project) ?? 0) + 1);
      response.end();
    });
    await once(workshop.#server.listen(0, '127.0.0.1'), 'listening');
    return workshop;
  }

  /** A folder without node_modules in it or above it. */
  empty = realpathSync(mkdtempSync(join(tmpdir(), 'toolchains-')));
  #requests;
  #server;
  #projects = 0;

  constructor(home, tarball) {
    this.home = home;
    this.tarball = tarball;
  }

  get endpoint() {
    return `http://127.0.0.1:${this.#server.address().port}`;
  }

  /**
   * A folder with these files.
   *
   * @param tools packages of this folder that the project may load, beside the package itself; undefined for a project that has nothing
   * yet, in a place where it finds no node_modules
   */
  project(files, tools = []) {
    this.#projects += 1;
    const id = `0.0.${this.#projects}`;
    const folder = join(tools === undefined ? this.empty : this.home, `project-${this.#projects}`);
    mkdirSync(folder, { recursive: true });
    for (const name of tools === undefined ? [] : ['cosmos-telemetry', ...tools]) {
      const from = existsSync(join(this.home, 'node_modules', name)) ? join(this.home, 'node_modules', name) : join(TOOLS, name);
      mkdirSync(dirname(join(folder, 'node_modules', name)), { recursive: true });
      symlinkSync(from, join(folder, 'node_modules', name));
    }
    for (const [name, text] of Object.entries({ 'package.json': '{ "private": true }', ...files })) {
      mkdirSync(dirname(join(folder, name)), { recursive: true });
      writeFileSync(join(folder, name), text.replaceAll('VERSION', id));
    }
    return {
      folder,
      env: { ENDPOINT: this.endpoint },
      /** How many requests of its product have arrived. */
      requests: () => this.#requests.get(id) ?? 0,
      run: (command, args, env = {}) => run(command, args, { cwd: folder, env: { ENDPOINT: this.endpoint, ...env } }),
      must: (command, args, env = {}) => must(command, args, { cwd: folder, env: { ENDPOINT: this.endpoint, ...env } }),
      files: () => readdirSync(folder),
    };
  }

  close() {
    this.#server.closeAllConnections();
    this.#server.close();
    for (const folder of [this.home, this.empty]) rmSync(folder, { recursive: true, force: true });
  }
}

/** @throws if a condition does not hold */
export function expect(holds, what) {
  if (!holds) throw new Error(what);
}

/** The body of a program: what it does with the main entry, once it has one. `VERSION` tells projects apart. */
export const DELIVER = `
const telemetry = createTelemetry({ product: { name: 'acme', version: 'VERSION' }, endpoint: process.env.ENDPOINT });
for (let count = 0; count < 3; count += 1) {
  telemetry.publish('dag_run', { status: 'success', task_count: count, acme_task_count: 1 });
}
`;
