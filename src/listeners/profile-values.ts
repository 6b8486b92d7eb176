import type { MetricValue } from '../events/fields.js';
import { disarmed } from '../rejections.js';
import { isObject, LOST } from './host-reader.js';
import type { HostReader } from './host-reader.js';
import { unlessLost } from './snapshot.js';
import { isMissing, profileFacts } from './task-values.js';

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
    typeof getProfileType === 'function' ? typeFrom(getProfileType, profile, reader) : (reader.plainValue(profileType, 'profileType') ?? null);
  // Where the host could not say whether there is a file, neither is claimed.
  if (profilesYmlFilepath === LOST) return { strategy: undefined, mappingClass: undefined, database: unlessLost(database) };
  return { strategy: isMapping ? 'mapping' : 'yaml_file', mappingClass, database: unlessLost(database) };
}

function typeFrom(ask: Function, profile: object, reader: HostReader): MetricValue | typeof LOST {
  try {
    const type: unknown = disarmed(Reflect.apply(ask, profile, []));
    return reader.plainValue(type, 'getProfileType') ?? null;
  } catch {
    // As in Cosmos: a profile that cannot say its type has none, which is no fault of the event.
    return null;
  }
}
