import { ignoreRejection } from '../base/foreign-values.js';
import type { EventBus } from '../bus/bus.js';
import type { Status } from '../events/dag-run.js';
import { MAX_TEXT_LENGTH } from '../events/fields.js';
import { taskInstanceFields } from '../events/task-instance.js';
import type { MetricValue, UsageMetrics } from '../wire/python.js';
import { blankOf, isObject, LOST, unlessLost } from './host-reader.js';
import type { HostReader } from './host-reader.js';
import type { PayloadListener } from './host.js';

/*
 * What runs on the host's path for each task that ends asks for properties by their names in the code, and not by a name in a
 * variable, which costs ten times as much. Should one of them throw, all of its object are asked for one by one.
 */

/** What tells whether a task is the product's. */
export interface TaskIdentity {
  module: unknown;
  isDbtOperator: unknown;
}

/** What any task says of itself besides. */
export interface TaskValues {
  operatorName: unknown;
  invocationMode: unknown;
  profileConfig: unknown;
}

/** What a dbt operator says besides. */
export interface CommandValues {
  baseCmd: unknown;
  installDeps: unknown;
  callback: unknown;
}

/** What a task instance says of itself. */
export interface InstanceValues {
  mapIndex: unknown;
  duration: unknown;
}

/** What a profile says of itself. */
export interface ProfileFacts {
  profilesYmlFilepath: unknown;
  profileMappingClass: unknown;
  getProfileType: unknown;
  profileType: unknown;
}

/** The task instance of a payload, as the host gave it; `LOST` where asking threw. */
export function taskInstanceOf(payload: object, reader: HostReader): unknown {
  try {
    return ignoreRejection((payload as { taskInstance?: unknown }).taskInstance);
  } catch {
    return reader.lose('taskInstance');
  }
}

/** The task of an instance, as the host gave it; `LOST` where asking threw. It is asked for alone: most tasks are not the product's. */
export function taskOf(instance: object, reader: HostReader): unknown {
  try {
    return ignoreRejection((instance as { task?: unknown }).task);
  } catch {
    return reader.lose('task');
  }
}

/** As the host gave them; `LOST` where asking threw. */
export function instanceValues(instance: object, reader: HostReader): InstanceValues {
  const values: InstanceValues = { mapIndex: undefined, duration: undefined };
  try {
    const source = instance as Partial<InstanceValues>;
    values.mapIndex = ignoreRejection(source.mapIndex);
    values.duration = ignoreRejection(source.duration);
    return values;
  } catch {
    return reader.readAll(instance, values);
  }
}

/** As the host gave them; `LOST` where asking threw. */
export function taskIdentity(task: object, reader: HostReader): TaskIdentity {
  const values: TaskIdentity = { module: undefined, isDbtOperator: undefined };
  try {
    const source = task as Partial<TaskIdentity>;
    values.module = ignoreRejection(source.module);
    values.isDbtOperator = ignoreRejection(source.isDbtOperator);
    return values;
  } catch {
    return reader.readAll(task, values);
  }
}

/** As the host gave them; `LOST` where asking threw. */
export function taskValues(task: object, reader: HostReader): TaskValues {
  const values: TaskValues = { operatorName: undefined, invocationMode: undefined, profileConfig: undefined };
  try {
    const source = task as Partial<TaskValues>;
    values.operatorName = ignoreRejection(source.operatorName);
    values.invocationMode = ignoreRejection(source.invocationMode);
    values.profileConfig = ignoreRejection(source.profileConfig);
    return values;
  } catch {
    return reader.readAll(task, values);
  }
}

/** As the host gave them; `LOST` where asking threw. */
export function commandValues(task: object, reader: HostReader): CommandValues {
  const values: CommandValues = { baseCmd: undefined, installDeps: undefined, callback: undefined };
  try {
    const source = task as Partial<CommandValues>;
    values.baseCmd = ignoreRejection(source.baseCmd);
    values.installDeps = ignoreRejection(source.installDeps);
    values.callback = ignoreRejection(source.callback);
    return values;
  } catch {
    return reader.readAll(task, values);
  }
}

/**
 * As the host gave them; `LOST` where asking threw. What something else stands for is not asked for: the class where there is a
 * file, the type where there is a function that tells it. A getter of the host's may read a file for its answer.
 */
export function profileFacts(profile: object, reader: HostReader): ProfileFacts {
  const values: ProfileFacts = {
    profilesYmlFilepath: undefined,
    profileMappingClass: undefined,
    getProfileType: undefined,
    profileType: undefined,
  };
  try {
    const source = profile as Partial<ProfileFacts>;
    values.profilesYmlFilepath = ignoreRejection(source.profilesYmlFilepath);
    if (isMissing(values.profilesYmlFilepath)) values.profileMappingClass = ignoreRejection(source.profileMappingClass);
    values.getProfileType = ignoreRejection(source.getProfileType);
    if (typeof values.getProfileType !== 'function') values.profileType = ignoreRejection(source.profileType);
    return values;
  } catch {
    values.profilesYmlFilepath = reader.read(profile, 'profilesYmlFilepath');
    values.profileMappingClass = isMissing(values.profilesYmlFilepath) ? reader.read(profile, 'profileMappingClass') : undefined;
    values.getProfileType = reader.read(profile, 'getProfileType');
    values.profileType = typeof values.getProfileType === 'function' ? undefined : reader.read(profile, 'profileType');
    return values;
  }
}

/** Whether nothing stands there. */
export function isMissing(value: unknown): value is null | undefined {
  return value === undefined || value === null;
}

/** What a task instance event says of a task's profile; undefined where nothing can be said. */
export interface ProfileValues {
  strategy: string | null | undefined;
  mappingClass: MetricValue | undefined;
  database: MetricValue | undefined;
}

const NO_PROFILE: Readonly<ProfileValues> = { strategy: null, mappingClass: null, database: null };
const UNKNOWN: Readonly<ProfileValues> = { strategy: undefined, mappingClass: undefined, database: undefined };

/** Whether a file or a mapping makes a profile, which mapping, and the type of its database. */
export function profileValues(profile: unknown, reader: HostReader): Readonly<ProfileValues> {
  if (profile === LOST) return UNKNOWN;
  if (!isObject(profile)) return NO_PROFILE;
  const { profilesYmlFilepath, profileMappingClass, getProfileType, profileType } = profileFacts(profile, reader);
  const isMapping = isMissing(profilesYmlFilepath);
  const mappingClass = isMapping ? unlessLost(reader.plainValue(profileMappingClass, 'profileMappingClass') ?? null) : null;
  const database =
    typeof getProfileType === 'function'
      ? typeFrom(getProfileType, profile, reader)
      : (reader.plainValue(profileType, 'profileType') ?? null);
  // Where the host could not say whether there is a file, neither is claimed.
  if (profilesYmlFilepath === LOST) return { strategy: undefined, mappingClass: undefined, database: unlessLost(database) };
  return { strategy: isMapping ? 'mapping' : 'yaml_file', mappingClass, database: unlessLost(database) };
}

function typeFrom(ask: Function, profile: object, reader: HostReader): MetricValue | typeof LOST {
  try {
    const type: unknown = ignoreRejection(Reflect.apply(ask, profile, []));
    return reader.plainValue(type, 'getProfileType') ?? null;
  } catch {
    // As in Cosmos: a profile that cannot say its type has none, which is no fault of the event.
    return null;
  }
}

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
