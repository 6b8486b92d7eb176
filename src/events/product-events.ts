import { describe } from '../describe.js';
import { dagRunFields } from './dag-run.js';
import type { DagRunFields } from './dag-run.js';
import { dbtDocsAccessFields } from './dbt-docs-access.js';
import { defineEvent } from './definition.js';
import type { EventDefinition, Fields, MetricsOf } from './definition.js';
import { standardFields } from './standard-metrics.js';
import { taskInstanceFields } from './task-instance.js';
import type { TaskInstanceFields } from './task-instance.js';

/** The events that every product has: its name stands where `cosmos` stands in Cosmos' own. */
export interface BuiltInMetrics<P extends string> {
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

/** The events that every product has. */
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
      description: `Sent when a ${product} task, or a task whose operator extends one of ${product}, ends.`,
    },
    { type: 'dbt_docs_access', fields: dbtDocsAccessFields, description: 'Sent when somebody opens the hosted dbt documentation.' },
  ];
}

/**
 * All events that a product may send.
 *
 * @throws TypeError for an event type that is declared twice, or a field that a standard metric already names.
 */
export function productEvents(product: string, hostName: string, own: readonly EventDefinition[]): EventDefinitions {
  if (!Array.isArray(own)) throw new TypeError(`Expected \`events\` to be an array of event definitions, got ${describe(own)}.`);
  const taken = new Set(Object.keys(standardFields(product, hostName)));
  const definitions = new Map(builtInEvents(product).map((definition) => [definition.type, definition]));
  for (const event of own) {
    // Checked again: `events` may come from JavaScript, or from another copy of the package.
    const { type, fields, description } = defineEvent(event?.type, event?.fields, event?.description);
    if (definitions.has(type)) throw new TypeError(`Expected \`events\` to declare each type once, got ${describe(type)} twice.`);
    const clash = Object.keys(fields).find((name) => taken.has(name));
    if (clash !== undefined) {
      throw new TypeError(`Expected \`events\` not to declare standard metrics, got field ${describe(clash)} of event ${describe(type)}.`);
    }
    definitions.set(type, { type, fields, description });
  }
  return definitions;
}
