import type { EventBus } from '../bus.js';
import type { Status } from '../events/dag-run.js';
import { MAX_TEXT_LENGTH } from '../events/fields.js';
import type { MetricValue, UsageMetrics } from '../events/fields.js';
import { disarm } from '../rejections.js';
import { isObject, LOST } from './host-reader.js';
import type { HostReader } from './host-reader.js';
import type { PayloadListener } from './register.js';

/** What a task instance listener needs. */
export interface TaskInstanceListenerOptions {
  product: string;
  bus: EventBus;
  reader: HostReader;
}

type Plain = MetricValue | undefined | typeof LOST;

/** A command has few parts; a list of a million is no command. */
const MAX_COMMAND_PARTS = 64;

/** Listens to the end of tasks: one builder for both ways to end. Nothing is published for tasks that are not the product's. */
export function taskInstanceListener(status: Status, { product, bus, reader }: TaskInstanceListenerOptions): PayloadListener {
  const ownPrefix = `${product}.`;
  const ownOperators = `${product}.operators.`;
  const isOwnSubclass = `is_${product}_operator_subclass`;

  return (payload) => {
    const taskInstance = isObject(payload) ? reader.object(payload, 'taskInstance') : undefined;
    const task = taskInstance && reader.object(taskInstance, 'task');
    if (taskInstance === undefined || task === undefined) return 'invalid';
    const module = reader.read(task, 'module');
    const isOwnModule = typeof module === 'string' && module.startsWith(ownPrefix);
    const isDbtOperator = reader.read(task, 'isDbtOperator') === true;
    if (!isOwnModule && !isDbtOperator) return undefined;

    const metrics: UsageMetrics = { status };
    keep(metrics, 'operator_name', reader.plain(task, 'operatorName'));
    metrics[isOwnSubclass] = isDbtOperator && !isOwnModule;
    keep(metrics, 'invocation_mode', reader.plain(task, 'invocationMode') ?? null);
    keep(metrics, 'execution_mode', executionMode(module));
    addProfile(metrics, reader.read(task, 'profileConfig'));
    metrics['is_mapped_task'] = isMapped(reader.read(taskInstance, 'mapIndex'));
    if (isDbtOperator) {
      keep(metrics, 'dbt_command', command(reader.read(task, 'baseCmd')));
      keep(metrics, 'install_deps', reader.plain(task, 'installDeps') ?? undefined);
    }
    metrics['has_callback'] = isDbtOperator && hasCallback(reader.read(task, 'callback'));
    keep(metrics, 'duration', reader.plain(taskInstance, 'duration') ?? undefined);
    bus.publishOwned('task_instance', metrics, undefined);
    return undefined;
  };

  function executionMode(module: unknown): Plain {
    if (typeof module !== 'string' || !module.startsWith(ownOperators)) return null;
    return reader.plainValue(module.split('.', 3)[2], 'module');
  }

  function addProfile(metrics: UsageMetrics, profile: unknown): void {
    if (profile === LOST) return;
    const given = isObject(profile) ? profile : undefined;
    const filepath = given && reader.read(given, 'profilesYmlFilepath');
    const isMapping = given !== undefined && (filepath === undefined || filepath === null);
    // Where the host could not say whether there is a file, neither is claimed.
    if (filepath !== LOST) {
      metrics['profile_strategy'] = given === undefined ? null : isMapping ? 'mapping' : 'yaml_file';
      keep(metrics, 'profile_mapping_class', isMapping ? (reader.plain(given, 'profileMappingClass') ?? null) : null);
    }
    keep(metrics, 'database', given === undefined ? null : profileType(given));
  }

  function profileType(profile: object): Plain {
    const ask = reader.read(profile, 'getProfileType');
    if (typeof ask !== 'function') return reader.plain(profile, 'profileType') ?? null;
    try {
      const type: unknown = Reflect.apply(ask, profile, []);
      disarm(type);
      return reader.plainValue(type, 'getProfileType') ?? null;
    } catch {
      // As in Cosmos: a profile that cannot say its type has none, which is no fault of the event.
      return null;
    }
  }

  function command(value: unknown): Plain {
    if (value === undefined || value === null || value === '' || value === LOST) return undefined;
    const parts = reader.list(value);
    if (parts === undefined) return reader.plainValue(value, 'baseCmd');
    // Asked once: a proxy may give another length the next time.
    const length = Math.min(parts.length, MAX_COMMAND_PARTS + 1);
    if (length > MAX_COMMAND_PARTS) return reader.lose('baseCmd');
    let joined = '';
    for (let index = 0; index < length; index += 1) {
      const part = reader.read(parts, String(index));
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
      const one = reader.read(list, String(index));
      if (one !== LOST && Boolean(one)) return true;
    }
    return false;
  }
}

function isMapped(mapIndex: unknown): boolean {
  return typeof mapIndex === 'number' && mapIndex >= 0;
}

function keep(metrics: UsageMetrics, name: string, value: Plain): void {
  if (value !== undefined && value !== LOST) metrics[name] = value;
}
