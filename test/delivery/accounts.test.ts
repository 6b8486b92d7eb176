import test from 'ava';
import * as fc from 'fast-check';
import { circuitBreaker, retrying } from '../../src/index.js';
import type { DrainReport, EventOutcome, SendOutcome, TelemetryStats } from '../../src/index.js';
import { steering } from '../../src/delivery/transport.js';
import type { Steering } from '../../src/delivery/transport.js';
import { ScriptedTransport } from '../helpers/scripted-transport.js';
import { addsUp, telemetryRig } from '../helpers/telemetry-rig.js';
import { settle, VirtualClock } from '../helpers/virtual-clock.js';
import { proves } from '../helpers/promises.js';

type Action =
  | { do: 'publish'; events: number }
  | { do: 'answer'; index: number; outcome: SendOutcome }
  | { do: 'answerEach'; index: number; outcomes: EventOutcome[] }
  | { do: 'throw'; index: number }
  | { do: 'garbage'; index: number }
  | { do: 'advance'; ms: number }
  | { do: 'drain'; deadlineMs: number }
  | { do: 'close'; deadlineMs: number }
  | { do: 'end'; hasEnded: boolean }
  | { do: 'optOut' };

const index = fc.nat(30);
const reason = fc.constantFrom('connect', 'http_503', 'timeout', 'network', 'too_large', 'circuit_open', 'aborted', 'busy');
const outcome: fc.Arbitrary<EventOutcome> = fc.oneof(
  { weight: 4, arbitrary: fc.constant<EventOutcome>({ kind: 'sent' }) },
  fc.record({ kind: fc.constantFrom('retryable' as const, 'rejected' as const, 'refused' as const), reason }),
  fc.record({ kind: fc.constant('deferred' as const), waitMs: fc.nat(120_000), reason }),
  fc.constant<EventOutcome>({ kind: 'aborted' }),
);
const deadlineMs = fc.nat(5000);
const action: fc.Arbitrary<Action> = fc.oneof(
  { weight: 6, arbitrary: fc.record({ do: fc.constant('publish' as const), events: fc.nat(40) }) },
  { weight: 10, arbitrary: fc.record({ do: fc.constant('answer' as const), index, outcome }) },
  {
    weight: 4,
    arbitrary: fc.record({ do: fc.constant('answerEach' as const), index, outcomes: fc.array(outcome, { minLength: 1, maxLength: 7 }) }),
  },
  fc.record({ do: fc.constant('throw' as const), index }),
  fc.record({ do: fc.constant('garbage' as const), index }),
  { weight: 4, arbitrary: fc.record({ do: fc.constant('advance' as const), ms: fc.nat(30_000) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('drain' as const), deadlineMs }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('close' as const), deadlineMs }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('end' as const), hasEnded: fc.boolean() }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('optOut' as const) }) },
);

test(proves('accounts-balance', 'published = sent + failed + dropped + pending, after any actions in any order'), async (t) => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(action, { maxLength: 40 }),
      fc.record({
        maxBatchSize: fc.integer({ min: 1, max: 7 }),
        lingerMs: fc.constantFrom(0, 500, 20_000),
        maxBatchBytes: fc.constantFrom(undefined, 100, 300),
        concurrency: fc.integer({ min: 1, max: 5 }),
        retries: fc.nat(2),
        hasBreaker: fc.boolean(),
        drainOnExit: fc.boolean(),
      }),
      async (actions, { maxBatchSize, lingerMs, maxBatchBytes, concurrency, retries, hasBreaker, drainOnExit }) => {
        const host = { hasEnded: false };
        const lead: Steering = {
          letGo: () => {
            while (scripted.open.length > 0) scripted.open[0]?.answer({ kind: 'deferred', waitMs: 0, reason: 'aborted' });
          },
        };
        const scripted = Object.assign(new ScriptedTransport({ maxBatchSize }), { lingerMs, maxBatchBytes, [steering]: lead });
        const faults: string[] = [];
        let last: TelemetryStats | undefined;
        const logger = { debug: () => check('in the logger'), warn: () => check('in the logger') };
        const clock = new VirtualClock();
        const tested = hasBreaker ? circuitBreaker(scripted, { clock, failureThreshold: 2 }) : scripted;
        const transport = retries === 0 ? tested : retrying(tested, { retries, clock });
        const {
          telemetry,
          env,
          clock: rigClock,
        } = telemetryRig({
          scripted,
          transport,
          concurrency,
          drainConcurrency: concurrency + 3,
          maxPendingEvents: 25,
          drainOnExit,
          logger,
          isHeldByUs: () => host.hasEnded,
        });
        const check = (where: string) => {
          const stats = telemetry.stats();
          if (!addsUp(stats)) faults.push(`${where}: ${JSON.stringify(stats)}`);
          for (const key of ['published', 'sent', 'failed', 'dropped'] as const) {
            if (last !== undefined && stats[key] < last[key]) faults.push(`${where}: ${key} went down`);
          }
          last = stats;
        };
        scripted.onSend = () => check('in send');
        telemetry.bus.on('dag_run', () => check('in a subscriber'));
        const waits: Promise<DrainReport>[] = [];
        let sentByTransport = 0;

        for (const step of actions) {
          const send = 'index' in step ? scripted.open[step.index % Math.max(1, scripted.open.length)] : undefined;
          switch (step.do) {
            case 'publish':
              for (let event = 0; event < step.events; event += 1) {
                telemetry.publish('dag_run', { status: 'success', task_count: 1, acme_task_count: 1 });
              }
              break;
            case 'answer':
              if (send !== undefined && step.outcome.kind === 'sent') sentByTransport += send.events.length;
              send?.answer(step.outcome);
              break;
            case 'answerEach': {
              const outcomes = (send?.events ?? []).map((_, each) => step.outcomes[each % step.outcomes.length] as EventOutcome);
              sentByTransport += outcomes.filter(({ kind }) => kind === 'sent').length;
              send?.answer({ kind: 'partial', outcomes });
              break;
            }
            case 'throw':
              send?.fail(new Error('the transport broke'));
              break;
            case 'garbage':
              send?.answer({ kind: 'rejected', reason: 'Not A Code' });
              break;
            case 'advance':
              await clock.advance(step.ms);
              await rigClock.advance(step.ms);
              break;
            case 'drain':
              waits.push(telemetry.drain({ deadlineMs: step.deadlineMs }));
              break;
            case 'close':
              waits.push(telemetry.close({ deadlineMs: step.deadlineMs }));
              break;
            case 'end':
              host.hasEnded = step.hasEnded;
              break;
            case 'optOut':
              env['DO_NOT_TRACK'] = '1';
              break;
          }
          check(`after ${step.do}`);
          rigClock.runDeferred();
          await settle();
          check(`settled after ${step.do}`);
        }

        waits.push(telemetry.close({ deadlineMs: 1000 }));
        await rigClock.advance(10_000);
        const reports = await Promise.all(waits);
        const end = telemetry.stats();
        check('at the end');
        for (const report of reports) if (!addsUp(report)) faults.push(`report: ${JSON.stringify(report)}`);
        if (end.pending !== 0) faults.push(`${end.pending} pending after close`);
        if (end.sent > sentByTransport) faults.push(`${end.sent} sent, the transport said ${sentByTransport}`);
        if (rigClock.pendingTimers !== 0) faults.push(`${rigClock.pendingTimers} timers after close`);
        if (scripted.closed !== 1) faults.push(`transport closed ${scripted.closed} times`);
        t.deepEqual(faults, []);
        return true;
      },
    ),
    { numRuns: 300 },
  );
});
