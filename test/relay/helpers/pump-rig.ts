import type { ExecutionContext } from 'ava';
import type { SendOutcome, Transport } from '../../../src/delivery/transport.js';
import { Gate } from '../../../src/opt-out/gate.js';
import { RelayLog } from '../../../src/relay/log.js';
import { Pump, RelayLedger } from '../../../src/relay/pump.js';
import { VirtualClock } from '../../helpers/virtual-clock.js';
import { StandInStore } from './stand-in-store.js';

/** What the endpoint does with an event: an outcome, or undefined to leave the request open. */
type Endpoint = (target: string, attempt: number) => SendOutcome | undefined;

interface PumpRigOptions {
  events: readonly string[];
  endpoint: Endpoint;
  concurrency?: number;
  random?: () => number;
  spreadMs?: number;
  /** What the endpoint does with a batch. @default it takes one event at a time */
  batches?: { size: number; endpoint: (targets: readonly string[]) => SendOutcome };
}

/** A pump on a clock of the test, for an endpoint that the test plays. The sum of the accounts is checked at each attempt. */
export function startPumpRig(
  t: ExecutionContext,
  { events, endpoint, concurrency = 1, random = () => 0.5, spreadMs, batches }: PumpRigOptions,
) {
  const clock = new VirtualClock();
  const log: string[] = [];
  const attempts: { target: string; atMs: number }[] = [];
  const open: { target: string; answer: (outcome: SendOutcome) => void }[] = [];
  let mostOpen = 0;
  const settings = { isOptedOut: false, hasRoom: true, endpoint };
  const store = new StandInStore((stored) => pump.onStored(stored), events);
  const ledger = new RelayLedger();
  ledger.published = events.length;
  const transport: Transport = {
    ...(batches && { maxBatchSize: batches.size }),
    send: (sent) => {
      checkSum();
      const [event] = sent;
      if (batches !== undefined) {
        const targets = sent.map((each) => each.requestTarget());
        attempts.push({ target: targets.join(' '), atMs: clock.now() });
        return Promise.resolve(batches.endpoint(targets));
      }
      const target = event?.requestTarget() ?? '';
      attempts.push({ target, atMs: clock.now() });
      return new Promise((resolve) => {
        const answer = (outcome: SendOutcome) => {
          open.splice(open.indexOf(request), 1);
          resolve(outcome);
        };
        const request = { target, answer };
        mostOpen = Math.max(mostOpen, open.push(request));
        const outcome = settings.endpoint(target, attempts.filter((each) => each.target === target).length);
        if (outcome !== undefined) answer(outcome);
      });
    },
  };
  const line = (level: string) => (text: string) => log.push(`${level} ${text}`);
  const pump = new Pump({
    store,
    transport,
    gate: new Gate({ state: 'open', watch: { optedOutNow: () => settings.isOptedOut }, clock }),
    ledger,
    log: new RelayLog({ debug: () => undefined, info: line('info'), warn: line('warn') }, clock),
    clock,
    random,
    backoffMs: 1000,
    maxBackoffMs: 60_000,
    concurrency,
    drainConcurrency: 24,
    sendCapMs: 600_000,
    hasRoom: () => settings.hasRoom,
    spreadMs,
    load: { add: () => undefined, isHigh: false },
  });
  t.teardown(() => pump.stop());

  function checkSum(): void {
    // While a store takes an event out, the event is in flight.
    const { published, sent, failed, dropped } = ledger.snapshot(0);
    t.is(published, sent + failed + dropped + pump.pending);
  }

  return {
    pump,
    clock,
    store,
    log,
    attempts,
    open,
    answerAll: (outcome: SendOutcome) => {
      while (open[0] !== undefined) open[0].answer(outcome);
    },
    settings,
    mostOpen: (reset = false) => {
      const most = mostOpen;
      if (reset) mostOpen = open.length;
      return most;
    },
    triesOf: (target: string) => attempts.filter((each) => each.target === target).length,
    targets: () => attempts.map(({ target }) => target.slice('/v3/'.length)).join(' '),
    timesOf: (target: string) => attempts.filter((each) => each.target === target).map(({ atMs }) => atMs),
    accounts: () => {
      checkSum();
      const { sent, failed, dropped } = ledger.snapshot(0);
      return { sent, failed, dropped, pending: pump.pending };
    },
    failedBy: () => Object.fromEntries(ledger.failedBy),
    droppedBy: () => Object.fromEntries(ledger.droppedBy),
  };
}
