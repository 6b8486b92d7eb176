import type { EventBus } from '../bus.js';
import type { Status } from '../events/dag-run.js';
import { MAX_TEXT_LENGTH } from '../events/fields.js';
import type { MetricValue, UsageMetrics } from '../events/fields.js';
import { taskInstanceFields } from '../events/task-instance.js';
import { isObject, LOST } from './host-reader.js';
import type { HostReader } from './host-reader.js';
import type { PayloadListener } from './register.js';
import { blankOf, unlessLost } from './snapshot.js';
import { profileValues } from './profile-values.js';
import { commandValues, instanceValues, taskIdentity, taskInstanceOf, taskOf, taskValues } from './task-values.js';
import type { CommandValues } from './task-values.js';

/** What a task instance listener needs. */
export interface TaskInstanceListenerOptions {
  product: string;
  bus: EventBus;
  reader: HostReader;
}

type Plain = MetricValue | undefined | typeof LOST;

/** What a task says that runs no command. */
const NO_COMMAND: Readonly<CommandValues> = { baseCmd: undefined, installDeps: undefined, callback: undefined };

/** A command has few parts; a list of a million is no command. */
const MAX_COMMAND_PARTS = 64;

/** Listens to the end of tasks: one builder for both ways to end. Nothing is published for tasks that are not the product's. */
export function taskInstanceListener(status: Status, { product, bus, reader }: TaskInstanceListenerOptions): PayloadListener {
  const ownPrefix = `${product}.`;
  const ownOperators = `${product}.operators.`;
  const isOwnSubclass = `is_${product}_operator_subclass`;
  const blank = blankOf(taskInstanceFields(product));

  return (payload) => {
    const taskInstance = isObject(payload) ? taskInstanceOf(payload, reader) : undefined;
    if (!isObject(taskInstance)) return 'invalid';
    const task = taskOf(taskInstance, reader);
    if (!isObject(task)) return 'invalid';
    const identity = taskIdentity(task, reader);
    const { module } = identity;
    const isOwnModule = typeof module === 'string' && module.startsWith(ownPrefix);
    const isDbtOperator = identity.isDbtOperator === true;
    if (!isOwnModule && !isDbtOperator) return undefined;

    const { mapIndex, duration } = instanceValues(taskInstance, reader);
    const values = taskValues(task, reader);
    const command = isDbtOperator ? commandValues(task, reader) : NO_COMMAND;
    const metrics = { ...blank };
    metrics['status'] = status;
    metrics['operator_name'] = unlessLost(reader.plainValue(values.operatorName, 'operatorName'));
    metrics[isOwnSubclass] = isDbtOperator && !isOwnModule;
    metrics['invocation_mode'] = unlessLost(reader.plainValue(values.invocationMode, 'invocationMode') ?? null);
    metrics['execution_mode'] = unlessLost(executionMode(module));
    const profile = profileValues(values.profileConfig, reader);
    metrics['profile_strategy'] = profile.strategy;
    metrics['profile_mapping_class'] = profile.mappingClass;
    metrics['database'] = profile.database;
    metrics['is_mapped_task'] = isMapped(mapIndex);
    metrics['dbt_command'] = isDbtOperator ? unlessLost(commandText(command.baseCmd)) : undefined;
    metrics['install_deps'] = isDbtOperator ? unlessLost(reader.plainValue(command.installDeps, 'installDeps') ?? undefined) : undefined;
    metrics['has_callback'] = isDbtOperator && hasCallback(command.callback);
    metrics['duration'] = unlessLost(reader.plainValue(duration, 'duration') ?? undefined);
    bus.publishOwned('task_instance', metrics as UsageMetrics, undefined);
    return undefined;
  };

  function executionMode(module: unknown): Plain {
    if (typeof module !== 'string' || !module.startsWith(ownOperators)) return null;
    const end = module.indexOf('.', ownOperators.length);
    return reader.plainValue(module.slice(ownOperators.length, end === -1 ? undefined : end), 'module');
  }

  function commandText(value: unknown): Plain {
    if (value === undefined || value === null || value === '' || value === LOST) return undefined;
    const parts = reader.list(value);
    if (parts === undefined) return reader.plainValue(value, 'baseCmd');
    // Asked once: a proxy may give another length the next time.
    const length = Math.min(parts.length, MAX_COMMAND_PARTS + 1);
    if (length > MAX_COMMAND_PARTS) return reader.lose('baseCmd');
    let joined = '';
    for (let index = 0; index < length; index += 1) {
      const part = reader.item(parts, index);
      if (part === null || part === undefined) continue;
      if (typeof part !== 'string' || part.length > MAX_TEXT_LENGTH) return reader.lose('baseCmd');
      joined += joined === '' ? part : ` ${part}`;
    }
    return joined === '' ? undefined : reader.plainValue(joined, 'baseCmd');
  }

  function hasCallback(callback: unknown): boolean {
    const list = reader.list(callback);
    if (list === undefined) return callback !== LOST && Boolean(callback);
    for (let index = 0; index < Math.min(list.length, MAX_COMMAND_PARTS); index += 1) {
      const one = reader.item(list, index);
      if (one !== LOST && Boolean(one)) return true;
    }
    return false;
  }
}

function isMapped(mapIndex: unknown): boolean {
  return typeof mapIndex === 'number' && mapIndex >= 0;
}
