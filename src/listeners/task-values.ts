import { disarmed } from '../rejections.js';
import type { HostReader } from './host-reader.js';

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
    return disarmed((payload as { taskInstance?: unknown }).taskInstance);
  } catch {
    return reader.lose('taskInstance');
  }
}

/** The task of an instance, as the host gave it; `LOST` where asking threw. It is asked for alone: most tasks are not the product's. */
export function taskOf(instance: object, reader: HostReader): unknown {
  try {
    return disarmed((instance as { task?: unknown }).task);
  } catch {
    return reader.lose('task');
  }
}

/** As the host gave them; `LOST` where asking threw. */
export function instanceValues(instance: object, reader: HostReader): InstanceValues {
  const values: InstanceValues = { mapIndex: undefined, duration: undefined };
  try {
    const source = instance as Partial<InstanceValues>;
    values.mapIndex = disarmed(source.mapIndex);
    values.duration = disarmed(source.duration);
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
    values.module = disarmed(source.module);
    values.isDbtOperator = disarmed(source.isDbtOperator);
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
    values.operatorName = disarmed(source.operatorName);
    values.invocationMode = disarmed(source.invocationMode);
    values.profileConfig = disarmed(source.profileConfig);
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
    values.baseCmd = disarmed(source.baseCmd);
    values.installDeps = disarmed(source.installDeps);
    values.callback = disarmed(source.callback);
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
  const values: ProfileFacts = { profilesYmlFilepath: undefined, profileMappingClass: undefined, getProfileType: undefined, profileType: undefined };
  try {
    const source = profile as Partial<ProfileFacts>;
    values.profilesYmlFilepath = disarmed(source.profilesYmlFilepath);
    if (isMissing(values.profilesYmlFilepath)) values.profileMappingClass = disarmed(source.profileMappingClass);
    values.getProfileType = disarmed(source.getProfileType);
    if (typeof values.getProfileType !== 'function') values.profileType = disarmed(source.profileType);
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
