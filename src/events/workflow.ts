// The standard events of a product other than `cosmos`: facts that every workflow host knows.
import { metadataFields } from './dag-run.js';
import type { EventDefinition, Fields, MetricsOf } from './definition.js';
import { count, duration, hash, nullable, oneOf, optional, wordSet } from './fields.js';
import type { Field } from './fields.js';
import { taskInstanceFields } from './task-instance.js';
import type { TaskInstanceFields } from './task-instance.js';

/** How a run or a task ended. */
export const OUTCOMES = ['success', 'failed', 'skipped', 'cancelled', 'timed_out', 'cached'] as const;

const outcome = oneOf(OUTCOMES, { description: 'How it ended.', reason: 'To see which versions fail more often.' });

/** What the program chose for its standard events. */
export interface WorkflowChoices {
  /** Whether the fields about dbt are declared, too. */
  isDbt: boolean;
  /** Whether the program has a digest of its runs. */
  hasHash: boolean;
  /** The words that may appear from the names of modules. Without one, nothing of a module's name is sent. */
  executionModes: readonly string[];
}

/** The fields of `dag_run`. */
export type RunFields<P extends string> = {
  dag_hash: Field<string, true>;
  status: typeof outcome;
  task_count: Field<number, false>;
  failed_count: Field<number, true>;
  retried_count: Field<number, true>;
  skipped_count: Field<number, true>;
  duration: Field<number, true>;
} & Record<`${P}_task_count`, Field<number, false>>;

/** The fields of `task_instance`. */
export type TaskFields = {
  status: typeof outcome;
  operator_name: Field<string, true>;
  attempt: Field<number, true>;
  duration: Field<number, true>;
  is_mapped_task: Field<boolean, false>;
  has_callback: Field<boolean, false>;
};

/** The fields that `dbt: true` adds to `task_instance`. */
type DbtTaskMetrics<P extends string> = Omit<MetricsOf<TaskInstanceFields<P>>, keyof TaskFields | 'execution_mode'>;

/** What `dbt: true` adds, and what `executionModes` adds. `unknown` adds nothing to an intersection. */
type IfDbt<D extends boolean, Added> = [D] extends [true] ? Added : unknown;
type IfWords<M extends string, Added> = [M] extends [never] ? unknown : Added;

/** What `publish` takes for the standard events of a product other than `cosmos`. */
export interface WorkflowMetrics<P extends string, D extends boolean, M extends string> {
  dag_run: MetricsOf<RunFields<P>> & IfWords<M, { readonly execution_modes?: string }>;
  task_instance: MetricsOf<TaskFields> & IfDbt<D, DbtTaskMetrics<P>> & IfWords<M, { readonly execution_mode?: M | null }>;
}

/** `dag_run` and `task_instance` of a product other than `cosmos`. */
export function workflowEvents(product: string, choices: WorkflowChoices): (EventDefinition & { readonly metadata: Fields | undefined })[] {
  return [
    {
      type: 'dag_run',
      fields: runFields(product, choices),
      description: `Sent when a run with at least one ${product} task ends.`,
      metadata: choices.isDbt ? metadataFields : undefined,
    },
    {
      type: 'task_instance',
      fields: taskFields(product, choices),
      description: `Sent when a task of ${product} ends.`,
      metadata: undefined,
    },
  ];
}

function runFields(product: string, { hasHash, executionModes }: WorkflowChoices): Fields {
  const reason = 'To find versions in which it changes.';
  return {
    ...(hasHash && {
      dag_hash: optional(
        hash({
          description: 'A digest of the workflow. Pseudonymous, not anonymous: anyone who guesses its source can compute it.',
          reason: 'To tell a thousand runs of one workflow from runs of a thousand workflows.',
        }),
      ),
    }),
    status: outcome,
    task_count: count({ description: 'How many tasks it has.', reason: 'To know which sizes must stay fast.', example: 10 }),
    [`${product}_task_count`]: count({
      description: `How many of them are ${product} tasks.`,
      reason: `To see how ${product} tasks are mixed with others.`,
      example: 8,
    }),
    failed_count: optional(count({ description: 'How many of its tasks failed.', reason, example: 1 })),
    retried_count: optional(count({ description: 'How many of its tasks were tried more than once.', reason, example: 2 })),
    skipped_count: optional(count({ description: 'How many of its tasks were skipped.', reason, example: 0 })),
    duration: optional(
      duration({ description: 'How long it ran, in seconds.', reason: 'To find versions that are slower.', example: 93.5 }),
    ),
    ...(executionModes.length > 0 && {
      execution_modes: optional(
        wordSet(executionModes, {
          description: `The execution modes of the ${product} tasks, sorted and joined by two underscores.`,
          reason: 'To know which execution modes are in use and which can be retired.',
        }),
      ),
    }),
  };
}

function taskFields(product: string, { isDbt, executionModes }: WorkflowChoices): Fields {
  // What a module's name says is declared by the program's own words, and `status` has more words here.
  const {
    status: _,
    execution_mode: __,
    operator_name,
    is_mapped_task,
    has_callback,
    duration: took,
    ...dbt
  } = taskInstanceFields(product);
  return {
    status: outcome,
    operator_name,
    attempt: optional(
      count({ description: 'Which attempt it was; the first is 1.', reason: 'To see how often retries help.', example: 1 }),
    ),
    duration: took,
    is_mapped_task,
    has_callback,
    ...(executionModes.length > 0 && {
      execution_mode: optional(
        nullable(oneOf(executionModes, { description: 'Where the task runs.', reason: 'To know which execution modes are in use.' })),
      ),
    }),
    ...(isDbt && dbt),
  };
}
