import type { ExecutionContext } from 'ava';
import { childQueue } from './at-a-time.js';
import type { FaultChildReport } from './fault-child.js';
import type { Hook, NetworkFault } from './fault-types.js';
import { runChild } from './run-child.js';
import { addsUp } from './telemetry-rig.js';

/** The promised limits: CPU time of a hook, `close({ deadlineMs: 1500 })`, and from its end to the end of the process. */
const MOST_HOOK_MS = 25;
const MOST_CLOSE_MS = 1700;
const MOST_END_MS = 300;

/** What `fault-child` does if it is told nothing else. */
const ROUNDS = 20;

type Run = FaultChildReport & { rounds: number } & Pick<Awaited<ReturnType<NetworkFault['begin']>>, 'answered2xx' | 'strayConnections'>;

async function meet(t: ExecutionContext, fault: NetworkFault, hooks: readonly Hook[]): Promise<Run> {
  const { where, env, answered2xx, strayConnections } = await fault.begin(t);
  // The child counts no coverage: it would write it at its end, which is measured.
  const child = await runChild('fault-child', [JSON.stringify({ ...where, hooks })], env);
  t.is(child.stderr, '', 'nothing is thrown, rejected or printed');
  t.is(child.code, 0, 'the process ends by itself');
  return {
    ...(JSON.parse(child.stdout) as FaultChildReport),
    rounds: where.rounds ?? ROUNDS,
    answered2xx,
    ...(strayConnections && { strayConnections }),
  };
}

function isSlow({ slowestHook, closeMs, starvedInCloseMs, afterCloseMs }: Run): boolean {
  return slowestHook.cpuMs >= MOST_HOOK_MS || closeMs - starvedInCloseMs >= MOST_CLOSE_MS || afterCloseMs >= MOST_END_MS;
}

/** Runs a host process against one fault, and checks that the host was not harmed. */
export async function holdsThePromise(t: ExecutionContext, fault: NetworkFault, hooks: readonly Hook[]): Promise<void> {
  await childQueue(async () => {
    let run = await meet(t, fault, hooks);
    // Repeated once: other work on the machine may have slowed it, and a real fault is slow again, or loses events again.
    if (isSlow(run) || run.report.published - run.report.sent > (fault.mostLost ?? Infinity)) run = await meet(t, fault, hooks);
    const { slowestHook, closeMs, starvedInCloseMs, report, codes, afterCloseMs, grownMb, rounds, answered2xx, strayConnections } = run;
    t.log(
      `${report.sent} of ${report.published} delivered, slowest hook ${slowestHook.name} ${slowestHook.cpuMs.toFixed(2)} ms, ` +
        `close ${Math.round(closeMs)} ms (${Math.round(starvedInCloseMs)} ms starved), end ${afterCloseMs.toFixed(1)} ms after, ` +
        `${grownMb.toFixed(0)} MB more, ${JSON.stringify(report.reasons)}`,
    );
    t.true(slowestHook.cpuMs < MOST_HOOK_MS, `a hook took ${slowestHook.cpuMs} ms`);
    t.true(closeMs - starvedInCloseMs < MOST_CLOSE_MS, `close() took ${closeMs} ms`);
    t.true(addsUp(report), JSON.stringify(report));
    t.is(report.published, rounds * hooks.length);
    t.is(report.pending, 0);
    t.true(report.sent <= answered2xx(), `${report.sent} sent, ${answered2xx()} answered with 2xx`);
    t.true(afterCloseMs < MOST_END_MS, `the process ended ${afterCloseMs} ms after close()`);
    t.true(grownMb < 200, `${grownMb} MB more than at the start`);
    const told = [...Object.keys(report.reasons), ...codes];
    const lost = report.published - report.sent;
    if (fault.mostLost !== undefined)
      t.true(lost <= fault.mostLost, `${lost} of ${report.published} lost: ${JSON.stringify(report.reasons)}`);
    else if (fault.told.length === 0) t.true(report.sent > 0, 'an answer of 2xx counts as sent, for any body');
    else {
      t.is(report.sent, 0);
      t.true(
        fault.told.some((reason) => told.includes(reason)),
        `told of ${told.join(', ')}`,
      );
    }
    t.is(strayConnections?.() ?? 0, 0, 'no other host was contacted');
  });
}
