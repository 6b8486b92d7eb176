// Tests the plug-in in Airflow 2: a scheduler that runs tasks in sequence, without a web server.
import path from 'node:path';
import { expectedEvents } from '../lib/expected.mjs';
import { isSame } from '../lib/multisets.mjs';
import { run, startLogged } from '../lib/processes.mjs';

const DAGS = ['succeeds', 'fails', 'retries'];

/** @returns The versions that ran. */
export async function airflow2(stage) {
  const { checks, front, home } = stage;
  const options = { env: home.env, cwd: home.folder };
  const airflow = path.join(home.programs, 'airflow');
  await run(airflow, ['db', 'migrate'], options);
  // The DAGs must be in the database before a run is triggered.
  await run(airflow, ['dags', 'reserialize'], options);
  const relay = await stage.startRelay(path.join(stage.folder, 'spool-airflow-2'));
  front.forwardTo(relay.url);
  const watch = stage.watch();
  const scheduler = startLogged(airflow, ['scheduler', '--skip-serve-logs'], {
    ...options,
    logFile: path.join(home.folder, 'scheduler.log'),
  });
  try {
    await run(
      home.python,
      [
        '-c',
        `from airflow.api.client.local_client import Client\nfor dag_id in ${JSON.stringify(DAGS)}: Client(None, None).trigger_dag(dag_id)`,
      ],
      options,
    );
    await watch.hooksReturned(expectedEvents(DAGS), () => scheduler.assertRuns());
  } finally {
    await scheduler.stop();
  }
  await relay.stop();
  const sent = watch.sent();
  checks.add('Airflow 2: the plug-in sends the events of Cosmos to the relay', sent.length === expectedEvents(DAGS), `${sent.length} sent`);
  checks.add(
    'Airflow 2: the relay forwards what Cosmos sent, byte for byte, no event lost, none twice',
    isSame(sent, watch.arrived()),
    `${watch.arrived().length} arrived`,
  );
  checks.add(
    'Airflow 2: tasks send their duration',
    sent.filter((target) => /\/task_instance\?.*&duration=\d+\.\d+$/.test(target)).length === 5,
  );
}
