// How long Cosmos' hooks wait, and what becomes of its events: without a relay, and through one.
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { refusedPort } from '../../../dist/testing/index.js';
import { endedAsExpected, expectedEvents } from '../lib/expected.mjs';
import { startFront, startUpstream } from '../lib/front.mjs';
import { median } from '../lib/multisets.mjs';
import { runForJson } from '../lib/processes.mjs';

const EMIT = fileURLToPath(new URL('../emit.py', import.meta.url));
const FAR_MS = 100;
const TURNS = 4;

/** In Airflow: alternately through the relay and directly, then without an answer. @returns Timings by the server that Cosmos sends to. */
export async function withAndWithoutRelay(stage) {
  const { airflow, checks, front } = stage;
  const timings = { direct: [], relay: [], refused: [], hangs: [] };
  const relay = await stage.startRelay(path.join(stage.folder, 'spool-hook-times'));
  for (let turn = 0; turn < TURNS; turn += 1) {
    front.forwardTo(relay.url);
    await measure('relay');
    front.answerItself();
    await measure('direct');
  }
  await relay.stop();
  checks.add(
    'through the relay and directly, every hook with an answer succeeds',
    [...timings.relay, ...timings.direct].every(({ isSuccess }) => isSuccess),
  );
  await front.goAway();
  await measure('refused');
  await front.comeBack();
  front.hang();
  await measure('hangs');
  front.answerItself();
  checks.add(
    'directly, with an endpoint that refuses: Cosmos gives up the events, and its runs succeed',
    timings.refused.every(({ isSuccess }) => !isSuccess),
  );
  checks.add(
    'directly, with an endpoint that never answers: the same, after a second for each event',
    timings.hangs.every(({ isSuccess, waitedMs }) => !isSuccess && waitedMs >= 1000),
  );
  return timings;

  async function measure(kind) {
    const watched = stage.watch();
    const runs = await airflow.runDags(['succeeds']);
    await watched.hooksReturned(expectedEvents(['succeeds']));
    if (!endedAsExpected(runs)) throw new Error(`runs ended as ${JSON.stringify(runs)}`);
    timings[kind].push(...watched.timings());
  }
}

/** Cosmos' own client alone, without a running Airflow. @returns Timings by the server that it sends to. */
export async function quietly(stage) {
  const { checks, home } = stage;
  const near = await startFront();
  const far = await startFront();
  far.answerItself(FAR_MS);
  const silent = await startFront();
  silent.hang();
  const upstream = await startUpstream();
  upstream.answerAfter(FAR_MS);
  const relay = await stage.startRelay(path.join(stage.folder, 'spool-quiet'), upstream);
  try {
    const timings = {
      near: await emit(near.url, 20),
      far: await emit(far.url, 20),
      relay: await emit(relay.url, 20),
      refused: await emit(`http://127.0.0.1:${await refusedPort()}`, 20),
      hangs: await emit(silent.url, 3),
    };
    const succeeded = Object.entries(timings)
      .filter(([, list]) => list.every(({ isSuccess }) => isSuccess))
      .map(([kind]) => kind);
    checks.add("Cosmos' client alone succeeds with an answer", succeeded.join() === 'near,far,relay', succeeded.join(', '));
    const half = (kind) => median(timings[kind].map(({ waitedMs }) => waitedMs));
    checks.add(
      'and it does not wait for the endpoint behind the relay',
      half('relay') < half('far'),
      `${Math.round(half('relay'))} ms through the relay, ${Math.round(half('far'))} ms directly`,
    );
    await relay.stop();
    return timings;
  } finally {
    await Promise.all([near, far, silent, upstream].map((server) => server.close()));
  }

  async function emit(origin, times) {
    const { HTTP_PROXY: _http, HTTPS_PROXY: _https, ALL_PROXY: _all, ...env } = home.env;
    return runForJson(home.python, [EMIT, origin, `${times}`], { env });
  }
}

/** Shows why the plug-in sets NO_PROXY. */
export async function withoutNoProxy({ checks, front, home, proxy }) {
  const before = { asked: proxy.asked.length, records: front.records.length };
  const { NO_PROXY: _operator, ...env } = home.env;
  const [{ isSuccess }] = await runForJson(home.python, [EMIT, front.url, '1'], { env });
  const isAsked = proxy.asked.length === before.asked + 1 && front.records.length === before.records;
  checks.add("without NO_PROXY a proxy gets the relay's events, and Cosmos takes the proxy's 200 for success", isSuccess && isAsked);
}

/** With the plug-in and the relay, Cosmos still checks its opt-outs first. */
export async function optedOut({ checks, front, home }) {
  const before = front.records.length;
  const [{ isSuccess }] = await runForJson(home.python, [EMIT, front.url, '1'], { env: { ...home.env, DO_NOT_TRACK: '1', NO_PROXY: '*' } });
  checks.add('with DO_NOT_TRACK, Cosmos sends nothing', !isSuccess && front.records.length === before);
}
