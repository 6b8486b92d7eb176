/*
 * The listener for task instances. It runs on the host's path for each task that ends, so it reads properties by names in the code:
 * a name in a variable costs ten times as much. If one property of an object throws, all of them are read again one by one.
 */
import { ignoreRejection } from '../base/foreign-values.js';
import type { EventBus } from '../bus/bus.js';
import type { Status } from '../events/dag-run.js';
import type { Fields } from '../events/definition.js';
import { MAX_TEXT_LENGTH } from '../events/fields.js';
import type { MetricValue, UsageMetrics } from '../wire/python.js';
import { Modules } from './modules.js';
import { blankOf, isObject, missing, UNREADABLE, unlessUnreadable } from './host-reader.js';
import type { Ending, Endings } from './endings.js';
import type { HostReader, Snapshot } from './host-reader.js';
import type { HostProblem, PayloadListener } from './host.js';
import type { Ownership } from './ownership.js';
import { attemptOf, taskFacts } from './workflow-facts.js';

/** What a task instance listener needs. */
interface TaskInstanceListenerOptions {
  product: string;
  bus: EventBus;
  reader: HostReader;
  /** The fields that the product declares. Nothing else of a task is read. */
  fields: Fields;
  ownership: Ownership;
  /** Undefined for `cosmos`: its events say success or failure alone. */
  endings: Endings | undefined;
}

type Plain = MetricValue | undefined | typeof UNREADABLE;

/** The values of a task that runs no command. */
const NO_COMMAND: Readonly<CommandValues> = { baseCmd: undefined, installDeps: undefined, callback: undefined };

/** A longer list is no command. */
const MAX_COMMAND_PARTS = 64;

/** Publishes an event when a task of the product ends with this status. */
export function taskInstanceListener(status: Status, options: TaskInstanceListenerOptions): PayloadListener {
  const { product, bus, reader, fields, ownership, endings } = options;
  const isOwnSubclass = `is_${product}_operator_subclass`;
  const blank = blankOf(fields);
  const sendsDbt = Object.hasOwn(fields, 'dbt_command');
  const sendsMode = Object.hasOwn(fields, 'execution_mode');
  const sendsAttempt = Object.hasOwn(fields, 'attempt');
  const modules = new Modules(product, fields['execution_mode']?.values);

  return (payload) => {
    const taskInstance = isObject(payload) ? taskInstanceOf(payload, reader) : undefined;
    const task = isObject(taskInstance) ? taskOf(taskInstance, reader) : undefined;
    if (!isObject(taskInstance) || !isObject(task)) return lackOf(payload, taskInstance);
    const identity = taskIdentity(task, reader);
    const { module } = identity;
    const { isOwn: isOwnModule, mode } = modules.of(module);
    const isDbtOperator = identity.isDbtOperator === true;
    if (!isOwnModule && !isDbtOperator && !ownership.owns(task)) {
      ownership.missed();
      return undefined;
    }
    ownership.hasMatched = true;
    const ending = endings?.of('task_instance', status, taskInstance, fields);
    if (endings !== undefined && ending === undefined) return undefined;

    const metrics = sendsDbt
      ? dbtMetrics(taskInstance, task, { isDbtOperator, isOwnModule, mode }, ending)
      : workflowMetrics(taskInstance, task, mode, ending);
    bus.publishOwned('task_instance', metrics as UsageMetrics, undefined);
    return undefined;
  };

  /** The facts of any workflow. */
  function workflowMetrics(taskInstance: object, task: object, mode: string | null, ending: Ending | undefined): Snapshot {
    const { mapIndex } = instanceValues(taskInstance, reader);
    const { operatorName, callback } = taskFacts(task, reader);
    const metrics = { ...blank };
    metrics['status'] = ending?.status ?? status;
    metrics['operator_name'] = unlessUnreadable(reader.plainValue(operatorName, 'operatorName'));
    metrics['attempt'] = attemptOf(taskInstance, reader);
    metrics['duration'] = ending?.duration;
    metrics['is_mapped_task'] = isMapped(mapIndex);
    metrics['has_callback'] = hasCallback(callback);
    if (sendsMode) metrics['execution_mode'] = modeField(mode);
    return metrics;
  }

  /** The same with the facts about dbt, as Cosmos reads them. */
  function dbtMetrics(
    taskInstance: object,
    task: object,
    { isDbtOperator, isOwnModule, mode }: { isDbtOperator: boolean; isOwnModule: boolean; mode: string | null },
    ending: Ending | undefined,
  ): Snapshot {
    const { mapIndex, duration } = instanceValues(taskInstance, reader);
    const values = taskValues(task, reader);
    const command = isDbtOperator ? commandValues(task, reader) : NO_COMMAND;
    const metrics = { ...blank };
    metrics['status'] = ending === undefined ? status : ending.status;
    metrics['operator_name'] = unlessUnreadable(reader.plainValue(values.operatorName, 'operatorName'));
    metrics[isOwnSubclass] = isDbtOperator && !isOwnModule;
    metrics['invocation_mode'] = unlessUnreadable(reader.plainValue(values.invocationMode, 'invocationMode') ?? null);
    if (sendsMode) metrics['execution_mode'] = modeField(mode);
    const profile = profileValues(values.profileConfig, reader);
    metrics['profile_strategy'] = profile.strategy;
    metrics['profile_mapping_class'] = profile.mappingClass;
    metrics['database'] = profile.database;
    metrics['is_mapped_task'] = isMapped(mapIndex);
    metrics['dbt_command'] = isDbtOperator ? unlessUnreadable(commandText(command.baseCmd)) : undefined;
    metrics['install_deps'] = isDbtOperator
      ? unlessUnreadable(reader.plainValue(command.installDeps, 'installDeps') ?? undefined)
      : undefined;
    metrics['has_callback'] = isDbtOperator && hasCallback(command.callback);
    metrics['duration'] = ending ? ending.duration : unlessUnreadable(reader.plainValue(duration, 'duration') ?? undefined);
    if (sendsAttempt) metrics['attempt'] = attemptOf(taskInstance, reader);
    return metrics;
  }

  function modeField(mode: string | null): MetricValue | undefined {
    return mode === null ? null : unlessUnreadable(reader.plainValue(mode, 'module'));
  }

  function commandText(value: unknown): Plain {
    if (value === undefined || value === null || value === '' || value === UNREADABLE) return undefined;
    const parts = reader.list(value);
    if (parts === undefined) return reader.plainValue(value, 'baseCmd');
    // Read once: a proxy may give another length each time.
    const length = Math.min(parts.length, MAX_COMMAND_PARTS + 1);
    if (length > MAX_COMMAND_PARTS) return reader.unreadable('baseCmd');
    let joined = '';
    for (let index = 0; index < length; index += 1) {
      const part = reader.item(parts, index);
      if (part === null || part === undefined) continue;
      if (typeof part !== 'string' || part.length > MAX_TEXT_LENGTH) return reader.unreadable('baseCmd');
      joined += joined === '' ? part : ` ${part}`;
    }
    return joined === '' ? undefined : reader.plainValue(joined, 'baseCmd');
  }

  function hasCallback(callback: unknown): boolean {
    const list = reader.list(callback);
    if (list === undefined) return callback !== UNREADABLE && Boolean(callback);
    for (let index = 0; index < Math.min(list.length, MAX_COMMAND_PARTS); index += 1) {
      const one = reader.item(list, index);
      if (one !== UNREADABLE && Boolean(one)) return true;
    }
    return false;
  }
}

function lackOf(payload: unknown, taskInstance: unknown): HostProblem {
  if (!isObject(payload)) return missing('task_instance', 'payload');
  return missing('task_instance', isObject(taskInstance) ? 'taskInstance.task' : 'taskInstance');
}

function isMapped(mapIndex: unknown): boolean {
  return typeof mapIndex === 'number' && mapIndex >= 0;
}

/** The fields of an event about the profile of a task; undefined if unknown. */
interface ProfileValues {
  strategy: string | null | undefined;
  mappingClass: MetricValue | undefined;
  database: MetricValue | undefined;
}

const NO_PROFILE: Readonly<ProfileValues> = { strategy: null, mappingClass: null, database: null };
const UNKNOWN: Readonly<ProfileValues> = { strategy: undefined, mappingClass: undefined, database: undefined };

function profileValues(profile: unknown, reader: HostReader): Readonly<ProfileValues> {
  if (profile === UNREADABLE) return UNKNOWN;
  if (!isObject(profile)) return NO_PROFILE;
  const { profilesYmlFilepath, profileMappingClass, getProfileType, profileType } = profileFacts(profile, reader);
  const isMapping = isMissing(profilesYmlFilepath);
  const mappingClass = isMapping ? unlessUnreadable(reader.plainValue(profileMappingClass, 'profileMappingClass') ?? null) : null;
  const database =
    typeof getProfileType === 'function'
      ? typeFrom(getProfileType, profile, reader)
      : (reader.plainValue(profileType, 'profileType') ?? null);
  // If the path of the file cannot be read, the strategy is unknown.
  if (profilesYmlFilepath === UNREADABLE) return { strategy: undefined, mappingClass: undefined, database: unlessUnreadable(database) };
  return { strategy: isMapping ? 'mapping' : 'yaml_file', mappingClass, database: unlessUnreadable(database) };
}

function typeFrom(ask: Function, profile: object, reader: HostReader): MetricValue | typeof UNREADABLE {
  try {
    const type: unknown = ignoreRejection(Reflect.apply(ask, profile, []));
    return reader.plainValue(type, 'getProfileType') ?? null;
  } catch {
    // As in Cosmos: the type is null if asking for it throws. This is not counted.
    return null;
  }
}

/** The properties that show whether a task is the product's. */
interface TaskIdentity {
  module: unknown;
  isDbtOperator: unknown;
}

/** The other properties of any task. */
interface TaskValues {
  operatorName: unknown;
  invocationMode: unknown;
  profileConfig: unknown;
}

/** The properties of a dbt operator alone. */
interface CommandValues {
  baseCmd: unknown;
  installDeps: unknown;
  callback: unknown;
}

/** The properties of a task instance. */
interface InstanceValues {
  mapIndex: unknown;
  duration: unknown;
}

/** The properties of a profile. */
interface ProfileFacts {
  profilesYmlFilepath: unknown;
  profileMappingClass: unknown;
  getProfileType: unknown;
  profileType: unknown;
}

/** The task instance of a payload; `UNREADABLE` if reading it throws, as in all functions below. */
function taskInstanceOf(payload: object, reader: HostReader): unknown {
  try {
    return ignoreRejection((payload as { taskInstance?: unknown }).taskInstance);
  } catch {
    return reader.unreadable('taskInstance');
  }
}

/** The task of an instance. It is read on its own, since most tasks are not the product's. */
function taskOf(instance: object, reader: HostReader): unknown {
  try {
    return ignoreRejection((instance as { task?: unknown }).task);
  } catch {
    return reader.unreadable('task');
  }
}

function instanceValues(instance: object, reader: HostReader): InstanceValues {
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

function taskIdentity(task: object, reader: HostReader): TaskIdentity {
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

function taskValues(task: object, reader: HostReader): TaskValues {
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

function commandValues(task: object, reader: HostReader): CommandValues {
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
 * A property that another one replaces is not read: the class if there is a file, the type if there is a function for it. A getter of
 * the host may read a file.
 */
function profileFacts(profile: object, reader: HostReader): ProfileFacts {
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

function isMissing(value: unknown): value is null | undefined {
  return value === undefined || value === null;
}
