// One night in a process of its own: its peak of memory is that of the night, and several may run at the same time.
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { Fleet } from './fleet.mjs';
import { simulate } from './simulation.mjs';

const FILE = fileURLToPath(import.meta.url);

/** @param options `hosts`, `seed`, and the options of `simulate`. @returns what `simulate` does, and what the process used */
export async function nightInProcess(options) {
  // Typed arrays arrive as such.
  const child = fork(FILE, { serialization: 'advanced' });
  child.send(options);
  const ended = once(child, 'exit');
  const answered = once(child, 'message');
  const [result] = await Promise.race([answered, ended.then(([code, signal]) => fail(code ?? signal))]);
  await ended;
  return result;
}

function fail(end) {
  throw new Error(`A night ended with ${end}. If it was out of memory: --jobs 1, or more by --max-old-space-size.`);
}

if (process.argv[1] === FILE && process.send !== undefined) {
  // The parent was killed.
  process.once('disconnect', () => process.exit());
  const [{ hosts, seed, ...options }] = await once(process, 'message');
  const result = await simulate(new Fleet(hosts, seed), { ...options, seed });
  const { maxRSS, userCPUTime, systemCPUTime } = process.resourceUsage();
  const used = { peakMiB: Math.round(maxRSS / 1024), processorS: (userCPUTime + systemCPUTime) / 1e6 };
  process.send({ ...result, ...used }, () => process.disconnect());
}
