// All events that a product may send, and the digest of its DAGs.
import { COSMOS } from '../base/constants.js';
import { describe } from '../base/describe.js';
import { givenOptions } from '../base/check-options.js';
import { bare } from '../base/foreign-values.js';
import { dagRunFields, dbtDocsAccessFields, metadataFields } from './dag-run.js';
import type { DagRunFields } from './dag-run.js';
import { defineEvent, isDaily } from './definition.js';
import type { EventDefinition, Fields, MetricsOf } from './definition.js';
import { standardFields } from './standard-metrics.js';
import { taskInstanceFields } from './task-instance.js';
import type { TaskInstanceFields } from './task-instance.js';
import { workflowEvents } from './workflow.js';
import type { WorkflowMetrics } from './workflow.js';

/**
 * The events that a product has without declaring them. `dbt_docs_access` needs `dbt: true`.
 *
 * @example
 * const standardEvents: StandardEvent[] = ['dag_run'];
 */
export type StandardEvent = 'dag_run' | 'task_instance' | 'dbt_docs_access';

/** The types of all standard events. */
export const STANDARD_EVENTS: readonly StandardEvent[] = ['dag_run', 'task_instance', 'dbt_docs_access'];

/** What a program may choose for its standard events. All of it is a part of the options of `createTelemetry`. */
export interface StandardChoices {
  readonly dbt?: boolean | undefined;
  readonly standardEvents?: false | readonly StandardEvent[] | undefined;
  readonly executionModes?: readonly string[] | undefined;
  readonly dagHash?: ((dagId: string) => string | null) | undefined;
}

interface DbtDocsMetrics {
  dbt_docs_access: MetricsOf<typeof dbtDocsAccessFields>;
}

/** What Cosmos sends. */
interface CosmosMetrics extends DbtDocsMetrics {
  dag_run: MetricsOf<DagRunFields<'cosmos'>>;
  task_instance: MetricsOf<TaskInstanceFields<'cosmos'>>;
}

interface ProductMetrics<P extends string, D extends boolean, M extends string> extends DbtDocsMetrics {
  dag_run: WorkflowMetrics<P, D, M>['dag_run'];
  task_instance: WorkflowMetrics<P, D, M>['task_instance'];
}

/** The compiler may not know the name of the product: then it may be `cosmos`. */
type AllStandardMetrics<P extends string, D extends boolean, M extends string> = [P] extends [typeof COSMOS]
  ? CosmosMetrics
  : string extends P
    ? { [T in StandardEvent]: CosmosMetrics[T] | ProductMetrics<P, D, M>[T] }
    : Pick<ProductMetrics<P, D, M>, [D] extends [true] ? StandardEvent : 'dag_run' | 'task_instance'>;

/**
 * What `publish` takes for the standard events of product `P`: with `dbt: D`, `standardEvents: S` and the words `M` of `executionModes`.
 *
 * @example
 * type RunMetrics = StandardMetrics<'acme'>['dag_run'];
 * const status: RunMetrics['status'] = 'success';
 */
export type StandardMetrics<
  P extends string = string,
  D extends boolean = false,
  S extends false | readonly StandardEvent[] = readonly StandardEvent[],
  M extends string = never,
> = {
  [T in keyof AllStandardMetrics<P, D, M> as S extends readonly (infer Kept)[] ? Extract<T, Kept> : never]: AllStandardMetrics<P, D, M>[T];
};

/**
 * What `publish` takes, by event type: the product's standard events `B` and its own events `E`.
 *
 * @example
 * const days = count({ description: 'How many days it covered.', reason: 'To know which sizes must stay fast.' });
 * const events = [defineEvent('backfill', { days })] as const;
 * const metrics: EventMetrics<'acme', typeof events>['backfill'] = { days: 30 };
 */
export type EventMetrics<P extends string, E extends readonly EventDefinition[], B = StandardMetrics<P>> = B & {
  [D in E[number] as D['type']]: D extends EventDefinition<string, infer F> ? MetricsOf<F> : never;
};

/** A declared event. */
export interface DeclaredEvent extends EventDefinition {
  /** The fields that packed metadata of the DAG may add. */
  readonly metadata?: Fields | undefined;
}

/** For the person observed: everything that lists events shows it. */
const DAILY =
  'At most once a day from each installation: a file in the folder `daily`, beside your own telemetry.json, keeps the date of the ' +
  'last one and nothing else.';

/** The declared events of a product by type, standard ones first. */
export type EventDefinitions = ReadonlyMap<string, DeclaredEvent>;

/** The standard events of a product: Cosmos' own for `cosmos`, workflow facts for others. */
export function standardEvents(product: string, choices: StandardChoices = bare({})): DeclaredEvent[] {
  const { dbt: isDbt = product === COSMOS, standardEvents: wanted = STANDARD_EVENTS, executionModes = [], dagHash } = choices;
  const runs = product === COSMOS ? cosmosEvents() : workflowEvents(product, { isDbt, hasHash: dagHash !== undefined, executionModes });
  return [...runs, ...(isDbt ? [DBT_DOCS_ACCESS] : [])].filter(({ type }) => wanted !== false && wanted.includes(type as StandardEvent));
}

const DBT_DOCS_ACCESS: DeclaredEvent = {
  type: 'dbt_docs_access',
  fields: dbtDocsAccessFields,
  description: 'Sent when a user opens the hosted dbt documentation.',
  metadata: undefined,
};

function cosmosEvents(): DeclaredEvent[] {
  return [
    {
      type: 'dag_run',
      fields: dagRunFields(COSMOS) as object as Fields,
      description: 'Sent when a run of a DAG with at least one cosmos task ends.',
      metadata: metadataFields,
    },
    {
      type: 'task_instance',
      fields: taskInstanceFields(COSMOS) as object as Fields,
      description: 'Sent when a cosmos task ends, or a task whose operator extends a cosmos operator.',
      metadata: undefined,
    },
  ];
}

/**
 * All events that a product may send.
 *
 * @throws TypeError for an event type that is declared twice, or a field with the name of a standard metric.
 */
export function productEvents(
  product: string,
  hostName: string,
  own: readonly EventDefinition[],
  choices?: StandardChoices,
): EventDefinitions {
  if (!Array.isArray(own)) throw new TypeError(`Expected \`events\` to be an array of event definitions, got ${describe(own)}.`);
  const taken = new Set(Object.keys(standardFields(product, hostName)));
  const definitions = new Map(standardEvents(product, choices).map((definition) => [definition.type, definition]));
  for (const event of own as readonly EventDefinition[]) {
    // Checked again: `events` may come from JavaScript, or from another copy of the package.
    const { daily: isOnceADay, ...given } = givenOptions(Object(event) as EventDefinition, ['type', 'fields', 'description', 'daily']);
    const checked = defineEvent(given.type, given.fields, given.description, { daily: isOnceADay });
    const { type, fields, description } = checked;
    if (STANDARD_EVENTS.includes(type as StandardEvent)) {
      throw new TypeError(`Expected \`events\` not to have the name of a standard event, got ${describe(type)}.`);
    }
    if (definitions.has(type)) throw new TypeError(`Expected \`events\` to declare each type once, got ${describe(type)} twice.`);
    const clash = Object.keys(fields).find((name) => taken.has(name));
    if (clash !== undefined) {
      throw new TypeError(`Expected \`events\` not to declare standard metrics, got field ${describe(clash)} of event ${describe(type)}.`);
    }
    const daily = isDaily(checked);
    definitions.set(type, {
      type,
      fields,
      metadata: undefined,
      ...(daily ? { description: `${description} ${DAILY}`, daily: true } : { description }),
    });
  }
  return definitions;
}

/** The digest of a DAG id, for a program that provides none: md5 for `cosmos`, whose wire has it, and nothing for other products. */
export function productDagHash(product: string): (dagId: string) => string | null {
  return product === COSMOS ? md5DagHash() : () => null;
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
