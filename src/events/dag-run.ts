import { boolean, count, hash, identifier, identifierSet, nullable, oneOf, optional } from './fields.js';
import type { Field } from './fields.js';

/** How a run or a task ended. Nothing else is ever reported: a skipped task sends nothing. */
export type Status = 'success' | 'failed';

/** The outcome field that runs and tasks share. */
export const status = oneOf(['success', 'failed'], {
  description: 'How it ended.',
  reason: 'To see which versions and set-ups fail more often than others.',
});

/**
 * What a finished DAG run says about itself. Field names and their order are Cosmos' own (`cosmos/listeners/`), with the
 * product's name in the place of `cosmos`.
 */
export function dagRunFields<P extends string>(product: P) {
  const digest =
    product === 'cosmos'
      ? 'The digest that the host gives for the DAG, else the md5 of its id; the example is that of `jaffle_shop`.'
      : 'A digest of the DAG, where the host or the program gives one; none is made otherwise.';
  return {
    dag_hash: optional(
      hash({
        description: `${digest} Pseudonymous, not anonymous: somebody who guesses the id can compute it.`,
        reason: 'To tell one DAG that runs a thousand times from a thousand DAGs.',
      }),
    ),
    status,
    task_count: count({
      description: 'How many tasks the DAG has.',
      reason: 'To know the sizes of DAG that must stay fast.',
      example: 10,
    }),
    [`${product}_task_count`]: count({
      description: `How many of them are ${product} tasks.`,
      reason: 'To see how people mix these tasks with others.',
      example: 8,
    }),
    execution_modes: identifierSet({
      description: `The execution modes of the ${product} tasks, sorted and joined by two underscores.`,
      reason: 'To know which ways of running are in use and which can be retired.',
      example: 'kubernetes__local',
    }),
  } as DagRunFields<P>;
}

/** The fields of a `dag_run` event of product `P`. */
export type DagRunFields<P extends string> = {
  dag_hash: Field<string, true>;
  status: typeof status;
  task_count: Field<number, false>;
  execution_modes: Field<string, false>;
} & Record<`${P}_task_count`, Field<number, false>>;

const INVOCATION_MODES = ['dbt_runner', 'subprocess'] as const;
const TEST_BEHAVIORS = ['none', 'after_each', 'after_all', 'build'] as const;
const SOURCE_BEHAVIORS = ['none', 'all', 'with_tests_or_freshness'] as const;
const LOAD_MODES = ['automatic', 'custom', 'dbt_ls', 'dbt_ls_file', 'dbt_ls_cache', 'dbt_manifest'] as const;
const PROFILE_STRATEGIES = ['yaml_file', 'mapping'] as const;

/** Whether and how a profile was given, as runs and tasks both report it. */
export const profileFields = {
  profile_strategy: nullable(
    oneOf(PROFILE_STRATEGIES, {
      description: 'Whether the database profile comes from a profiles file or from a mapping of a connection.',
      reason: 'To know which of the two ways deserves the work.',
      example: 'mapping',
    }),
  ),
  profile_mapping_class: nullable(
    identifier({
      description: "The class name of the profile mapping. A class of a user's own is sent by its name, as it is.",
      reason: 'To know which databases need a better mapping.',
      example: 'PostgresUserPasswordProfileMapping',
    }),
  ),
  database: nullable(
    identifier({
      description: 'The kind of database. No host, no name, no user of it.',
      reason: 'To test against the databases that are in use.',
      example: 'postgres',
    }),
  ),
};

/**
 * What the DAG's packed metadata may hold. Whoever may start a DAG can edit its params, so what is not declared here, or is
 * of another type, does not leave the machine.
 */
export const metadataFields = {
  used_automatic_load_mode: boolean({
    description: 'Whether the way of loading the project was left to the product.',
    reason: 'To know whether the automatic choice is trusted.',
  }),
  invocation_mode: nullable(
    oneOf(INVOCATION_MODES, {
      description: 'Whether dbt runs inside the process or as a program of its own while the DAG is parsed.',
      reason: 'To know which way must be fast.',
    }),
  ),
  install_deps: nullable(
    boolean({
      description: 'Whether dbt packages are installed before a run.',
      reason: 'To know how often that cost is paid.',
    }),
  ),
  uses_node_converter: boolean({
    description: 'Whether nodes are rendered by functions of the user.',
    reason: 'To know whether that extension point is in use.',
    example: false,
  }),
  test_behavior: nullable(
    oneOf(TEST_BEHAVIORS, {
      description: 'When the tests of a model run.',
      reason: 'To choose a good default.',
      example: 'after_each',
    }),
  ),
  source_behavior: nullable(
    oneOf(SOURCE_BEHAVIORS, {
      description: 'Which sources become tasks.',
      reason: 'To choose a good default.',
      example: 'all',
    }),
  ),
  actual_load_mode: nullable(
    oneOf(LOAD_MODES, {
      description: 'How the project was loaded in the end.',
      reason: 'To know which loaders must stay fast.',
      example: 'dbt_ls',
    }),
  ),
  total_dbt_models: nullable(
    count({
      description: 'How many models the project has.',
      reason: 'To know the sizes of project that must stay fast.',
      example: 13,
    }),
  ),
  selected_dbt_models: nullable(
    count({
      description: 'How many of them the DAG selects.',
      reason: 'To see whether selection is in use.',
      example: 5,
    }),
  ),
  ...profileFields,
};

/** What an access to the hosted dbt documentation says about itself, in Cosmos' own order (`cosmos/plugin/`). */
export const dbtDocsAccessFields = {
  storage_type: oneOf(['s3', 'gcs', 'azure', 'http', 'local', 'not_configured'], {
    description: 'Where the documentation is stored. The kind of storage, not its address.',
    reason: 'To know which storages are in use.',
  }),
  docs_dir_configured: boolean({
    description: 'Whether a folder for the documentation is configured.',
    reason: 'To see how many people meet the unconfigured page.',
  }),
  uses_custom_conn: boolean({
    description: 'Whether a connection other than the default is used to read it.',
    reason: 'To know whether that setting is in use.',
    example: false,
  }),
  has_custom_name: boolean({
    description: 'Whether the index page has a name other than the default. Not which one.',
    reason: 'To know whether that setting is in use.',
    example: false,
  }),
};
