// All events that a product may send, and the digest of its DAGs.
import { describe } from '../base/describe.js';
import { given } from '../base/foreign-values.js';
import { dagRunFields, dbtDocsAccessFields } from './dag-run.js';
import type { DagRunFields } from './dag-run.js';
import { defineEvent, isDaily } from './definition.js';
import type { EventDefinition, Fields, MetricsOf } from './definition.js';
import { standardFields } from './standard-metrics.js';
import { taskInstanceFields } from './task-instance.js';
import type { TaskInstanceFields } from './task-instance.js';

/** The built-in events of every product. Their fields have the name of the product where Cosmos has `cosmos`. */
interface BuiltInMetrics<P extends string> {
  dag_run: MetricsOf<DagRunFields<P>>;
  task_instance: MetricsOf<TaskInstanceFields<P>>;
  dbt_docs_access: MetricsOf<typeof dbtDocsAccessFields>;
}

/** What `publish` takes, by event type: the built-in events of product `P` and its own events `E`. */
export type EventMetrics<P extends string, E extends readonly EventDefinition[]> = BuiltInMetrics<P> & {
  [D in E[number] as D['type']]: D extends EventDefinition<string, infer F> ? MetricsOf<F> : never;
};

/** The declared events of a product by type, built-in ones first. */
export type EventDefinitions = ReadonlyMap<string, EventDefinition>;

/** For the person observed: everything that lists events shows it. */
const DAILY =
  'At most once a day from each installation: a file in the folder `daily`, beside your own telemetry.json, keeps the date of the ' +
  'last one and nothing else.';

/** The built-in events of every product. */
export function builtInEvents(product: string): EventDefinition[] {
  return [
    {
      type: 'dag_run',
      fields: dagRunFields(product) as object as Fields,
      description: `Sent when a run of a DAG with at least one ${product} task ends.`,
    },
    {
      type: 'task_instance',
      fields: taskInstanceFields(product) as object as Fields,
      description: `Sent when a ${product} task ends, or a task whose operator extends a ${product} operator.`,
    },
    { type: 'dbt_docs_access', fields: dbtDocsAccessFields, description: 'Sent when a user opens the hosted dbt documentation.' },
  ];
}

/**
 * All events that a product may send.
 *
 * @throws TypeError for an event type that is declared twice, or a field with the name of a standard metric.
 */
export function productEvents(product: string, hostName: string, own: readonly EventDefinition[]): EventDefinitions {
  if (!Array.isArray(own)) throw new TypeError(`Expected \`events\` to be an array of event definitions, got ${describe(own)}.`);
  const taken = new Set(Object.keys(standardFields(product, hostName)));
  const definitions = new Map(builtInEvents(product).map((definition) => [definition.type, definition]));
  for (const event of own) {
    // Checked again: `events` may come from JavaScript, or from another copy of the package.
    const checked = defineEvent(event?.type, event?.fields, event?.description, {
      daily: event && given(event, 'daily'),
    });
    const { type, fields, description } = checked;
    if (definitions.has(type)) throw new TypeError(`Expected \`events\` to declare each type once, got ${describe(type)} twice.`);
    const clash = Object.keys(fields).find((name) => taken.has(name));
    if (clash !== undefined) {
      throw new TypeError(`Expected \`events\` not to declare standard metrics, got field ${describe(clash)} of event ${describe(type)}.`);
    }
    definitions.set(type, {
      type,
      fields,
      ...(isDaily(checked) ? { description: `${description} ${DAILY}`, daily: true } : { description }),
    });
  }
  return definitions;
}

/** The digest of a DAG id, for a program that provides none: md5 for `cosmos`, whose wire has it, and nothing for other products. */
export function productDagHash(product: string): (dagId: string) => string | null {
  return product === 'cosmos' ? md5DagHash() : () => null;
}

/** The longest id whose digest is remembered. Airflow allows ids of 250 characters. */
const MAX_REMEMBERED_LENGTH = 250;

/** A longer text is no id: the host would wait for its digest, about one second per gigabyte. */
const MAX_HASHED_LENGTH = 64 * 1024;

/** How many digests are remembered at a time. A scheduler has some thousand DAGs. */
const MAX_REMEMBERED = 1000;

/**
 * md5 of a DAG id in hex, as Cosmos sends it. It is pseudonymous, not anonymous: an id that can be guessed can be found. It is null for
 * a text that is too long for an id, and on a platform that forbids md5 (FIPS).
 */
function md5DagHash(): (dagId: string) => string | null {
  const remembered = new Map<string, string>();
  return (dagId) => {
    if (dagId.length > MAX_HASHED_LENGTH) return null;
    const known = remembered.get(dagId);
    if (known !== undefined) return known;
    try {
      // Loaded at the first use: a host that has opted out never needs node:crypto.
      const hash = process.getBuiltinModule('node:crypto').createHash('md5').update(dagId.toWellFormed(), 'utf8').digest('hex');
      if (remembered.size >= MAX_REMEMBERED) remembered.clear();
      if (dagId.length <= MAX_REMEMBERED_LENGTH) remembered.set(dagId, hash);
      return hash;
    } catch {
      return null;
    }
  };
}
