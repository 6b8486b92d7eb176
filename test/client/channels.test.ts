import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { EventEmitter } from 'node:events';
import test from 'ava';
import type { ExecutionContext } from 'ava';
import type { ChannelMessage, TelemetryStats } from '../../src/index.js';
import { recordingTransport } from '../../src/testing/index.js';
import { proves } from '../helpers/promises.js';
import { telemetryRig } from '../helpers/telemetry-rig.js';

const FATES = ['published', 'sent', 'failed', 'dropped'] as const;

/** Subscribes to all channels, for the clients of one product: tests run beside each other. */
function listen(t: ExecutionContext, product: string) {
  const heard: (ChannelMessage & { fate: string })[] = [];
  for (const fate of FATES) {
    const listener = (message: unknown): void => {
      const told = message as ChannelMessage;
      if (told.product === product) heard.push({ fate, ...told });
    };
    subscribe(`cosmos-telemetry:${fate}`, listener);
    t.teardown(() => unsubscribe(`cosmos-telemetry:${fate}`, listener));
  }
  return {
    heard,
    sums: () => Object.fromEntries(FATES.map((fate) => [fate, sum(heard.filter((each) => each.fate === fate))])),
    reasons: () => {
      const lost = heard.filter(({ reason }) => reason !== undefined);
      return Object.fromEntries(lost.map(({ reason = '' }) => [reason, sum(lost.filter((each) => each.reason === reason))]));
    },
  };
}

function sum(messages: readonly ChannelMessage[]): number {
  return messages.reduce((total, { events }) => total + events, 0);
}

function agree(t: ExecutionContext, { sums, reasons }: ReturnType<typeof listen>, stats: TelemetryStats): void {
  const { published, sent, failed, dropped } = stats;
  t.deepEqual(sums(), { published, sent, failed, dropped });
  t.deepEqual(reasons(), { ...stats.reasons });
}

test(proves('channels-balance', 'channels tell each event that was sent, failed or dropped, with its type and reason'), async (t) => {
  const channels = listen(t, 'balance');
  const transport = recordingTransport({
    outcomes: ({ metrics }) =>
      metrics['n'] === 0 ? { kind: 'sent' } : { kind: metrics['n'] === 1 ? 'rejected' : 'refused', reason: `why_${String(metrics['n'])}` },
  });
  const { telemetry, clock } = telemetryRig({ product: { name: 'balance', version: '1.0.0' }, transport });
  const host = new EventEmitter();
  telemetry.register(host);
  for (const n of [0, 1, 2]) telemetry.publish('tick' as never, { n } as never);
  telemetry.publish('hunter2' as never, {} as never);
  telemetry.publish('tick' as never, 'hunter2' as never);
  host.emit('dag_run.success', {});
  t.deepEqual(channels.heard, [], 'nothing runs on the path of the host');
  await clock.advance(0);
  await telemetry.drain();
  await telemetry.close();
  telemetry.publish('tick' as never, {} as never);
  await Promise.resolve();
  t.deepEqual(channels.heard.slice(0, 6), [
    { fate: 'published', product: 'balance', type: 'tick', events: 4 },
    { fate: 'published', product: 'balance', type: '', events: 1 },
    { fate: 'dropped', product: 'balance', type: '', reason: 'invalid', events: 1 },
    { fate: 'dropped', product: 'balance', type: 'tick', reason: 'invalid', events: 1 },
    { fate: 'published', product: 'balance', type: 'dag_run', events: 1 },
    { fate: 'dropped', product: 'balance', type: 'dag_run', reason: 'invalid', events: 1 },
  ]);
  t.deepEqual(
    channels.heard
      .slice(6)
      .map(({ fate, type, reason, events }) => `${fate} ${type} ${reason} ${events}`)
      .sort((left, right) => left.localeCompare(right)),
    ['dropped tick closed 1', 'dropped tick why_2 1', 'failed tick why_1 1', 'published tick undefined 1', 'sent tick undefined 1'],
  );
  agree(t, channels, telemetry.stats());
});

test(proves('channels-balance', 'channels tell what a full buffer, a deadline and an opt-out cost'), async (t) => {
  for (const name of ['full', 'late', 'away'] as const) {
    const channels = listen(t, name);
    const env: Record<string, string> = {};
    const rig = telemetryRig({ product: { name, version: '1.0.0' }, maxPendingEvents: 20, env });
    await rig.publish(8);
    await rig.publish(name === 'full' ? 30 : 3);
    rig.transport.open[0]?.answer({ kind: 'deferred', waitMs: 1000, reason: 'http_503' });
    await rig.clock.advance(0);
    if (name === 'away') {
      env['DO_NOT_TRACK'] = '1';
      t.false(rig.telemetry.enabled);
    }
    const closing = rig.telemetry.close({ deadlineMs: 100 });
    await rig.clock.advance(100);
    const report = await closing;
    await Promise.resolve();
    t.true(report.dropped > 0 && report.failed > 0 && report.pending === 0, name);
    agree(t, channels, report);
  }
});

test('a message is frozen, one turn has one message for equal events, and the next turn another', async (t) => {
  const { heard } = listen(t, 'turns');
  const { telemetry } = telemetryRig({ product: { name: 'turns', version: '1.0.0' } });
  for (let turn = 0; turn < 2; turn += 1) {
    for (let n = 0; n < 1000; n += 1) telemetry.publish('tick' as never, { n } as never);
    await Promise.resolve();
  }
  const message = { fate: 'published', product: 'turns', type: 'tick', events: 1000 };
  t.deepEqual(heard, [message, message]);
  let frozen: boolean | undefined;
  const listener = (told: unknown): void => {
    if ((told as ChannelMessage).product === 'turns') frozen = Object.isFrozen(told);
  };
  subscribe('cosmos-telemetry:published', listener);
  telemetry.publish('tick' as never, {} as never);
  await Promise.resolve();
  unsubscribe('cosmos-telemetry:published', listener);
  t.true(frozen);
});

test('after an opt-out no channel tells anything', async (t) => {
  const { heard } = listen(t, 'shut');
  const { telemetry } = telemetryRig({ product: { name: 'shut', version: '1.0.0' }, env: { DO_NOT_TRACK: '1' } });
  telemetry.publish('tick' as never, {} as never);
  await telemetry.close();
  await Promise.resolve();
  t.deepEqual(heard, []);
});
