import { profileFields, status } from './dag-run.js';
import { boolean, command, duration, identifier, nullable, optional } from './fields.js';
import type { Field } from './fields.js';

/**
 * What a finished task says about itself. Field names and their order are Cosmos' own (`cosmos/listeners/`), with the
 * product's name in the place of `cosmos`.
 */
export function taskInstanceFields<P extends string>(product: P) {
  return {
    status,
    operator_name: optional(
      identifier({
        description: "The class name of the operator. A class of a user's own is sent by its name, as it is.",
        reason: 'To know which operators are in use.',
        example: product === 'cosmos' ? 'DbtRunLocalOperator' : 'RunOperator',
      }),
    ),
    [`is_${product}_operator_subclass`]: boolean({
      description: `Whether the operator is a user's own class that extends one of ${product}.`,
      reason: 'To know whether changing a base class breaks people.',
      example: false,
    }),
    invocation_mode: nullable(
      identifier({
        description: 'Whether dbt runs inside the worker or as a program of its own.',
        reason: 'To know which way must be fast.',
        example: 'dbt_runner',
      }),
    ),
    execution_mode: nullable(
      identifier({
        description: 'Where the task runs: local, in a container, in a cluster.',
        reason: 'To know which ways of running are in use.',
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
          "The dbt command of the operator's class. What users configure (selectors, variables, paths) is no part of it; words " +
          "that a class of a user's own puts into its command are sent as they are.",
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
      description: 'Whether a callback of the user is attached. Not which one.',
      reason: 'To know whether that extension point is in use.',
      example: false,
    }),
    duration: optional(
      duration({
        description: 'How long the task ran, in seconds.',
        reason: 'To find versions that became slower.',
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
