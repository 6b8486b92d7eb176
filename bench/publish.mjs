// What a publish costs the host's own path, beside the floor below it: emit on eventemitter3, copy the event, push it into a ring.
// All in one process, interleaved, medians and spread over rounds. Run it after `npm run build`: `npm run bench`.
import { EventEmitter } from 'node:events';
import { EventEmitter as EventEmitter3 } from 'eventemitter3';
import { createTelemetry } from '../dist/index.js';

const ROUNDS = 15;
const CALLS = 50_000;
/** Settled in between, so that no buffer is full and nothing is dropped. */
const BURST = 5000;

const event = {
  status: 'success', operator_name: 'DbtRunLocalOperator', is_acme_operator_subclass: false, invocation_mode: 'dbt_runner',
  execution_mode: 'local', profile_strategy: 'mapping', profile_mapping_class: 'PostgresUserPasswordProfileMapping', database: 'postgres',
  is_mapped_task: false, dbt_command: 'run', install_deps: true, has_callback: false, duration: 7.5,
};
const task = {
  module: 'acme.operators.local', operatorName: 'DbtRunLocalOperator', isDbtOperator: true, invocationMode: 'dbt_runner', baseCmd: ['run'],
  installDeps: true, callback: null, profileConfig: { profileMappingClass: 'PostgresUserPasswordProfileMapping', profileType: 'postgres' },
};
const taskInstance = { taskInstance: { dagId: 'd', taskId: 't', mapIndex: -1, duration: 7.5, task } };
const dagRun = (tasks) => ({ dagRun: { dagId: 'd', dag: { tasks: Array.from({ length: tasks }, () => ({ module: 'acme.operators.local' })) } } });
const [small, large] = [dagRun(10), dagRun(10_000)];

function client(env) {
  const transport = { maxBatchSize: 1000, send: () => Promise.resolve({ kind: 'sent' }) };
  const telemetry = createTelemetry({ product: { name: 'acme', version: '1.0.0' }, transport, env, drainOnExit: false });
  const host = new EventEmitter();
  telemetry.register(host);
  return { telemetry, host };
}

const ring = Array.from({ length: 16_384 });
let next = 0;
const bare = new EventEmitter3().on('x', () => {});
const floor = new EventEmitter3().on('x', (metrics) => {
  ring[next++ & 16_383] = { ...metrics };
});
const on = client({});
const off = client({ DO_NOT_TRACK: '1' });

const scenarios = {
  'eventemitter3 emit, one listener': () => bare.emit('x', event),
  'floor: emit, copy, push into a ring': () => floor.emit('x', event),
  'publish': () => on.telemetry.publish('task_instance', event),
  'host event: task_instance': () => on.host.emit('task_instance.success', taskInstance),
  'host event: dag_run, 10 tasks': () => on.host.emit('dag_run.success', small),
  'host event: dag_run, 10,000 tasks': () => on.host.emit('dag_run.success', large),
  'opted out: publish': () => off.telemetry.publish('task_instance', event),
  'opted out: host event': () => off.host.emit('task_instance.success', taskInstance),
};

const results = Object.fromEntries(Object.keys(scenarios).map((name) => [name, []]));
for (let round = 0; round < ROUNDS + 3; round += 1) {
  for (const [name, call] of Object.entries(scenarios)) {
    let tookMs = 0;
    for (let done = 0; done < CALLS; done += BURST) {
      const startedAt = performance.now();
      for (let index = 0; index < BURST; index += 1) call();
      tookMs += performance.now() - startedAt;
      await on.telemetry.drain({ deadlineMs: 10_000 });
    }
    // The first rounds are for the compiler.
    if (round >= 3) results[name].push((tookMs / CALLS) * 1e6);
  }
}

const median = (values) => values.toSorted((left, right) => left - right)[Math.floor(values.length / 2)];
const floors = results['floor: emit, copy, push into a ring'];
console.log(`\nnanoseconds on the host's path, median of ${ROUNDS} rounds (lowest - highest), ratio to the floor within each round; Node ${process.versions.node}`);
for (const [name, values] of Object.entries(results)) {
  const ratio = median(values.map((value, round) => value / floors[round]));
  console.log(`  ${name.padEnd(38)} ${median(values).toFixed(0).padStart(6)}  (${Math.min(...values).toFixed(0)} - ${Math.max(...values).toFixed(0)})  x ${ratio.toFixed(2)}`);
}
const { dropped, failed } = on.telemetry.stats();
if (dropped + failed > 0) {
  console.error(`broken: ${dropped + failed} events were lost`);
  process.exitCode = 1;
}
