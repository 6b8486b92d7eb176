// One night in processes of their own, each with a part of the fleet: several may run at the same time, and each needs little memory.
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { Fleet } from './fleet.mjs';
import { combined, simulate } from './simulation.mjs';

const FILE = fileURLToPath(import.meta.url);

/** So many hosts are a process: a night with an outage needs 1.5 GiB of memory for them. */
const MOST_HOSTS = 100_000;

/**
 * @param options `hosts`, `seed`, and the options of `simulate`
 * @param queue runs as many processes at a time as it may
 * @returns what `simulate` does, the processor time of all processes, and the memory of the largest
 */
export async function nightInProcesses(options, queue) {
  const step = Math.ceil(options.hosts / MOST_HOSTS);
  const parts = Array.from({ length: step }, (_, first) => queue.add(() => nightInProcess({ ...options, part: { first, step } })));
  const nights = await Promise.all(parts);
  return {
    ...combined(nights),
    peakMiB: Math.max(...nights.map(({ peakMiB }) => peakMiB)),
    processorS: nights.reduce((sum, { processorS }) => sum + processorS, 0),
  };
}

async function nightInProcess(options) {
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
  throw new Error(`A night ended with ${end}. If it was out of memory: --jobs 1, or more with --max-old-space-size.`);
}

if (process.argv[1] === FILE && process.send !== undefined) {
  // The parent was killed.
  process.once('disconnect', () => process.exit());
  const [{ hosts, seed, part, ...options }] = await once(process, 'message');
  const result = await simulate(new Fleet(hosts, seed, part), { ...options, seed });
  const { maxRSS, userCPUTime, systemCPUTime } = process.resourceUsage();
  const used = { peakMiB: Math.round(maxRSS / 1024), processorS: (userCPUTime + systemCPUTime) / 1e6 };
  process.send({ ...result, ...used }, () => process.disconnect());
}
