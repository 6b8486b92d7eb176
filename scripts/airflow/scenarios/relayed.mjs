// Cosmos, recorder, relay and endpoint in a chain: the endpoint receives what Cosmos sent.
import path from 'node:path';
import { ALL_DAGS, endedAsExpected, expectedEvents } from '../lib/expected.mjs';
import { isSame, without } from '../lib/multisets.mjs';
import { until } from '../lib/waiting.mjs';

/** A relay whose endpoint is down probes it again after about a minute. */
const COMING_BACK_TIMEOUT_MS = 180_000;

/** All events of Cosmos, without a fault. @returns The runs, and the requests of Cosmos for them. */
export async function goodDay(stage) {
  const { airflow, checks, front } = stage;
  const relay = await stage.startRelay(path.join(stage.folder, 'spool-good-day'));
  front.forwardTo(relay.url);
  const watch = stage.watch();
  const runs = await airflow.runDags(ALL_DAGS);
  await airflow.viewDocs();
  await watch.hooksReturned(expectedEvents(ALL_DAGS) + 1);
  await relay.stop();
  const sent = watch.sent();
  const kinds = count(sent.map((target) => /\/v3\/([a-z_]+)\?/.exec(target)?.[1]));
  checks.add('DAGs end as they should', endedAsExpected(runs), runs.map(({ dagId, state }) => `${dagId} ${state}`).join(', '));
  checks.add(
    'Cosmos sends the expected events',
    kinds.task_instance === 9 && kinds.dag_run === 5 && kinds.dbt_docs_access === 1 && sent.length === 15,
    JSON.stringify(kinds),
  );
  checks.add(
    'the relay acknowledges each event as on disk',
    watch.records().every(({ status }) => status === 204),
    JSON.stringify(count(watch.records().map(({ status }) => status))),
  );
  checks.add(
    'the relay forwards what Cosmos sent, byte for byte, no event lost, none twice',
    isSame(sent, watch.arrived()),
    `${sent.length} sent, ${watch.arrived().length} arrived, ${without(sent, watch.arrived()).length} missing`,
  );
  return { runs, sent };
}

/** The endpoint is down while DAGs run. */
export async function endpointAway(stage) {
  const { airflow, checks, front, upstream } = stage;
  const relay = await stage.startRelay(path.join(stage.folder, 'spool-endpoint-away'));
  front.forwardTo(relay.url);
  const dagIds = ['succeeds', 'fails', 'subclasses'];
  const watch = stage.watch();
  await upstream.goAway();
  const runs = await airflow.runDags(dagIds);
  await watch.hooksReturned(expectedEvents(dagIds));
  const held = watch.sent().length - watch.arrived().length;
  await upstream.comeBack();
  const since = Date.now();
  await arrivalOf(watch.sent(), watch);
  const tookS = Math.round((Date.now() - since) / 1000);
  await relay.stop();
  checks.add(
    'while the endpoint is down, runs end as they should and no hook fails',
    endedAsExpected(runs) && watch.timings().every(({ isSuccess }) => isSuccess),
  );
  checks.add(
    'once it is back, all events arrive, none twice',
    held === 6 && isSame(watch.sent(), watch.arrived()),
    `${held} held, ${watch.arrived().length} arrived within ${tookS} s, ${without(watch.sent(), watch.arrived()).length} missing`,
  );
}

/** The relay is killed twice: once with acknowledged events that wait, once with events in flight. */
export async function relayKilled(stage) {
  const { airflow, checks, front, upstream } = stage;
  const spool = path.join(stage.folder, 'spool-relay-killed');
  let relay;
  const restart = async () => {
    await relay?.kill();
    relay = await stage.startRelay(spool);
    front.forwardTo(relay.url);
  };
  const dagIds = ['succeeds', 'maps', 'retries'];
  const watch = stage.watch();
  await restart();
  await upstream.goAway();
  const running = airflow.runDags(dagIds);
  await until('the third acknowledgement', () => watch.acknowledged().length >= 3, { everyMs: 5 });
  const held = watch.acknowledged().length - watch.arrived().length;
  await restart();
  // Slow enough that the relay is killed before it gets the answer.
  upstream.answerAfter(400);
  await upstream.comeBack();
  await until('the first arrival', () => watch.arrived().length > 0, { timeoutMs: COMING_BACK_TIMEOUT_MS, everyMs: 5 });
  await restart();
  const runs = await running;
  await watch.hooksReturned(expectedEvents(dagIds));
  upstream.answerAfter(0);
  await arrivalOf(watch.acknowledged(), watch);
  await relay.stop();
  const acknowledged = watch.acknowledged();
  const missing = without(acknowledged, watch.arrived()).length;
  const twice = without(watch.arrived(), watch.sent()).length;
  checks.add('the relay is killed twice and started again: runs end as they should', endedAsExpected(runs));
  checks.add(
    'no acknowledged event is lost',
    held >= 3 && missing === 0,
    `${watch.sent().length} sent, ${acknowledged.length} acknowledged, ${held} held at its first death, ${missing} missing`,
  );
  checks.add('at most six events arrive twice, those in flight when it was killed', twice <= 6, `${twice} arrived twice`);
}

/** Waits for targets to arrive, up to a time limit; the caller counts the missing ones. */
async function arrivalOf(targets, watch) {
  const end = Date.now() + COMING_BACK_TIMEOUT_MS;
  await until('arrival', () => without(targets, watch.arrived()).length === 0 || Date.now() > end, {
    timeoutMs: 2 * COMING_BACK_TIMEOUT_MS,
  });
}

function count(items) {
  const counts = {};
  for (const item of items) counts[item] = (counts[item] ?? 0) + 1;
  return counts;
}
