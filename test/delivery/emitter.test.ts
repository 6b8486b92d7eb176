import test from 'ava';
import { ScriptedTransport } from '../helpers/scripted-transport.js';
import { addsUp, telemetryRig } from '../helpers/telemetry-rig.js';
import { proves } from '../helpers/promises.js';

test(proves('memory-bound', 'a million publishes to a transport that never answers keep the newest 10,000 and count the others'), (t) => {
  const { telemetry } = telemetryRig();
  for (let event = 0; event < 1_000_000; event += 1) telemetry.publish('tick', { n: event });
  const stats = telemetry.stats();
  t.is(stats.pending, 10_000);
  t.deepEqual(stats.reasons, { buffer_full: 990_000 });
  t.true(addsUp(stats));
});

test('the counts add up even if the logger publishes', (t) => {
  const logger = { debug: () => undefined, warn: () => void telemetry.publish('tick', { n: 9 }) };
  const { telemetry } = telemetryRig({ maxPendingEvents: 2, logger });
  for (let n = 0; n < 3; n += 1) telemetry.publish('tick', { n });
  t.like(telemetry.stats(), { published: 4, dropped: 2, pending: 2, reasons: { buffer_full: 2 } });
});

test('drain is a checkpoint: it waits for the events accepted before it, not for later ones', async (t) => {
  const { publish, succeed, transport, telemetry, clock } = telemetryRig({ concurrency: 1, drainConcurrency: 1 });
  await publish(2);
  const drained = telemetry.drain();
  await publish(1);
  await succeed(2);
  const report = await drained;
  t.like(report, { timedOut: false, published: 3, sent: 2, pending: 1 });
  t.is(transport.open.length, 1, 'nothing is aborted');
  t.is(clock.pendingRefTimers, 0, 'nothing keeps the process alive any more');
});

test('drain reports at its own deadline, aborts nothing, and runs together with other drains', async (t) => {
  const { publish, succeed, transport, telemetry, clock } = telemetryRig({ concurrency: 1, drainConcurrency: 1 });
  await publish(2);
  const short = telemetry.drain({ deadlineMs: 100 });
  const long = telemetry.drain({ deadlineMs: 1000 });
  t.is(clock.pendingRefTimers, 2);
  await clock.advance(100);
  t.like(await short, { timedOut: true, durationMs: 100, pending: 2 });
  t.false(transport.open[0]?.signal.aborted);
  await succeed();
  t.like(await long, { timedOut: false, sent: 2, pending: 0 });
});

test('drain with nothing to wait for ends at once, before the first publish and after the last answer', async (t) => {
  const { publish, succeed, telemetry, clock } = telemetryRig();
  t.like(await telemetry.drain(), { timedOut: false, durationMs: 0, published: 0, pending: 0 });
  t.is(clock.pendingTimers, 0);
  await publish(1);
  await succeed();
  t.like(await telemetry.drain({ deadlineMs: 0 }), { timedOut: false, durationMs: 0, sent: 1, pending: 0 });
  t.is(clock.pendingRefTimers, 0);
});

test('each drain waits for its own events and has its own deadline', async (t) => {
  const { publish, succeed, telemetry, clock } = telemetryRig({ concurrency: 1, drainConcurrency: 1 });
  const reports: string[] = [];
  const drain = (name: string, deadlineMs: number) => {
    void telemetry.drain({ deadlineMs }).then(({ timedOut }) => reports.push(`${name} ${timedOut ? 'timed out' : 'done'}`));
  };
  await publish(1);
  drain('near', 100);
  await publish(1);
  drain('far', 200);
  drain('late', 300);
  await succeed(1);
  t.deepEqual(reports, ['near done']);
  t.is(clock.pendingRefTimers, 2);
  await clock.advance(200);
  t.deepEqual(reports, ['near done', 'far timed out']);
  await succeed();
  t.deepEqual(reports, ['near done', 'far timed out', 'late done']);
  t.is(clock.pendingRefTimers, 0);
});

test('a deadline beyond the range of timers has not passed', async (t) => {
  for (const deadlineMs of [Infinity, 1e15, 2 ** 31]) {
    const { publish, succeed, telemetry, clock } = telemetryRig();
    await publish(1);
    const drained = telemetry.drain({ deadlineMs });
    await clock.advance(10_000);
    await succeed();
    t.like(await drained, { timedOut: false, durationMs: 10_000, sent: 1 });
  }
});

test('a deadline of 0 is a deadline', async (t) => {
  const { publish, telemetry, clock } = telemetryRig();
  await publish(1);
  const drained = telemetry.drain({ deadlineMs: 0 });
  await clock.advance(1);
  t.like(await drained, { timedOut: true, pending: 1 });
});

test('a wrong deadline is replaced by the default, and nothing rejects', async (t) => {
  const { publish, telemetry, clock } = telemetryRig();
  await publish(1);
  for (const deadlineMs of [-1, NaN, '5', null]) {
    const drained = telemetry.drain({ deadlineMs: deadlineMs as number });
    await clock.advance(2000);
    t.like(await drained, { timedOut: true, durationMs: 2000 });
  }
});

test('events that were dropped count as settled for a drain that waits for them', async (t) => {
  const { publish, succeed, telemetry } = telemetryRig({ concurrency: 1, drainConcurrency: 1, maxPendingEvents: 2 });
  await publish(3);
  const drained = telemetry.drain();
  await publish(2);
  await succeed(1);
  t.like(await drained, { timedOut: false, dropped: 2, sent: 1, pending: 2 });
});

test('close delivers, refuses later events, closes the transport, and returns the same promise every time', async (t) => {
  const { publish, succeed, transport, telemetry } = telemetryRig({ concurrency: 1, drainConcurrency: 4 });
  await publish(6);
  const closed = telemetry.close();
  t.is(telemetry.close({ deadlineMs: 1 }), closed);
  t.false(telemetry.enabled);
  t.false(telemetry.publish('tick', {}));
  await succeed();
  const report = await closed;
  t.like(report, { timedOut: false, published: 7, sent: 6, dropped: 1, pending: 0, reasons: { closed: 1 } });
  t.is(transport.closed, 1);
  await telemetry[Symbol.asyncDispose]();
  t.is(transport.closed, 1);
  t.false(telemetry.publish('tick', {}));
  t.like(telemetry.stats(), { published: 8, reasons: { closed: 2 } });
});

test('at the deadline close aborts what is in flight and accounts for the rest', async (t) => {
  const { publish, transport, telemetry, clock } = telemetryRig({ concurrency: 1, drainConcurrency: 2 });
  await publish(5);
  const closed = telemetry.close({ deadlineMs: 300 });
  await clock.advance(300);
  const report = await closed;
  t.like(report, { timedOut: true, durationMs: 300, failed: 2, dropped: 3, pending: 0, reasons: { aborted: 2, deadline: 3 } });
  t.true(transport.open.every(({ signal }) => signal.aborted));
  t.is(clock.pendingTimers, 0);
  t.true(addsUp(report));
});

test('one failed connection among others that deliver does not end a close', async (t) => {
  const { publish, succeed, transport, telemetry, clock } = telemetryRig({ concurrency: 2, drainConcurrency: 2 });
  await publish(5);
  const closed = telemetry.close();
  await clock.advance(0);
  transport.open[0]?.answer({ kind: 'deferred', waitMs: 50, reason: 'connect' });
  await clock.advance(0);
  await succeed();
  t.like(await closed, { timedOut: false, durationMs: 0, sent: 5, reasons: {} });
});

test('other failures do not end a close', async (t) => {
  const { publish, succeed, transport, telemetry, clock } = telemetryRig({ concurrency: 1, drainConcurrency: 1 });
  await publish(3);
  const closed = telemetry.close();
  transport.open[0]?.answer({ kind: 'retryable', reason: 'http_503' });
  await clock.advance(0);
  await succeed();
  t.like(await closed, { sent: 2, failed: 1, reasons: { http_503: 1 } });
});

test('a deferral beyond the deadline ends a close at once; close waits for a shorter one', async (t) => {
  const impatient = telemetryRig({ concurrency: 1, drainConcurrency: 1 });
  await impatient.publish(2);
  const closed = impatient.telemetry.close({ deadlineMs: 1000 });
  impatient.transport.open[0]?.answer({ kind: 'deferred', waitMs: 1001, reason: 'circuit_open' });
  t.like(await closed, { timedOut: false, durationMs: 0, dropped: 2, reasons: { deadline: 2 } });

  const patient = telemetryRig({ concurrency: 1, drainConcurrency: 1 });
  await patient.publish(2);
  const late = patient.telemetry.close({ deadlineMs: 1000 });
  patient.transport.open[0]?.answer({ kind: 'deferred', waitMs: 400, reason: 'http_429' });
  await patient.clock.advance(400);
  await patient.succeed();
  t.like(await late, { timedOut: false, durationMs: 400, sent: 2 });
});

test('a close that begins in a pause which the endpoint asked for, longer than its deadline, ends at once', async (t) => {
  const { publish, transport, telemetry, clock } = telemetryRig({ concurrency: 1 });
  await publish(2);
  transport.open[0]?.answer({ kind: 'deferred', waitMs: 60_000, reason: 'http_503' });
  await clock.advance(0);
  t.like(await telemetry.close(), { timedOut: false, durationMs: 0, dropped: 2, reasons: { deadline: 2 } });
});

test('an opt-out drops what waits and aborts what is in flight within a second', async (t) => {
  const { publish, transport, telemetry, clock, env } = telemetryRig({ concurrency: 1 });
  await publish(3);
  env['DO_NOT_TRACK'] = '1';
  await clock.advance(1000);
  t.like(telemetry.stats(), { published: 3, sent: 0, failed: 1, dropped: 2, pending: 0, reasons: { aborted: 1, opted_out: 2 } });
  t.true(transport.sends[0]?.signal.aborted);
  t.is(transport.closed, 1);
  t.is(clock.pendingTimers, 0);
  delete env['DO_NOT_TRACK'];
  t.false(telemetry.enabled, 'the latch stays shut');
  t.false(telemetry.publish('tick', {}));
  t.is(telemetry.stats().published, 3, 'and nothing more is counted');
  t.like(await telemetry.close(), { timedOut: false, pending: 0 });
  t.is(transport.closed, 1);
});

test('an opt-out is seen before the next attempt, without waiting for the heartbeat', async (t) => {
  const { publish, succeed, transport, telemetry, env } = telemetryRig({ concurrency: 1 });
  await publish(3);
  env['ACME_TELEMETRY'] = 'off';
  await succeed(1);
  t.is(transport.sends.length, 1);
  t.like(telemetry.stats(), { sent: 1, dropped: 2, reasons: { opted_out: 2 } });
});

test('a transport that cannot be closed does no harm', async (t) => {
  const lines: string[] = [];
  const logger = { debug: () => undefined, warn: (line: string) => void lines.push(line) };
  const scripted = new ScriptedTransport();
  scripted.close = () => {
    throw new Error('https://secret.example/?dag=x');
  };
  const { telemetry, clock } = telemetryRig({ scripted, logger });
  t.like(await telemetry.close(), { pending: 0 });
  await clock.advance(0);
  t.deepEqual(lines, ['[telemetry] transport_close_failed: the transport could not be closed']);
});

test('an answered event counts by its answer, even if its body was still in flight at the deadline', async (t) => {
  const scripted = new ScriptedTransport();
  const { publish, telemetry, clock } = telemetryRig({
    scripted,
    concurrency: 2,
    drainConcurrency: 2,
    transport: {
      send: (events, signal) => {
        const sending = scripted.send(events, signal);
        const [send] = scripted.open.slice(-1);
        const isAnswered = events[0]?.metrics['n'] === 0;
        signal.addEventListener('abort', () => send?.answer(isAnswered ? { kind: 'sent' } : { kind: 'aborted' }));
        return sending;
      },
    },
  });
  await publish(2);
  const closed = telemetry.close({ deadlineMs: 100 });
  await clock.advance(100);
  t.like(await closed, { timedOut: true, sent: 1, failed: 1, pending: 0, reasons: { aborted: 1 } });
});

test('a deadline that throws when it is read is replaced by the default, and close still closes', async (t) => {
  const { telemetry } = telemetryRig();
  const hostile = {
    get deadlineMs(): number {
      throw new Error('no');
    },
  };
  t.like(await telemetry.drain(hostile), { timedOut: false });
  t.like(await telemetry.close(hostile), { timedOut: false });
  t.false(telemetry.publish('tick', {}));
});

test('an event that is accepted while an opt-out appears does not stay behind', async (t) => {
  const { telemetry, env } = telemetryRig({ drainOnExit: true });
  const before = process.listenerCount('beforeExit');
  const metrics = {
    get n(): number {
      env['DO_NOT_TRACK'] = '1';
      t.false(telemetry.enabled);
      return 1;
    },
  };
  telemetry.publish('tick', metrics);
  t.like(telemetry.stats(), { published: 1, pending: 0, dropped: 1, reasons: { opted_out: 1 } });
  t.is(process.listenerCount('beforeExit'), before);
  t.like(await telemetry.close(), { timedOut: false, pending: 0 });
});
