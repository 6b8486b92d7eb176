// Runs each measurement in its own process, so that compiled code, garbage and sockets do not affect the next one.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const MAIN = fileURLToPath(new URL('child-main.mjs', import.meta.url));
/**
 * The Node of the measured processes: the pinned one of bench/package.json, which the rivals need. Where it is not installed (a quick run, a
 * system without its binary) it is the Node that runs this file.
 */
const PINNED = fileURLToPath(new URL('../node_modules/node-24/bin/node', import.meta.url));
export const NODE = existsSync(PINNED) ? PINNED : process.execPath;

const GUARD = new URL('loopback-only.mjs', import.meta.url).href;

/** The variables that a process needs. Opt-outs, proxies and settings of the caller's environment must not affect a measurement. */
const ENVIRONMENT = Object.fromEntries(
  ['PATH', 'HOME', 'TMPDIR', 'SystemRoot'].flatMap((name) => (process.env[name] === undefined ? [] : [[name, process.env[name]]])),
);

/**
 * Runs `measure(params)` of a scenario in a fresh process.
 *
 * @param options.flags flags for Node
 * @param options.env further variables
 * @param options.capMs the process is killed after this time, in milliseconds
 * @param options.node the Node that runs it
 * @param options.under a command with arguments that runs Node, such as valgrind
 * @returns the result of `measure`, when (by `Date.now()`) and how the process ended, and its standard error
 * @throws Error (rejects) if the process fails or prints no result
 */
export async function runChild(scenario, params, { flags = [], env = {}, capMs = 120_000, under = [], node = NODE } = {}) {
  const [command, ...args] = [...under, node, ...flags, '--import', GUARD, MAIN, scenario, JSON.stringify(params)];
  const child = spawn(command, args, {
    env: { ...ENVIRONMENT, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const said = { stdout: '', stderr: '' };
  for (const name of ['stdout', 'stderr']) child[name].setEncoding('utf8').on('data', (text) => (said[name] += text));
  let killed = false;
  const cap = setTimeout(() => {
    killed = true;
    child.kill('SIGKILL');
  }, capMs);
  let endedAtMs = 0;
  child.once('exit', () => (endedAtMs = Date.now()));
  const [exitCode] = await once(child, 'close');
  clearTimeout(cap);
  const last = said.stdout.trimEnd().split('\n').at(-1);
  if (!last?.startsWith('{'))
    throw new Error(`${scenario} ${JSON.stringify(params)} ended with ${exitCode ?? 'a signal'}: ${said.stderr.slice(-2000)}`);
  return { values: JSON.parse(last), exitCode, killed, endedAtMs, stderr: said.stderr };
}
