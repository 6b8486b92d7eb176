import { EventEmitter } from 'node:events';
import test from 'ava';
import type { TelemetryOptions } from '../../src/index.js';
// Loaded before the tests, since a first import takes longer than some turns of the loop.
import '../../src/events/mistake-words.js';
import { proves } from '../helpers/promises.js';
import { telemetryRig } from '../helpers/telemetry-rig.js';

function setUp(options: Partial<TelemetryOptions> = {}) {
  const lines: string[] = [];
  const logger = { debug: () => undefined, warn: (line: string) => lines.push(line.replace('[telemetry] ', '')) };
  const rig = telemetryRig({ logger, ...options });
  const host = new EventEmitter();
  rig.telemetry.register(host);
  const emit = async (event: string, payload: unknown): Promise<void> => {
    host.emit(event, payload);
    await rig.clock.advance(0);
  };
  return { ...rig, lines, emit };
}

function misspelt(where: string, name: string, like: string): string {
  return `payload_misspelt: ${where} has \`${name}\`, which is not read (did you mean \`${like}\`?)`;
}

const OWN = { owned: true };
const runOf = (dagRun: object, dag: object = {}, task: object = {}) => ({
  dagRun: { dag: { tasks: [{ ...OWN, ...task }], ...dag }, ...dagRun },
});
const taskOf = (taskInstance: object, task: object = {}) => ({ taskInstance: { task: { ...OWN, ...task }, ...taskInstance } });

test(
  proves('log-mistakes', 'a misspelt name of a payload is named once, with the name that is read, and never with a value'),
  async (t) => {
    const { lines, emit, telemetry } = setUp();
    for (let time = 0; time < 3; time += 1) {
      await emit(
        'dag_run.success',
        runOf({ failed_count: 'hunter2', run_id: 'hunter2', durationMs: 7 }, { param: 'hunter2' }, { operator: 'hunter2' }),
      );
      await emit('dag_run.failed', { dag_run: 'hunter2' });
      await emit(
        'task_instance.success',
        taskOf({ duration_s: 'hunter2', task_id: 'hunter2', atempt: 1 }, { operator: 'hunter2', Owned: true }),
      );
    }
    t.deepEqual(lines, [
      misspelt("a host's dag_run payload", 'dagRun.failed_count', 'failedCount'),
      misspelt("a host's dag_run payload", 'dagRun.run_id', 'runId'),
      misspelt("a host's dag_run payload", 'dagRun.durationMs', 'duration'),
      misspelt("a host's dag_run payload", 'dagRun.dag.param', 'params'),
      misspelt("a host's dag_run payload", 'dagRun.dag.tasks[].operator', 'operatorName'),
      'payload_incomplete: host event `dag_run.failed`: it has no object `dagRun`, so nothing is sent for it',
      misspelt("a host's dag_run payload", 'dag_run', 'dagRun'),
      misspelt("a host's task_instance payload", 'taskInstance.duration_s', 'duration'),
      misspelt("a host's task_instance payload", 'taskInstance.task_id', 'taskId'),
      misspelt("a host's task_instance payload", 'taskInstance.atempt', 'attempt'),
      misspelt("a host's task_instance payload", 'taskInstance.task.operator', 'operatorName'),
    ]);
    t.is(telemetry.stats().fieldsDropped, 0, 'nothing was declared that is not sent');
  },
);

test(proves('log-mistakes', 'a misspelt name of a run report is named, too'), async (t) => {
  const { lines, telemetry, clock } = setUp();
  const tasks = [{ ...OWN, status: 'success', operator: 'hunter2', durationSeconds: 7, task_id: 'hunter2' }];
  telemetry.reportRun({ run_id: 'hunter2', status: 'success', will_retry: false, tasks } as never);
  await clock.advance(0);
  t.deepEqual(lines, [
    misspelt('a run given to reportRun()', 'run_id', 'runId'),
    misspelt('a run given to reportRun()', 'will_retry', 'willRetry'),
    misspelt('a run given to reportRun()', 'tasks[].operator', 'operatorName'),
    misspelt('a run given to reportRun()', 'tasks[].durationSeconds', 'duration'),
    misspelt('a run given to reportRun()', 'tasks[].task_id', 'taskId'),
  ]);
});

test('a host that hands over its own, richer objects is told nothing', async (t) => {
  const { lines, emit } = setUp();
  const rich = {
    id: 1,
    name: 'n',
    state: 'done',
    owner: 'o',
    queue: 'q',
    run: {},
    runName: 'r',
    taskName: 't',
    dagName: 'd',
    conf: {},
    tags: [],
    mode: 'm',
    model: 'm',
    retries: 3,
    createdAt: 1,
    updatedAt: 1,
    queuedAt: 1,
    startTime: 1,
    end_date: 1,
    failed: true,
    error: 'e',
    priority: 1,
    hostname: 'h',
    iteration: 1,
    'hunter2@initech.example': 1,
  };
  const asked = { ...rich, attempt: 1, attempts: 3, duration: 1, durationMs: 1000, taskId: 't', task_id: 't' };
  await emit('dag_run.success', { ...runOf(rich, rich, rich), ...rich });
  await emit('task_instance.success', { ...taskOf(asked, rich), ...rich });
  t.deepEqual(lines, []);
});

test('objects of Airflow, which cosmos gets, have other names', async (t) => {
  const { lines, emit } = setUp({ product: { name: 'cosmos', version: '1.0.0' } });
  const module = 'cosmos.operators.local';
  await emit('dag_run.success', runOf({ run_id: 'r', dag_id: 'd' }, {}, { module, operator_name: 'x' }));
  await emit('task_instance.success', taskOf({ task_id: 't', map_index: -1 }, { module, operator_name: 'x' }));
  t.deepEqual(lines, []);
});

test(proves('hook-payload', 'names are looked at in the first payloads alone, and no code of the host runs for them'), async (t) => {
  const { lines, emit } = setUp();
  let asked = 0;
  const spy = (target: object): object =>
    new Proxy(target, {
      ownKeys: () => {
        asked += 1;
        throw new Error('hunter2');
      },
      getOwnPropertyDescriptor: () => {
        asked += 1;
        throw new Error('hunter2');
      },
    });
  const getter = Object.defineProperty({ ...OWN }, 'operator', { enumerable: true, get: () => (asked += 1) });
  await emit('dag_run.success', spy(runOf({})));
  await emit('dag_run.success', { dagRun: spy({ dag: spy({ tasks: spy([spy(OWN)]) }) }) });
  await emit('task_instance.success', { taskInstance: { task: getter } });
  t.is(asked, 0);
  t.is(lines.length, 1, 'a getter has a name, too');
  let reads = 0;
  const dagRun = {
    get dag() {
      reads += 1;
      return { tasks: [OWN] };
    },
  };
  await emit('dag_run.success', { dagRun });
  t.is(reads, 1, 'the listener itself reads it');
  for (let time = 0; time < 8; time += 1) await emit('dag_run.failed', runOf({}));
  await emit('dag_run.failed', runOf({ run_id: 'r' }));
  t.is(lines.length, 1);
});

test('an object with very many names is looked at once', async (t) => {
  const { lines, emit } = setUp();
  const many = Object.fromEntries(Array.from({ length: 300 }, (_, index) => [`name_${index}`, 1]));
  await emit('task_instance.success', taskOf({ ...many, task_id: 't' }));
  await emit('task_instance.success', taskOf({ task_id: 't' }));
  t.deepEqual(lines, []);
});

test('names that are like none that is missing are not told', async (t) => {
  const { lines, emit } = setUp();
  await emit('task_instance.success', taskOf({ status: 'success', stats: 1, runId: 'r', run_id: 'r', startedAt: 1, startAt: 1 }));
  t.deepEqual(lines, []);
});
