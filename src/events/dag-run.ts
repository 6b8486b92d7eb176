// The fields of a DAG run, of the metadata that a DAG carries, and of an access to the dbt documentation.
import { boolean, count, hash, identifier, identifierSet, nullable, oneOf, optional } from './fields.js';
import type { Field } from './fields.js';

/** How a run or a task ended. Other states are not reported: a skipped task sends nothing. */
export type Status = 'success' | 'failed';

/** The outcome field that runs and tasks share. */
export const status = oneOf(['success', 'failed'], {
  description: 'How it ended.',
  reason: 'To see which versions and set-ups fail more often.',
});

/**
 * The fields of a finished DAG run of `cosmos`. Names and order are those of Cosmos (`cosmos/listeners/`). Other products
 * have those of `workflow.ts`.
 */
export function dagRunFields<P extends string>(product: P) {
  const digest = "The host's digest of the DAG, or else the md5 of its id; the example is the md5 of `jaffle_shop`.";
  return {
    dag_hash: optional(
      hash({
        description: `${digest} Pseudonymous, not anonymous: anyone who guesses the id can compute it.`,
        reason: 'To tell a thousand runs of one DAG from runs of a thousand DAGs.',
      }),
    ),
    status,
    task_count: count({
      description: 'How many tasks the DAG has.',
      reason: 'To know which sizes of DAGs must stay fast.',
      example: 10,
    }),
    [`${product}_task_count`]: count({
      description: `How many of them are ${product} tasks.`,
      reason: `To see how ${product} tasks are mixed with others.`,
      example: 8,
    }),
    execution_modes: identifierSet({
      description: `The execution modes of the ${product} tasks, sorted and joined by two underscores.`,
      reason: 'To know which execution modes are in use and which can be retired.',
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

/** The database profile, which runs and tasks both report. */
export const profileFields = {
  profile_strategy: nullable(
    oneOf(PROFILE_STRATEGIES, {
      description: 'Whether the database profile comes from a profiles file or is mapped from a connection.',
      reason: 'To know which of the two to improve.',
      example: 'mapping',
    }),
  ),
  profile_mapping_class: nullable(
    identifier({
      description: "The class name of the profile mapping. The name of a user's own class is sent unchanged.",
      reason: 'To know which databases need a better mapping.',
      example: 'PostgresUserPasswordProfileMapping',
    }),
  ),
  database: nullable(
    identifier({
      description: 'The kind of database, without its host, name or user.',
      reason: 'To test against the databases that are in use.',
      example: 'postgres',
    }),
  ),
};

/**
 * The fields of a DAG's packed metadata. Users who can start a DAG can edit its params, so a value that is undeclared or of another
 * type is dropped.
 */
export const metadataFields = {
  used_automatic_load_mode: boolean({
    description: 'Whether the product chose how to load the project.',
    reason: 'To know whether the automatic choice is trusted.',
  }),
  invocation_mode: nullable(
    oneOf(INVOCATION_MODES, {
      description: 'Whether dbt runs in the process that parses the DAG or in a separate one.',
      reason: 'To know which of the two must be fast.',
    }),
  ),
  install_deps: nullable(
    boolean({
      description: 'Whether dbt packages are installed before a run.',
      reason: 'To know how often that cost is paid.',
    }),
  ),
  uses_node_converter: boolean({
    description: 'Whether functions of the user render the nodes.',
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
      description: 'How the project was actually loaded.',
      reason: 'To know which loaders must stay fast.',
      example: 'dbt_ls',
    }),
  ),
  total_dbt_models: nullable(
    count({
      description: 'How many models the project has.',
      reason: 'To know which sizes of projects must stay fast.',
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

/** The fields of an access to the hosted dbt documentation, in the order of Cosmos (`cosmos/plugin/`). */
export const dbtDocsAccessFields = {
  storage_type: oneOf(['s3', 'gcs', 'azure', 'http', 'local', 'not_configured'], {
    description: 'The kind of storage that holds the documentation, not its address.',
    reason: 'To know which storages are in use.',
  }),
  docs_dir_configured: boolean({
    description: 'Whether a folder for the documentation is configured.',
    reason: 'To see how many users open the page before it is configured.',
  }),
  uses_custom_conn: boolean({
    description: 'Whether the documentation is read through a connection other than the default.',
    reason: 'To know whether that setting is in use.',
    example: false,
  }),
  has_custom_name: boolean({
    description: 'Whether the index page has a name other than the default, but not which one.',
    reason: 'To know whether that setting is in use.',
    example: false,
  }),
};
