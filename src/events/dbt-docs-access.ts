import { boolean, oneOf } from './fields.js';

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
