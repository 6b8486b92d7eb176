// Children in their own process groups, so that their forks end with them.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync, readFileSync } from 'node:fs';

const GRACE_MS = 4000;

/** Runs a program to its end. Rejects with its output if the exit code is not 0. @returns Its stdout. */
export async function run(command, args, { env = process.env, cwd } = {}) {
  const child = spawn(command, args, { env, cwd, detached: true, stdio: ['ignore', 'pipe', 'pipe'] });
  let output = '';
  let errors = '';
  child.stdout.on('data', (chunk) => (output += chunk));
  child.stderr.on('data', (chunk) => (errors += chunk));
  running.add(child);
  try {
    const [code, signal] = await once(child, 'close');
    if (code !== 0) throw new Error(`${command} ${args.join(' ')} ended with ${code ?? signal}:\n${`${output}\n${errors}`.slice(-4000)}`);
    return output;
  } finally {
    running.delete(child);
  }
}

/** Runs a program and parses its last line as JSON; libraries may print lines before it. */
export async function runForJson(command, args, options) {
  return JSON.parse((await run(command, args, options)).trim().split('\n').at(-1));
}

/** Starts a program that runs until it is stopped, with its output in a file. */
export function startLogged(command, args, { env, cwd, logFile }) {
  const log = openSync(logFile, 'a');
  const child = spawn(command, args, { env, cwd, detached: true, stdio: ['ignore', log, log] });
  closeSync(log);
  running.add(child);
  const ended = once(child, 'exit').catch((error) => [String(error)]);
  return {
    child,
    /** Throws if the program has ended by itself. */
    assertRuns() {
      if (child.exitCode === null && child.signalCode === null && child.pid !== undefined) return;
      throw new Error(`${command} ${args.join(' ')} has ended:\n${readFileSync(logFile, 'utf8').slice(-4000)}`);
    },
    /** Sends SIGTERM to the whole group, then SIGKILL. */
    async stop() {
      signalGroup(child, 'SIGTERM');
      const timer = setTimeout(() => signalGroup(child, 'SIGKILL'), GRACE_MS);
      await ended;
      clearTimeout(timer);
      // Forks of the leader may still run.
      signalGroup(child, 'SIGKILL');
      running.delete(child);
    },
  };
}

/** Registers a child, the leader of its group, for `endAll`. */
export function adopt(child) {
  running.add(child);
  child.once('exit', () => running.delete(child));
}

/** Kills all running children with their groups. For the exit of the test. */
export function endAll() {
  for (const child of running) signalGroup(child, 'SIGKILL');
}

const running = new Set();

function signalGroup(child, signal) {
  if (child.pid === undefined) return;
  try {
    process.kill(-child.pid, signal);
  } catch (error) {
    if (error.code !== 'ESRCH') throw error;
  }
}
