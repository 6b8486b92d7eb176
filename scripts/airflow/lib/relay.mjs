// Runs the relay as a user does: a process with a spool.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { adopt } from './processes.mjs';

const PROGRAM = fileURLToPath(new URL('../../../dist/cli/bin.js', import.meta.url));
const START_TIMEOUT_MS = 10_000;
const DRAIN_DEADLINE_MS = 20_000;

/**
 * Starts a relay for the endpoint `upstreamUrl` with the spool directory `spool`. It does not get the opt-outs of the caller's environment.
 */
export async function startRelay({ upstreamUrl, spool, program = PROGRAM }) {
  const args = [program, 'relay', '--listen', '127.0.0.1:0', '--forward', `${upstreamUrl}/astronomer-cosmos`, '--spool', spool];
  const child = spawn(process.execPath, args, {
    env: { PATH: process.env.PATH, HOME: spool, AIRFLOW_HOME: spool },
    detached: true,
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  adopt(child);
  const ended = once(child, 'exit');
  let said = '';
  const url = await new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`the relay does not start: ${said}`)), START_TIMEOUT_MS);
    child.stderr.setEncoding('utf8').on('data', (chunk) => {
      said = `${said}${chunk}`.slice(-8000);
      const found = /listening on (http:\/\/[\d.]+:\d+)/.exec(said);
      if (!found) return;
      clearTimeout(timer);
      resolve(found[1]);
    });
    void ended.then(([code]) => reject(new Error(`the relay ended with ${code}: ${said}`)));
  });
  return {
    url,
    /** Kills it at once. */
    async kill() {
      child.kill('SIGKILL');
      await ended;
    },
    /** Stops it with a signal: it sends the waiting events first. Throws if the exit code is not 0. */
    async stop() {
      child.kill('SIGTERM');
      const timer = setTimeout(() => child.kill('SIGKILL'), DRAIN_DEADLINE_MS);
      const [code, signal] = await ended;
      clearTimeout(timer);
      if (code !== 0) throw new Error(`the relay ended with ${code ?? signal}: ${said}`);
    },
    /** For the exit of the test: never rejects. */
    async end() {
      child.kill('SIGKILL');
      await ended;
    },
  };
}
