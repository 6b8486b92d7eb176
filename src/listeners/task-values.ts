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

/** What a task says of itself besides. */
export interface TaskValues {
  operatorName: unknown;
  invocationMode: unknown;
  profileConfig: unknown;
  baseCmd: unknown;
  installDeps: unknown;
  callback: unknown;
}

/** What a task instance says of itself. */
export interface InstanceValues {
  task: unknown;
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

/** As the host gave them; `LOST` where asking threw. */
export function instanceValues(instance: object, reader: HostReader): InstanceValues {
  const values: InstanceValues = { task: undefined, mapIndex: undefined, duration: undefined };
  try {
    const source = instance as Partial<InstanceValues>;
    values.task = disarmed(source.task);
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
  const values: TaskValues = {
    operatorName: undefined,
    invocationMode: undefined,
    profileConfig: undefined,
    baseCmd: undefined,
    installDeps: undefined,
    callback: undefined,
  };
  try {
    const source = task as Partial<TaskValues>;
    values.operatorName = disarmed(source.operatorName);
    values.invocationMode = disarmed(source.invocationMode);
    values.profileConfig = disarmed(source.profileConfig);
    values.baseCmd = disarmed(source.baseCmd);
    values.installDeps = disarmed(source.installDeps);
    values.callback = disarmed(source.callback);
    return values;
  } catch {
    return reader.readAll(task, values);
  }
}

/** As the host gave them; `LOST` where asking threw. The class is asked for where no file stands in its place. */
export function profileFacts(profile: object, reader: HostReader): ProfileFacts {
  const values: ProfileFacts = { profilesYmlFilepath: undefined, profileMappingClass: undefined, getProfileType: undefined, profileType: undefined };
  try {
    const source = profile as Partial<ProfileFacts>;
    values.profilesYmlFilepath = disarmed(source.profilesYmlFilepath);
    values.profileMappingClass = disarmed(source.profileMappingClass);
    values.getProfileType = disarmed(source.getProfileType);
    values.profileType = disarmed(source.profileType);
    return values;
  } catch {
    return reader.readAll(profile, values);
  }
}
