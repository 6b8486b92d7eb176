// The events of DAG Factory: which paths they have, and where they go.
import test from 'ava';
import { checkRelayOptions } from '../../src/relay/options.js';
import { parseTarget, readmitTarget } from '../../src/relay/request-target.js';
import { startCollector } from '../../src/testing/index.js';
import { makeFolder } from './helpers/relay-child.js';
import { get as getFrom, startRig } from './helpers/relay-rig.js';
import { createRelay } from '../../src/relay/index.js';
import { until } from './helpers/until.js';

/** As its own code builds it: the version of Airflow is quoted, the hash is an MD5, and Airflow 2 may have none. */
const EVENT = '/v2/1.1.0/2.10.1%2Bastro.1/3.11.7/Linux/x86_64/dag_run/success/9e107d9d372bb6826bd81d3542a419d6/12';
const OPTIONS = { isVerbatim: false, maxForwardBytes: 8000, maxDagFactoryBytes: 8000 };
const VERBATIM = { ...OPTIONS, isVerbatim: true };

function found(target: string, options: typeof OPTIONS | typeof VERBATIM = OPTIONS): string {
  const parsed = parseTarget(target, options);
  return parsed.kind === 'event' ? parsed.target : parsed.kind === 'refused' ? parsed.why : 'path';
}

test('its path is an event below either base, with one value of its kind in each segment', (t) => {
  t.is(found(`/dag-factory${EVENT}`), `/dag-factory${EVENT}`);
  t.is(found(`/astronomer-cosmos/dag-factory${EVENT}`), `/dag-factory${EVENT}`);
  t.is(found(`/dag-factory${EVENT.replace('9e107d9d372bb6826bd81d3542a419d6', 'None')}`).slice(-20), 'dag_run/success/None/12'.slice(-20));
  const cases: [from: string, to: string, why: string][] = [
    ['1.1.0', 'a b', 'malformed'],
    ['1.1.0', '..', 'malformed'],
    ['1.1.0', '%2e%2E', 'malformed'],
    ['3.11.7', 'acme secret', 'malformed'],
    ['Linux', 'Plan9FromOuterSpace', 'malformed'],
    ['dag_run', 'task_instance', 'unknown_event'],
    ['dag_run', 'Dag Run', 'malformed'],
    ['success', 'maybe', 'malformed'],
    ['9e107d9d372bb6826bd81d3542a419d6', 'my_dag', 'malformed'],
    ['/12', '/-1', 'malformed'],
    ['/12', '/12/13', 'unknown_path'],
    ['/12', '', 'unknown_path'],
    ['/12', '/12?a=b', 'malformed'],
    ['/v2/', '/v1/', 'path'],
  ];
  for (const [from, to, why] of cases) t.is(found(`/dag-factory${EVENT.replace(from, to)}`), why, to);
  t.is(found(`/dag-factory${EVENT.replace('dag_run', 'acme_event')}`, VERBATIM), `/dag-factory${EVENT.replace('dag_run', 'acme_event')}`);
  t.is(found(`/dag-factory${EVENT.replace('Linux', '..')}`, VERBATIM), 'malformed');
});

test('without an endpoint of its own, it is an unknown path', (t) => {
  const none = { isVerbatim: true, maxForwardBytes: 8000 };
  t.deepEqual(parseTarget(`/dag-factory${EVENT}`, none), { kind: 'refused', why: 'unknown_path' });
  t.is(readmitTarget(`/dag-factory${EVENT}`, none), undefined);
  t.is(readmitTarget(`/dag-factory${EVENT}`, OPTIONS), `/dag-factory${EVENT}`);
  t.deepEqual(parseTarget(`/dag-factory${EVENT}`, { ...OPTIONS, maxDagFactoryBytes: 50 }), { kind: 'refused', why: 'too_long' });
});

const endpoint = (options: Parameters<typeof checkRelayOptions>[0]) => checkRelayOptions(options).settings.forwardDagFactory;

test('it goes to its own endpoint only if no other was chosen for the events of Cosmos', (t) => {
  t.is(endpoint({}), 'https://astronomer.gateway.scarf.sh/dag-factory');
  t.is(endpoint({ forward: 'https://collector.acme.example' }), undefined);
  t.is(endpoint({ forward: 'https://a.example', forwardDagFactory: 'https://b.example/dags/' }), 'https://b.example/dags');
  t.throws(() => endpoint({ forwardDagFactory: 'ftp://x' }), { message: /^Expected `forwardDagFactory` to be an http or https URL/ });
  t.throws(() => endpoint({ forwardDagFactory: 'http://127.0.0.1:8787/x' }), {
    message: /^Expected `forwardDagFactory` to be a server other than the relay itself/,
  });
});

test('it is forwarded byte for byte below its endpoint, beside the events of Cosmos', async (t) => {
  const [cosmos, dagFactory] = [await startCollector(), await startCollector()];
  const { get, relay } = await startRig(t, { forward: `${cosmos.url}/up`, forwardDagFactory: `${dagFactory.url}/dags` });
  for (let event = 0; event < 5; event += 1) {
    t.is((await get('/v3/dag_run?status=success')).status, 204);
    t.is((await get(`/dag-factory${EVENT}`)).status, 204);
  }
  await Promise.all([cosmos.waitFor(5), dagFactory.waitFor(5)]);
  await until(() => relay.stats().sent === 10);
  await relay.close();
  t.deepEqual(new Set(cosmos.requests.map(({ url }) => url)), new Set(['/up/v3/dag_run?status=success']));
  t.deepEqual(new Set(dagFactory.requests.map(({ url }) => url)), new Set([`/dags${EVENT}`]));
  await Promise.all([cosmos.close(), dagFactory.close()]);
});

test('it survives a restart, and goes to the endpoint of the relay that then runs', async (t) => {
  const spool = makeFolder(t);
  const options = { listen: '127.0.0.1:0', forward: 'http://127.0.0.1:9', spool, env: {} };
  const first = createRelay({ ...options, forwardDagFactory: 'http://127.0.0.1:9/dags' });
  t.is((await getFrom((await first.listen()).port, `/dag-factory${EVENT}`)).status, 204);
  t.is((await first.close({ deadlineMs: 0 })).pending, 1);
  const collector = await startCollector();
  const second = createRelay({ ...options, forwardDagFactory: collector.url });
  await second.listen();
  await collector.waitFor(1);
  t.is(collector.requests[0]?.url, EVENT);
  await second.close();
  await collector.close();
});
