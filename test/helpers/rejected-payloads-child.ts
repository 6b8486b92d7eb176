// A host whose payloads give a new rejected promise for each property that is read, in every place of a turn of its event loop. Started with
// `--unhandled-rejections=strict`, it ends with an error if one of them is unhandled. It prints the report of `close()`.
import { EventEmitter } from 'node:events';
import { createContext, runInContext } from 'node:vm';
import { createTelemetry } from '../../src/index.js';
import type { SendOutcome } from '../../src/index.js';

/** More promises in one turn than are looked at together. */
const MANY = 2000;

const telemetry = createTelemetry({
  product: { name: 'acme', version: '1.0.0' },
  dbt: true,
  executionModes: ['local'],
  transport: { send: () => Promise.resolve<SendOutcome>({ kind: 'sent' }) },
  env: {},
});
const host = new EventEmitter();
telemetry.register(host);

let promises = 0;
const ofThisContext = (): unknown => {
  promises += 1;
  return Promise.reject(new Error('hunter2'));
};
/** The promises of a context that has a queue of microtasks of its own. */
const ofAnother = runInContext(
  '() => Promise.reject(new Error("hunter2"))',
  createContext({}, { microtaskMode: 'afterEvaluate' }),
) as () => unknown;

/** An object that has some properties, and a rejected promise for every other one. */
function rejecting(own: object, make: () => unknown): object {
  return new Proxy(own, { get: (target, name) => (Object.hasOwn(target, name) ? Reflect.get(target, name) : make()) });
}

function emit(make = ofThisContext): void {
  const task = { module: 'acme.operators.local', isDbtOperator: true };
  for (const more of [{}, { profileConfig: rejecting({}, make) }]) {
    const taskInstance = rejecting({ task: rejecting({ ...task, ...more }, make) }, make);
    host.emit('task_instance.success', { taskInstance });
  }
  host.emit('task_instance.failed', rejecting({}, make));
  const dag = { tasks: [rejecting({ module: 'acme.operators.local' }, make)] };
  host.emit('dag_run.success', { dagRun: rejecting({ dag: rejecting({ ...dag, params: rejecting({}, make) }, make) }, make) });
}

emit();
await Promise.resolve().then(() => emit());
await new Promise<void>((resolve) => {
  process.nextTick(() => {
    emit();
    setImmediate(() => {
      emit(ofAnother);
      setTimeout(() => {
        emit();
        queueMicrotask(() => {
          emit();
          process.nextTick(() => {
            for (let time = 0; time < MANY; time += 1) emit();
            resolve();
          });
        });
      }, 1);
    });
  });
});
console.log(JSON.stringify({ promises, report: await telemetry.close() }));
