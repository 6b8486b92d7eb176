// How long Cosmos' hooks wait, and what becomes of its events: without a relay, and through one.
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { refusedPort } from '../../../dist/testing/index.js';
import { ALL_DAGS, endedAsExpected, expectedEvents } from '../lib/expected.mjs';
import { startFront, startUpstream } from '../lib/front.mjs';
import { run } from '../lib/processes.mjs';

const EMIT = fileURLToPath(new URL('../emit.py', import.meta.url));
const FAR_MS = 100;

/** In Airflow, without a relay. @returns Timings by what stands where Cosmos looks. */
export async function withoutRelay(stage) {
  const { airflow, checks, front } = stage;
  const timings = {};
  front.answerItself();
  timings.direct = await wait(stage, ALL_DAGS);
  checks.add('directly, with an endpoint on this machine: every hook succeeds', timings.direct.every(({ isSuccess }) => isSuccess));
  await front.goAway();
  timings.refused = await wait(stage, ['succeeds']);
  await front.comeBack();
  front.hang();
  timings.hangs = await wait(stage, ['succeeds']);
  front.answerItself();
  for (const kind of ['refused', 'hangs']) checks.add(`directly, where the endpoint ${kind === 'hangs' ? 'never answers' : 'refuses'}: Cosmos gives the events up, and its runs end well`, timings[kind].length === 3 && timings[kind].every(({ isSuccess }) => !isSuccess));
  checks.add('a hook waits for an endpoint that never answers', timings.hangs.every(({ waitedMs }) => waitedMs >= 1000));
  return timings;

  async function wait({ watch }, dagIds) {
    const watched = watch();
    const runs = await airflow.runDags(dagIds);
    await watched.hooksReturned(expectedEvents(dagIds));
    if (!endedAsExpected(runs)) throw new Error(`runs ended as ${JSON.stringify(runs)}`);
    return watched.timings();
  }
}

/** Cosmos' own client alone, with nothing else going on. @returns Timings by where it looks. */
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
    const succeeded = Object.entries(timings).filter(([, list]) => list.every(({ isSuccess }) => isSuccess)).map(([kind]) => kind);
    checks.add("Cosmos' client alone succeeds where it is answered", succeeded.join() === 'near,far,relay', succeeded.join(', '));
    await relay.stop();
    return timings;
  } finally {
    await Promise.all([near, far, silent, upstream].map((server) => server.close()));
  }

  async function emit(origin, times) {
    const { HTTP_PROXY: _http, HTTPS_PROXY: _https, ALL_PROXY: _all, ...env } = home.env;
    return JSON.parse(await run(home.python, [EMIT, origin, `${times}`], { env }));
  }
}

/** What the plug-in's NO_PROXY is for. */
export async function withoutNoProxy({ checks, front, home, proxy }) {
  const before = { asked: proxy.asked.length, records: front.records.length };
  const { NO_PROXY: _operator, ...env } = home.env;
  const [{ isSuccess }] = JSON.parse(await run(home.python, [EMIT, front.url, '1'], { env }));
  const isAsked = proxy.asked.length === before.asked + 1 && front.records.length === before.records;
  checks.add("a proxy swallows what is meant for a relay that NO_PROXY does not name, and Cosmos takes the proxy's 200 for its success", isSuccess && isAsked);
}
