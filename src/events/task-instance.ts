// The fields of a finished task.
import { profileFields, status } from './dag-run.js';
import { boolean, command, duration, identifier, nullable, optional } from './fields.js';
import type { Field } from './fields.js';

/**
 * The fields of a finished task. Names and order are those of Cosmos (`cosmos/listeners/`), with the name of the product instead of
 * `cosmos`.
 */
export function taskInstanceFields<P extends string>(product: P) {
  return {
    status,
    operator_name: optional(
      identifier({
        description: "The class name of the operator. The name of a user's own class is sent unchanged.",
        reason: 'To know which operators are in use.',
        example: product === 'cosmos' ? 'DbtRunLocalOperator' : 'RunOperator',
      }),
    ),
    [`is_${product}_operator_subclass`]: boolean({
      description: `Whether the operator is a user's own class that extends a ${product} operator.`,
      reason: 'To know whether a change of a base class breaks users.',
      example: false,
    }),
    invocation_mode: nullable(
      identifier({
        description: 'Whether dbt runs in the worker or in a separate process.',
        reason: 'To know which of the two must be fast.',
        example: 'dbt_runner',
      }),
    ),
    execution_mode: nullable(
      identifier({
        description: 'Where the task runs: local, in a container, in a cluster.',
        reason: 'To know which execution modes are in use.',
        example: 'local',
      }),
    ),
    ...profileFields,
    is_mapped_task: boolean({
      description: 'Whether the task is one of a mapped series.',
      reason: 'To know whether mapping is in use.',
      example: false,
    }),
    dbt_command: optional(
      command({
        description:
          "The dbt command of the operator's class, without what users configure (selectors, variables, paths). Words that a user's " +
          'own class puts into its command are sent unchanged.',
        reason: 'To know which commands are in use.',
        example: 'run',
      }),
    ),
    install_deps: optional(
      boolean({
        description: 'Whether dbt packages are installed before the command.',
        reason: 'To know how often that cost is paid.',
      }),
    ),
    has_callback: boolean({
      description: 'Whether a callback of the user is attached, but not which one.',
      reason: 'To know whether that extension point is in use.',
      example: false,
    }),
    duration: optional(
      duration({
        description: 'How long the task ran, in seconds.',
        reason: 'To find versions that are slower.',
        example: 7.25,
      }),
    ),
  } as TaskInstanceFields<P>;
}

/** The fields of a `task_instance` event of product `P`. */
export type TaskInstanceFields<P extends string> = {
  status: typeof status;
  operator_name: Field<string, true>;
  invocation_mode: Field<string | null, false>;
  execution_mode: Field<string | null, false>;
  is_mapped_task: Field<boolean, false>;
  dbt_command: Field<string, true>;
  install_deps: Field<boolean, true>;
  has_callback: Field<boolean, false>;
  duration: Field<number, true>;
} & typeof profileFields &
  Record<`is_${P}_operator_subclass`, Field<boolean, false>>;
