import 'p-queue';
import { count, defineEvent, optional } from '../../src/index.js';
import type { TelemetryOptions, TelemetryStats } from '../../src/index.js';
import type { MachineAccess } from '../../src/base/machine.js';
import { createTelemetryWith } from '../../src/client/telemetry.js';
import { ProcessEnd } from '../../src/delivery/process-end.js';
import { ScriptedTransport } from './scripted-transport.js';
import { settle, VirtualClock } from './virtual-clock.js';

const tick = defineEvent('tick', { n: optional(count({ description: 'Which one.', reason: 'To tell them apart in tests.' })) });

/** A machine with a virtual clock, a given random number and no files. */
export function virtualMachine(clock: VirtualClock, random: () => number = () => 0.5): MachineAccess {
  return {
    clock,
    random,
    readFile: (path) => {
      throw Object.assign(new Error(`no such file: ${path}`), { code: 'ENOENT' });
    },
    platform: 'linux',
    facts: () => ({ system: 'Linux', machine: 'x86_64', nodeVersion: '20.19.0' }),
  };
}

/** What a rig takes beside the options of a client. */
interface RigOptions {
  scripted?: ScriptedTransport;
  clock?: VirtualClock;
  /** Whether only connects of this package keep the process alive. */
  isHeldByUs?: () => boolean;
}

/** A client of product `acme` with one event `tick` on a virtual machine. It has a scripted transport unless `options` has one. */
export function telemetryRig(options: Partial<TelemetryOptions> & RigOptions = {}) {
  const { scripted = new ScriptedTransport(), transport = scripted, env = {}, clock = new VirtualClock(), isHeldByUs, ...rest } = options;
  ProcessEnd.of(clock, isHeldByUs ?? (() => false));
  const telemetry = createTelemetryWith(
    { product: { name: 'acme', version: '1.0.0' }, transport, env, events: [tick], drainOnExit: false, ...(rest as object) },
    virtualMachine(clock),
  );
  let published = 0;
  return {
    telemetry,
    transport: scripted,
    clock,
    env,
    /** Publishes ticks, numbered from 0 across all calls, and runs deferred callbacks. */
    publish: async (events: number): Promise<void> => {
      for (let index = 0; index < events; index += 1) telemetry.publish('tick', { n: published++ });
      await clock.advance(0);
    },
    /** Answers the oldest open sends with `sent`, at most `limit`. */
    succeed: async (limit = Infinity): Promise<void> => {
      for (let done = 0; done < limit && scripted.open.length > 0; done += 1) {
        scripted.open[0]?.answer({ kind: 'sent' });
        await settle();
        clock.runDeferred();
        await settle();
      }
    },
  };
}

/** Whether `published = sent + failed + dropped + pending`, and each lost event has a reason. */
export function addsUp({ published, sent, failed, dropped, pending, reasons }: TelemetryStats): boolean {
  const losses = Object.values(reasons).reduce((sum, events) => sum + events, 0);
  return published === sent + failed + dropped + pending && losses === failed + dropped && pending >= 0;
}
