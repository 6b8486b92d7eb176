import test from 'ava';
import { route } from '../../src/relay/request-target.js';

const STRICT = { isVerbatim: false, maxForwardBytes: 8000 };
const VERBATIM = { isVerbatim: true, maxForwardBytes: 8000 };

function sifted(query: string, type = 'task_instance'): [target: string, dropped: string[]] | string {
  const found = route(`/v3/${type}?${query}`, STRICT);
  return found.kind === 'event' ? [found.target, found.dropped.map(({ name, why }) => `${name} ${why}`)] : found.kind;
}

test('declared fields go on in their order and spelling, everything else stays', (t) => {
  t.deepEqual(sifted('status=success&new_field=1&duration=7.0'), [
    '/v3/task_instance?status=success&duration=7.0',
    ['new_field undeclared'],
  ]);
  t.deepEqual(sifted('status=%73uccess&has_callback=True'), ['/v3/task_instance?status=%73uccess&has_callback=True', []]);
  t.deepEqual(sifted('st%61tus=success'), ['/v3/task_instance', ['st%61tus undeclared']]);
  t.deepEqual(sifted('status=success&status=failed&status=x'), [
    '/v3/task_instance?status=success',
    ['status duplicate', 'status duplicate'],
  ]);
  t.deepEqual(sifted('status=nonsense&status=failed'), ['/v3/task_instance?status=failed', ['status ill_typed']]);
  t.deepEqual(sifted('&status=failed&&'), ['/v3/task_instance?status=failed', [' undeclared', ' undeclared', ' undeclared']]);
  t.deepEqual(sifted('__proto__=1&constructor=1&toString=1'), [
    '/v3/task_instance',
    ['__proto__ undeclared', 'constructor undeclared', 'toString undeclared'],
  ]);
});

test('metadata belongs to a dag_run alone', (t) => {
  t.deepEqual(sifted('total_dbt_models=3', 'dag_run'), ['/v3/dag_run?total_dbt_models=3', []]);
  t.deepEqual(sifted('total_dbt_models=3'), ['/v3/task_instance', ['total_dbt_models undeclared']]);
});

test('a value must be what Python writes for its kind', (t) => {
  const good = [
    'duration=7.0',
    'duration=7',
    'duration=1e-05',
    'duration=1.5e-07',
    'duration=1e%2B16',
    'duration=0.0',
    'duration=None',
    'has_callback=True',
    'has_callback=False',
    'profile_strategy=None',
    'database=postgres',
    'dbt_command=source+freshness',
    'dbt_command=run%20--full-refresh',
    'airflow_version=2.10.1%252Bastro.1',
    'airflow_version=3.0.0%2Bx',
    'cosmos_version=1.12.0%2Bx',
    'platform_system=darwin',
    'platform_machine=AMD64',
    'status=failed',
  ]; // prettier-ignore
  for (const query of good) t.deepEqual(sifted(query), [`/v3/task_instance?${query}`, []], query);
  const bad = [
    'duration=-1.0',
    'duration=nan',
    'duration=inf',
    'duration=1e999',
    'duration=',
    'duration=0x10',
    'duration=1_000',
    'duration=%2B5',
    'duration=seven',
    'has_callback=true',
    'has_callback=1',
    'has_callback=',
    'database=a+b',
    'database=1db',
    'database=%27%3B--',
    'dbt_command=run+-s%3Dx',
    'dbt_command=a++b',
    `operator_name=${'x'.repeat(129)}`,
    'airflow_version=2.10.1%25252Bastro',
    'cosmos_version=..',
    'platform_system=Plan9',
    'status=skipped',
    'status',
  ]; // prettier-ignore
  for (const query of bad) t.deepEqual(sifted(query), ['/v3/task_instance', [`${query.split('=')[0]} ill_typed`]], query);
  t.deepEqual(sifted('task_count=9007199254740993', 'dag_run'), ['/v3/dag_run?task_count=9007199254740993', []]);
  for (const value of ['99999999999999999', '-1', '1.0', '1e3', '']) {
    t.deepEqual(sifted(`task_count=${value}`, 'dag_run'), ['/v3/dag_run', ['task_count ill_typed']], value);
  }
  t.deepEqual(sifted('execution_modes=', 'dag_run'), ['/v3/dag_run?execution_modes=', []]);
});

test('verbatim, every query and every type of the right shape goes on as it came', (t) => {
  for (const target of ['/v3/other?a=1&a=2&&b', '/v3/dag_run?', '/v3/dag_run', '/v3/x_1?%F0%9F%9A%80=%C3%9F']) {
    t.deepEqual(route(target, VERBATIM), { kind: 'event', target, dropped: [] });
    t.deepEqual(route(`/astronomer-cosmos${target}`, VERBATIM), { kind: 'event', target, dropped: [] });
  }
  for (const target of ['/v3/Other', '/v3/1x', '/v3/a/b', `/v3/${'x'.repeat(33)}`]) t.is(route(target, VERBATIM).kind, 'refused', target);
});

test('older wires: every segment is known, or none of it goes on', (t) => {
  const good = '/v2/1.11.0/2.10.1/3.12/Linux/x86_64/dag_run/success/0123456789abcdef/3/2/local__docker';
  t.deepEqual(route(good, STRICT), { kind: 'event', target: good, dropped: [] });
  const cases: [target: string, why: string][] = [
    [good.replace('/v2/', '/v1/'), 'unknown_path'],
    [good.replace('/3/2/', '/3/'), 'unknown_path'],
    [good.replace('dag_run', 'other'), 'unknown_event'],
    [good.replace('dag_run', 'Other'), 'malformed'],
    [good.replace('success', 'skipped'), 'malformed'],
    [good.replace('/3/2/', '/three/2/'), 'malformed'],
    [good.replace('1.11.0', '..'), 'malformed'],
    [good.replace('1.11.0', 'x'.repeat(129)), 'malformed'],
    [`${good}?status=success`, 'malformed'],
  ];
  for (const [target, why] of cases) t.deepEqual(route(target, STRICT), { kind: 'refused', why } as ReturnType<typeof route>, target);
});

test('a target that would be too long behind the endpoint is refused at the door', (t) => {
  const target = `/v3/other?x=${'y'.repeat(100)}`;
  t.is(route(target, { isVerbatim: true, maxForwardBytes: target.length }).kind, 'event');
  t.deepEqual(route(target, { isVerbatim: true, maxForwardBytes: target.length - 1 }), { kind: 'refused', why: 'too_long' });
});

/** An older path with a step in it. */
const up = (step: string) => `/v1/1.8.0/2.10.1/3.11/Linux/x86_64/dag_run/success/${step}/3/3`;

test('forwarded as it came, a path stays below the endpoint and a query keeps its bytes', (t) => {
  const verbatim = { isVerbatim: true, maxForwardBytes: 8192 };
  for (const step of ['.', '..', '%2e', '%2E%2e', '.%2E', '%2e.']) {
    t.deepEqual(route(up(step), verbatim), { kind: 'refused', why: 'malformed' }, step);
    t.deepEqual(route(up(step), STRICT), { kind: 'refused', why: 'malformed' }, step);
  }
  for (const step of ['...', '.x', '%2e%2e%2e', 'a.b']) t.is(route(up(step), verbatim).kind, 'event', step);
  t.deepEqual(route("/v3/dag_run?x='a'", verbatim), { kind: 'refused', why: 'malformed' });
  t.deepEqual(route('/v3/dag_run?x=(a)*;/?:@$,!~', verbatim), { kind: 'event', target: '/v3/dag_run?x=(a)*;/?:@$,!~', dropped: [] });
});

test('other forms of a target', (t) => {
  const cases: [target: string, why: string][] = [
    ['', 'malformed'],
    ['*', 'malformed'],
    ['v3/dag_run', 'malformed'],
    ['http://127.0.0.1:8787/v3/dag_run', 'absolute_form'],
    ['HTTP://example.com/', 'absolute_form'],
    ['/v3/dag_run?status=\u00fc', 'malformed'],
    ['/v3/dag_run\0', 'malformed'],
    ['//v3/dag_run', 'unknown_path'],
  ];
  for (const [target, why] of cases) {
    const found = route(target, STRICT);
    if (found.kind === 'path') t.is(why, 'unknown_path', target);
    else t.deepEqual(found, { kind: 'refused', why } as ReturnType<typeof route>, target);
  }
});
