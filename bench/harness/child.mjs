// Measurements in processes of their own: nothing that one leaves behind (compiled code, garbage, sockets) is there for the next.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';

const MAIN = fileURLToPath(new URL('child-main.mjs', import.meta.url));
const GUARD = new URL('loopback-only.mjs', import.meta.url).href;

/** Neither opt-outs nor proxies nor settings of the one who runs this may have a say in what is measured. */
const ENVIRONMENT = Object.fromEntries(
  ['PATH', 'HOME', 'TMPDIR', 'SystemRoot'].flatMap((name) => (process.env[name] === undefined ? [] : [[name, process.env[name]]])),
);

/**
 * Runs `measure(params)` of a scenario in a fresh process.
 *
 * @param options.flags of Node
 * @param options.env beside the few variables that every process needs
 * @param options.capMs after this time it is killed, in milliseconds
 * @param options.under a command with its arguments that runs Node and watches it
 * @returns what `measure` gave, when the process ended (by `Date.now()`), how, and what was said on standard error
 * @throws Error (rejects) when it failed or said nothing
 */
export async function runChild(scenario, params, { flags = [], env = {}, capMs = 120_000, under = [] } = {}) {
  const [command, ...args] = [...under, process.execPath, ...flags, '--import', GUARD, MAIN, scenario, JSON.stringify(params)];
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
