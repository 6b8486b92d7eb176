// The environment of all Python programs of the test: an Airflow home of its own, only loopback addresses, all reporting off except
// Cosmos', and proxies that must not get a request.
import { mkdirSync, copyFileSync, readdirSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const here = (name) => fileURLToPath(new URL(`../${name}`, import.meta.url));
const PLUGIN = fileURLToPath(new URL('../../../examples/airflow/plugins/cosmos_telemetry_relay.py', import.meta.url));

/** Opt-outs and settings of the caller's environment that would change the test. */
const INHERITED = ['PATH', 'HOME', 'LANG', 'LC_ALL', 'TZ', 'TMPDIR', 'USER', 'LD_LIBRARY_PATH', 'SSL_CERT_FILE'];

/**
 * Lays out an Airflow home with the DAGs, the plug-in of `examples/`, and the test's own. @returns Its paths, and the environment for its
 * programs.
 */
export function airflowHome(folder, { programs, relayUrl, proxyUrl, major }) {
  for (const name of ['dags', 'plugins']) mkdirSync(path.join(folder, name), { recursive: true });
  for (const name of ['dags', 'plugins']) {
    for (const file of readdirSync(here(name)))
      if (file.endsWith('.py')) copyFileSync(path.join(here(name), file), path.join(folder, name, file));
  }
  copyFileSync(PLUGIN, path.join(folder, 'plugins', path.basename(PLUGIN)));
  const home = {
    folder,
    programs,
    python: path.join(programs, 'python'),
    escapes: path.join(folder, 'escapes.jsonl'),
    timings: path.join(folder, 'timings.jsonl'),
    project: here('project'),
  };
  const inherited = Object.fromEntries(INHERITED.flatMap((name) => (process.env[name] === undefined ? [] : [[name, process.env[name]]])));
  return {
    ...home,
    env: {
      ...inherited,
      ...silence,
      ...settings(home, major),
      PATH: `${programs}${path.delimiter}${process.env.PATH}`,
      COSMOS_TELEMETRY_RELAY_URL: relayUrl,
      ...proxies(proxyUrl),
    },
  };
}

/** Turns off the reporting of other programs. Cosmos' own stays on and goes to this machine. */
const silence = { SCARF_ANALYTICS: 'false', DBT_SEND_ANONYMOUS_USAGE_STATS: 'False', AIRFLOW__USAGE_DATA_COLLECTION__ENABLED: 'False' };

/** Airflow's own address is excepted here, by its name. The plug-in adds the relay's address. */
const proxies = (url) => ({ HTTP_PROXY: url, HTTPS_PROXY: url, ALL_PROXY: url, NO_PROXY: 'localhost' });

function settings(home, major) {
  const common = {
    AIRFLOW_HOME: home.folder,
    AIRFLOW__CORE__LOAD_EXAMPLES: 'False',
    AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION: 'False',
    AIRFLOW__CORE__PARALLELISM: '3',
    AIRFLOW__LOGGING__LOGGING_LEVEL: 'WARNING',
    AIRFLOW_CONN_JAFFLE_SHOP: 'postgres://somebody:not-a-secret@127.0.0.1:1/shop',
    AIRFLOW_TEST_ESCAPES: home.escapes,
    AIRFLOW_TEST_TIMINGS: home.timings,
    AIRFLOW_TEST_PROJECT: home.project,
    PYTHONPATH: here('guard'),
    PYTHONDONTWRITEBYTECODE: '1',
  };
  if (major < 3) return common;
  return {
    ...common,
    AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS: 'True',
    AIRFLOW__API__SECRET_KEY: 'for-this-test-alone',
    AIRFLOW__API_AUTH__JWT_SECRET: 'for-this-test-alone-and-long-enough-for-the-algorithm-that-signs-with-it',
    AIRFLOW__COSMOS__DBT_DOCS_PROJECTS: JSON.stringify({ jaffle_shop: { dir: home.project, name: 'Jaffle shop' } }),
  };
}
