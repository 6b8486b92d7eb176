import { EventEmitter } from 'node:events';
import test from 'ava';
import { recordingTransport } from '../../src/testing/index.js';
import {
  boolean,
  command,
  count,
  defineEvent,
  duration,
  hash,
  identifier,
  identifierSet,
  oneOf,
  optional,
  version,
} from '../../src/index.js';
import type { Field } from '../../src/index.js';
// Loaded before the tests, since a first import takes longer than some turns of the loop.
import { mistakeWords } from '../../src/events/mistake-words.js';
import { compressTelemetryMetadata, metadataParam } from '../../src/events/metadata.js';
import { proves } from '../helpers/promises.js';
import { addsUp, telemetryRig } from '../helpers/telemetry-rig.js';

const NOTE = { description: 'What it says.', reason: 'Why it is collected.' };
const flowRun = defineEvent('flow_run', {
  status: oneOf(['done', 'stuck'], NOTE),
  task_count: optional(count(NOTE)),
});

function setUp(transport = recordingTransport()) {
  const lines: string[] = [];
  const logger = { debug: () => undefined, warn: (line: string) => lines.push(line.replace('[telemetry] ', '')) };
  const rig = telemetryRig({ events: [flowRun] as never, dbt: true, logger, transport });
  const publish = async (type: string, metrics: unknown): Promise<void> => {
    rig.telemetry.publish(type as never, metrics as never);
    await rig.clock.advance(0);
  };
  return { ...rig, lines, publish };
}

function dagRun(packed: string): object {
  return { dagRun: { dag: { tasks: [{ module: 'acme.operators.local' }], params: { [metadataParam('acme')]: packed } } } };
}

test(proves('log-mistakes', 'a misspelt field, a missing one and a wrong value are named once, never with the value'), async (t) => {
  const { lines, publish, telemetry } = setUp();
  for (let time = 0; time < 3; time += 1) await publish('flow_run', { staus: 'hunter2' });
  await publish('flow_run', { status: 'hunter2', taskCount: 1 });
  await publish('flow_run', { status: ['hunter2'], task_count: -1, stat: ['hunter2'] });
  await publish('flow_run', { status: 'done', nothing_like_it: 1, 'hunter2@initech.example': 1 });
  t.deepEqual(lines, [
    'field_undeclared: event flow_run has no field `staus` (did you mean `status`?): it is not sent',
    'field_missing: event flow_run was published without its field `status`',
    'field_dropped: event flow_run: the value of `status` does not fit a field of kind oneOf, so it is not sent',
    'field_undeclared: event flow_run has no field `taskCount` (did you mean `task_count`?): it is not sent',
    'field_undeclared: event flow_run has no field `stat` (did you mean `status`?): it is not sent',
    'field_dropped: event flow_run: the value of `task_count` does not fit a field of kind count, so it is not sent',
    'field_undeclared: event flow_run has no field `nothing_like_it`: it is not sent',
    'field_undeclared: event flow_run has no field (name not shown): it is not sent',
  ]);
  t.true(addsUp(telemetry.stats()));
});

test(proves('log-mistakes', 'an event that lacks a field is sent without it, with a warning'), async (t) => {
  const transport = recordingTransport();
  const { lines, publish } = setUp(transport);
  await publish('flow_run', { task_count: 3 });
  await transport.waitFor(1);
  const [event] = transport.events;
  t.is(event?.type, 'flow_run');
  t.is(event?.metrics['task_count'], 3);
  t.false(Object.hasOwn(event?.metrics ?? {}, 'status'));
  t.deepEqual(lines, ['field_missing: event flow_run was published without its field `status`']);
});

test(proves('log-mistakes', 'an event type that is not declared, and metrics that are no object, are named once'), async (t) => {
  const { lines, publish, telemetry } = setUp();
  for (let time = 0; time < 2; time += 1) {
    await publish('flow_rum', { status: 'done' });
    await publish('flowRun', { status: 'done' });
    await publish('flow_run.success', {});
    await publish('hunter2 and more', {});
    await publish('flow_run', 'hunter2');
    await publish(7 as never, {});
  }
  t.deepEqual(lines, [
    'event_undeclared: event type `flow_rum` is not declared (did you mean `flow_run`?)',
    'event_undeclared: event type `flowRun` is not declared (did you mean `flow_run`?)',
    'event_undeclared: event type `flow_run.success` is not declared (did you mean `flow_run`?)',
    'event_undeclared: event type (name not shown) is not declared',
    'event_invalid: event flow_run was published without an object of fields',
  ]);
  t.like(telemetry.stats(), { published: 12, dropped: 12, reasons: { invalid: 12 } });
  await telemetry.close();
  await publish('flow_run_again', {});
  t.is(lines.length, 5, 'what is published after close() is no mistake in a name');
});

test(proves('log-mistakes', 'a payload of a host that lacks what its event needs is named by its path'), async (t) => {
  const { lines, telemetry, clock } = setUp();
  const host = new EventEmitter();
  telemetry.register(host);
  for (let time = 0; time < 2; time += 1) {
    host.emit('dag_run.success', { dagRun: { dag: { tusks: [] } } });
    host.emit('dag_run.failed', { dagRun: {} });
    host.emit('dag_run.failed', undefined);
    host.emit('task_instance.success', { taskInstance: {} });
    host.emit('task_instance.failed', {});
  }
  await clock.advance(0);
  t.deepEqual(lines, [
    'payload_incomplete: host event `dag_run.success`: it has no usable list `dagRun.dag.tasks`, so nothing is sent for it',
    'payload_incomplete: host event `dag_run.failed`: it has no object `dagRun.dag`, so nothing is sent for it',
    'payload_incomplete: host event `dag_run.failed`: its payload is no object, so nothing is sent for it',
    'payload_incomplete: host event `task_instance.success`: it has no object `taskInstance.task`, so nothing is sent for it',
    'payload_incomplete: host event `task_instance.failed`: it has no object `taskInstance`, so nothing is sent for it',
  ]);
  t.like(telemetry.stats(), { published: 10, dropped: 10, reasons: { invalid: 10 } });
});

test(proves('log-mistakes', 'an event of a host is named as the host does, and what is wrong with it'), async (t) => {
  const { lines, telemetry, clock } = setUp();
  const host = new EventEmitter();
  telemetry.register(host, { events: { 'dag_run.success': 'run:done', 'task_instance.success': 'hunter2@initech.example' } });
  const { proxy, revoke } = Proxy.revocable({}, {});
  revoke();
  for (const payload of ['hunter2', {}, { dagRun: { dag: { tasks: 'hunter2' } } }, proxy]) host.emit('run:done', payload);
  host.emit('hunter2@initech.example', { taskInstance: 'hunter2' });
  for (let time = 0; time < 2; time += 1) {
    telemetry.report('dag_run.sucess' as never, {} as never);
    telemetry.report('dag_run' as never, {} as never);
    telemetry.report('flow_run' as never, {} as never);
    telemetry.report('hunter2 and more' as never, {} as never);
    telemetry.report(7 as never, {} as never);
    telemetry.report('dag_run.failed', { dagRun: 'hunter2' } as never);
    telemetry.reportRun('hunter2' as never);
    telemetry.reportRun({ status: 'hunter2', tasks: [] } as never);
    telemetry.reportRun({ status: 'success', tasks: 'hunter2' } as never);
  }
  await clock.advance(0);
  t.deepEqual(lines, [
    'payload_incomplete: host event `run:done`: its payload is no object, so nothing is sent for it',
    'payload_incomplete: host event `run:done`: it has no object `dagRun`, so nothing is sent for it',
    'payload_incomplete: host event `run:done`: it has no usable list `dagRun.dag.tasks`, so nothing is sent for it',
    "payload_dropped: a host's payload has a value of `dagRun` that no field can hold, so it is not sent",
    'payload_incomplete: a host event (name not shown): it has no object `taskInstance`, so nothing is sent for it',
    'event_undeclared: report() was called with the unknown event `dag_run.sucess` (did you mean `dag_run.success`?): nothing is sent for it',
    'event_undeclared: report() was called with the unknown event `dag_run` (did you mean `dag_run.success`?): nothing is sent for it',
    'event_undeclared: report() was called with `flow_run`, which publish() takes: nothing is sent for it',
    'event_undeclared: report() was called with the unknown event (name not shown): nothing is sent for it',
    'event_undeclared: report() was called without the name of an event: nothing is sent for it',
    'payload_incomplete: host event `dag_run.failed`: it has no object `dagRun`, so nothing is sent for it',
    'payload_incomplete: a run given to reportRun(): it is no object, so nothing is sent for it',
    'payload_incomplete: a run given to reportRun(): its `status` is none of success, failed, skipped, cancelled, timed_out, cached, so nothing is sent for it',
    'payload_incomplete: a run given to reportRun(): it has no usable list `tasks`, so nothing is sent for it',
  ]);
  t.like(telemetry.stats(), { published: 23, dropped: 23, reasons: { invalid: 23 } });
});

test('what is lost of a payload and of its metadata is named, too, without a name that data may hold', async (t) => {
  const { lines, telemetry, clock } = setUp();
  const host = new EventEmitter();
  telemetry.register(host);
  host.emit('dag_run.success', dagRun(compressTelemetryMetadata({ payroll: 'hunter2', database: 7, status: 'success' })));
  host.emit('dag_run.success', dagRun('hunter2'));
  host.emit('task_instance.success', { taskInstance: { task: { module: 'acme.operators.local', operatorName: ['hunter2'] } } });
  await clock.advance(0);
  t.deepEqual(lines, [
    "payload_dropped: a host's payload has a value of `operatorName` that no field can hold, so it is not sent",
    'metadata_dropped: the metadata of a DAG has a name that is not declared (undeclared), which is not sent',
    'metadata_dropped: the metadata of a DAG has `database` (ill_typed), which is not sent',
    'metadata_dropped: the packed metadata of a DAG cannot be read (not_base64)',
  ]);
});

test('a program that makes up names gets a hundred lines, and its logger is not asked again', async (t) => {
  const { lines, publish, telemetry } = setUp();
  for (let index = 0; index < 300; index += 1) await publish('flow_run', { status: 'done', [`made_up_${index}`]: 1 });
  await telemetry.drain();
  t.is(lines.length, 100);
  t.is(telemetry.stats().fieldsDropped, 300);
});

test('the line about a wrong value is a sentence for each kind of field', (t) => {
  const kinds = [boolean, command, count, duration, hash, identifier, identifierSet, version].map((kind) => kind(NOTE) as Field);
  for (const field of [oneOf(['done'], NOTE), ...kinds]) {
    const loss = { from: 'event', name: 'status', why: 'ill_typed', type: 'flow_run' } as const;
    const definitions = new Map([['flow_run', defineEvent('flow_run', { status: field })]]);
    t.deepEqual(mistakeWords(loss, definitions), [
      'field_dropped',
      `event flow_run: the value of \`status\` does not fit a field of kind ${field.kind}, so it is not sent`,
    ]);
  }
  const message = 'Expected `reason` of a field of kind identifier to say something, got "".';
  t.throws(() => identifier({ ...NOTE, reason: '' }), { instanceOf: TypeError, message });
});

test('a name that could be data is not shown, and the line is a sentence all the same', (t) => {
  const declared = new Map([['flow_run', flowRun]]);
  const loss = { name: 'hunter2@initech', type: 'flow_run' } as const;
  t.is(
    mistakeWords({ ...loss, from: 'payload', why: 'unusable' }, declared)[1],
    "a host's payload has a value of (name not shown) that no field can hold, so it is not sent",
  );
  t.is(
    mistakeWords({ ...loss, from: 'event', why: 'undeclared' }, declared)[1],
    'event flow_run has no field (name not shown): it is not sent',
  );
});
