import { EventEmitter } from 'node:events';
import test from 'ava';
// Loaded before the tests, since a first import takes longer than some turns of the loop.
import '../../src/events/mistake-words.js';
import type { Telemetry } from '../../src/client/telemetry.js';
import type { HostEvents } from '../../src/listeners/host.js';
import type { HostMap, HostReport } from '../../src/listeners/map.js';
import { proves } from '../helpers/promises.js';
import { addsUp, telemetryRig } from '../helpers/telemetry-rig.js';
import { unhandledRejections } from '../helpers/unhandled-rejections.js';
import { settle } from '../helpers/virtual-clock.js';

/** What a queue emits: `(job, result)`. */
interface Job {
  id: string;
  queue: string;
  seconds: number;
}

const JOB: Job = { id: '7', queue: 'local', seconds: 2 };

function reportOf(job: Job): HostReport {
  const task = { module: `acme.operators.${job.queue}`, operatorName: 'SqlTask' };
  const taskInstance = { dagId: 'nightly', taskId: job.id, mapIndex: -1, duration: job.seconds, task };
  return { event: 'task_instance.success', payload: { taskInstance } };
}

/** A function of a `map` whose answers the test gives. */
function lookUp() {
  const answers: { resolve: (report: HostReport | undefined) => void; reject: (error: Error) => void }[] = [];
  const map: HostMap = {
    completed: () =>
      new Promise<HostReport | undefined>((resolve, reject) => {
        answers.push({ resolve, reject });
      }),
  };
  return { answers, map };
}

function sendsOf(sent: ReturnType<typeof telemetryRig>) {
  return sent.transport.open
    .flatMap(({ events }) => events)
    .map(({ type, metrics }) => [type, metrics['operator_name'], metrics['duration']]);
}

test('a host that emits other payloads is translated, and emits under its own names only', async (t) => {
  const rig = telemetryRig();
  const host = new EventEmitter();
  const map: HostMap = {
    completed: (job: Job, result: string) => (result === 'skip' ? undefined : reportOf(job)),
    cached: () => null,
  };
  const undo = rig.telemetry.register(host, { map });
  t.deepEqual(host.eventNames(), ['completed', 'cached']);
  host.emit('completed', JOB, 'done');
  host.emit('completed', JOB, 'skip');
  host.emit('cached', JOB);
  await rig.clock.advance(0);
  t.deepEqual(sendsOf(rig), [['task_instance', 'SqlTask', 2]]);
  t.like(rig.telemetry.stats(), { published: 1, pending: 1, dropped: 0 });
  undo();
  t.deepEqual(host.eventNames(), []);
});

test('a function of a map may be a method that uses the others', (t) => {
  const rig = telemetryRig();
  const host = new EventEmitter();
  const map = {
    completed(job: Job): HostReport {
      return this.same(job);
    },
    same: (job: Job) => reportOf(job),
  };
  rig.telemetry.register(host, { map });
  host.emit('completed', JOB);
  t.is(rig.telemetry.stats().published, 1);
});

test('an EventTarget hands its Event to a map', (t) => {
  const rig = telemetryRig();
  const host = new EventTarget();
  rig.telemetry.register(host, { map: { done: (event: CustomEvent<Job>) => reportOf(event.detail) } });
  host.dispatchEvent(new CustomEvent('done', { detail: JOB }));
  t.is(rig.telemetry.stats().published, 1);
});

test(proves('map-accounts', 'a look-up counts as published and pending, and as its event once it has answered'), async (t) => {
  const rig = telemetryRig();
  const host = new EventEmitter();
  const { answers, map } = lookUp();
  rig.telemetry.register(host, { map });
  for (let index = 0; index < 4; index += 1) host.emit('completed');
  t.like(rig.telemetry.stats(), { published: 4, pending: 4 });
  answers[0]?.resolve(reportOf(JOB));
  answers[1]?.resolve(undefined);
  answers[2]?.reject(new Error('hunter2'));
  await settle();
  t.like(rig.telemetry.stats(), { published: 3, pending: 2, dropped: 1, reasons: { invalid: 1 } });
  t.true(addsUp(rig.telemetry.stats()));
});

test(proves('map-accounts', 'drain() waits for the look-ups that began before it, and for their events'), async (t) => {
  const rig = telemetryRig();
  const host = new EventEmitter();
  const { answers, map } = lookUp();
  rig.telemetry.register(host, { map });
  host.emit('completed');
  let report: Awaited<ReturnType<Telemetry['drain']>> | undefined;
  const drained = rig.telemetry.drain({ deadlineMs: 1000 }).then((value) => (report = value));
  host.emit('completed');
  await rig.clock.advance(400);
  t.is(report, undefined);
  answers[0]?.resolve(reportOf(JOB));
  await rig.clock.advance(0);
  await settle();
  t.is(report, undefined);
  await rig.succeed();
  await drained;
  t.like(report, { published: 2, sent: 1, pending: 1, timedOut: false });
});

test(proves('map-accounts', 'a look-up that hangs ends a drain at its deadline'), async (t) => {
  const rig = telemetryRig();
  const host = new EventEmitter();
  rig.telemetry.register(host, { map: lookUp().map });
  host.emit('completed');
  const drained = rig.telemetry.drain({ deadlineMs: 1000 });
  await rig.clock.advance(1000);
  t.like(await drained, { published: 1, pending: 1, dropped: 0, timedOut: true });
});

test(proves('map-accounts', 'close() waits for look-ups and delivers what they find'), async (t) => {
  const rig = telemetryRig();
  const host = new EventEmitter();
  const { answers, map } = lookUp();
  rig.telemetry.register(host, { map });
  host.emit('completed');
  const closed = rig.telemetry.close({ deadlineMs: 1000 });
  t.deepEqual(host.eventNames(), []);
  t.false(rig.telemetry.publish('tick' as never, {} as never));
  await rig.clock.advance(400);
  answers[0]?.resolve(reportOf(JOB));
  await rig.clock.advance(0);
  t.false(rig.telemetry.publish('tick' as never, {} as never));
  await rig.succeed();
  t.like(await closed, { published: 3, sent: 1, dropped: 2, reasons: { closed: 2 }, timedOut: false });
});

test(proves('map-accounts', 'close() delivers what look-ups find while earlier events are in flight'), async (t) => {
  const rig = telemetryRig();
  const host = new EventEmitter();
  const { answers, map } = lookUp();
  rig.telemetry.register(host, { map: { ...map, done: (job: Job) => reportOf(job) } });
  host.emit('completed', JOB);
  host.emit('done', JOB);
  const closed = rig.telemetry.close({ deadlineMs: 1000 });
  await rig.clock.advance(0);
  t.is(rig.transport.open.length, 1);
  // Found after the close began and before the first answer: it is sent beside the first event, and not yet answered when that one is.
  answers[0]?.resolve(reportOf({ ...JOB, seconds: 3 }));
  await rig.clock.advance(0);
  rig.transport.open[0]?.answer({ kind: 'sent' });
  await rig.clock.advance(100);
  t.deepEqual(sendsOf(rig), [['task_instance', 'SqlTask', 3]]);
  rig.transport.open[0]?.answer({ kind: 'sent' });
  t.like(await closed, { published: 2, sent: 2, dropped: 0, failed: 0, timedOut: false });
});

test(proves('map-accounts', 'a look-up that hangs costs its event, and no other one'), async (t) => {
  const rig = telemetryRig();
  const host = new EventEmitter();
  const { answers, map } = lookUp();
  rig.telemetry.register(host, { map });
  host.emit('completed');
  rig.telemetry.report('task_instance.success', reportOf(JOB).payload as HostEvents['task_instance.success']);
  const closed = rig.telemetry.close({ deadlineMs: 1000 });
  await rig.clock.advance(0);
  await rig.succeed();
  await rig.clock.advance(1000);
  t.like(await closed, { published: 2, sent: 1, dropped: 1, pending: 0, reasons: { deadline: 1 }, timedOut: true, durationMs: 1000 });
  answers[0]?.resolve(reportOf(JOB));
  await settle();
  t.like(rig.telemetry.stats(), { published: 2, sent: 1, dropped: 1, pending: 0 });
});

test(proves('map-accounts', 'an opt-out drops what is still looked up'), async (t) => {
  const rig = telemetryRig();
  const host = new EventEmitter();
  const { answers, map } = lookUp();
  rig.telemetry.register(host, { map });
  host.emit('completed');
  const drained = rig.telemetry.drain({ deadlineMs: 1000 });
  rig.env['DO_NOT_TRACK'] = '1';
  t.false(rig.telemetry.enabled);
  t.like(await drained, { published: 1, dropped: 1, pending: 0, reasons: { opted_out: 1 } });
  answers[0]?.resolve(reportOf(JOB));
  await settle();
  t.like(rig.telemetry.stats(), { published: 1, dropped: 1, pending: 0 });
});

test(proves('map-accounts', 'a host that keeps its listeners after close() begins no look-up'), async (t) => {
  const rig = telemetryRig();
  const host = new EventEmitter();
  host.off = () => host;
  const { answers, map } = lookUp();
  rig.telemetry.register(host, { map });
  await rig.telemetry.close({ deadlineMs: 0 });
  host.emit('completed');
  t.like(rig.telemetry.stats(), { published: 1, dropped: 1, pending: 0, reasons: { closed: 1 } });
  answers[0]?.resolve(reportOf(JOB));
  await settle();
  t.like(rig.telemetry.stats(), { published: 1, dropped: 1, pending: 0 });
});

test('look-ups are bounded as waiting events are', async (t) => {
  const rig = telemetryRig({ maxPendingEvents: 2 });
  const host = new EventEmitter();
  rig.telemetry.register(host, { map: lookUp().map });
  for (let index = 0; index < 5; index += 1) host.emit('completed');
  t.like(rig.telemetry.stats(), { published: 5, pending: 2, dropped: 3, reasons: { buffer_full: 3 } });
  const closed = rig.telemetry.close({ deadlineMs: 1 });
  await rig.clock.advance(1);
  t.like(await closed, { published: 5, dropped: 5, reasons: { buffer_full: 3, deadline: 2 } });
});

const NO_REPORT = 'map_failed: host event `bad`: its `map` function returned no report';

const BAD: Readonly<Record<string, readonly [make: () => unknown, line: string]>> = {
  throws: [
    () => {
      throw new Error('hunter2');
    },
    'map_failed: host event `bad`: its `map` function threw',
  ],
  rejects: [() => Promise.reject(new Error('hunter2')), 'map_failed: host event `bad`: its `map` function rejected'],
  'returns what cannot be read': [() => new Proxy({}, { get: () => JSON.parse('{') as unknown }), NO_REPORT],
  'returns a text': [() => 'done', NO_REPORT],
  'finds a text': [() => Promise.resolve('done'), NO_REPORT],
  'names no event': [() => ({ payload: {} }), NO_REPORT],
  'names an unknown event': [
    () => ({ event: 'dagRun.sucess', payload: {} }),
    'event_undeclared: host event `bad`: its `map` function reported the unknown event `dagRun.sucess` (did you mean `dag_run.success`?)',
  ],
  'names an event that is no name': [
    () => ({ event: 'hunter2@initech.example', payload: {} }),
    'event_undeclared: host event `bad`: its `map` function reported the unknown event (name not shown)',
  ],
  'names an inherited name': [
    () => ({ event: 'toString', payload: {} }),
    'event_undeclared: host event `bad`: its `map` function reported the unknown event `toString`',
  ],
  'has no payload': [() => ({ event: 'dag_run.success' }), 'payload_incomplete: host event `bad`: its payload is no object'],
  'has a payload that rejects': [
    () => ({ event: 'dag_run.success', payload: Promise.reject(new Error('hunter2')) }),
    'payload_incomplete: host event `bad`: it has no object `dagRun`',
  ],
  'returns a revoked proxy': [
    () => {
      const { proxy, revoke } = Proxy.revocable({}, {});
      revoke();
      return proxy;
    },
    NO_REPORT,
  ],
};

for (const [name, [bad, words]] of Object.entries(BAD)) {
  test.serial(proves('hook-payload', `a map that ${name} costs its event and nothing else`), async (t) => {
    const lines: string[] = [];
    const logger = { debug: () => undefined, warn: (line: string) => lines.push(line) };
    const rig = telemetryRig({ logger });
    const host = new EventEmitter();
    rig.telemetry.register(host, { map: { bad: bad as () => undefined, good: (job: Job) => reportOf(job) } });
    const unhandled = await unhandledRejections(async () => {
      for (let time = 0; time < 3; time += 1) t.notThrows(() => host.emit('bad'));
      await settle();
    });
    t.deepEqual(unhandled, []);
    host.emit('good', JOB);
    t.like(rig.telemetry.stats(), { published: 4, dropped: 3, pending: 1, reasons: { invalid: 3 } });
    await settle();
    t.deepEqual(lines, [`[telemetry] ${words}, so nothing is sent for it`]);
  });
}

test('report() takes what a host without an emitter knows', async (t) => {
  const rig = telemetryRig();
  const { payload } = reportOf(JOB);
  rig.telemetry.report('task_instance.success', payload as HostEvents['task_instance.success']);
  rig.telemetry.report('task_instance.success', { taskInstance: { dagId: 'd', taskId: 't', mapIndex: -1, task: { module: 'other' } } });
  rig.telemetry.report('dag_run.success', undefined as never);
  rig.telemetry.report('toString' as 'dag_run.success', payload as never);
  await rig.clock.advance(0);
  t.deepEqual(sendsOf(rig), [['task_instance', 'SqlTask', 2]]);
  t.like(rig.telemetry.stats(), { published: 3, dropped: 2, pending: 1, reasons: { invalid: 2 } });
  const closed = rig.telemetry.close({ deadlineMs: 0 });
  rig.telemetry.report('task_instance.success', payload as HostEvents['task_instance.success']);
  await rig.clock.advance(1);
  t.like(await closed, { published: 4, pending: 0 });
  t.is(rig.telemetry.stats().reasons['closed'], 1);
});

test('after an opt-out a report is not read', (t) => {
  const rig = telemetryRig({ env: { DO_NOT_TRACK: '1' } });
  rig.telemetry.report('dag_run.success', new Proxy({}, { get: () => t.fail() }) as never);
  t.is(rig.telemetry.stats().published, 0);
});

const WRONG: readonly [options: unknown, message: string][] = [
  [{ map: null }, 'Expected `map` to be an object, got null.'],
  [{ map: [] }, 'Expected `map` to be an object, got an array.'],
  [{ map: {} }, 'Expected `map` to have a function for at least one event, got an object without keys.'],
  [{ map: { done: 'x' } }, 'Expected `map[\'done\']` to be a function, got "x".'],
  [{ map: { done: undefined } }, "Expected `map['done']` to be a function, got undefined."],
  [
    { map: { done: () => undefined }, events: {} },
    'Expected `events` to be left out beside `map`, whose keys are the names, got an object.',
  ],
  [{ maps: {} }, 'Expected `options` to have known keys only, got `maps` with an object.'],
];

for (const [options, message] of WRONG) {
  test(`register(): ${message}`, (t) => {
    const rig = telemetryRig();
    const host = new EventEmitter();
    t.throws(() => rig.telemetry.register(host, options as { map: HostMap }), { instanceOf: TypeError, message });
    t.deepEqual(host.eventNames(), []);
  });
}
