// What the scenarios of one Airflow share: the servers, and a view of what happens from a moment on.
import { hookTimings } from './airflow.mjs';
import { startFront, startLyingProxy, startUpstream } from './front.mjs';
import { startRelay } from './relay.mjs';
import { until } from './waiting.mjs';

const HOOKS_TIMEOUT_MS = 120_000;

/** Starts recorder, endpoint and proxy. A relay that is started through the stage ends with it. */
export async function setStage({ folder, checks, relayProgram }) {
  const front = await startFront();
  const upstream = await startUpstream();
  const proxy = await startLyingProxy();
  const relays = [];
  const stage = {
    folder,
    checks,
    front,
    upstream,
    proxy,
    /** Set once Airflow's home and Airflow exist. */
    home: undefined,
    airflow: undefined,
    async startRelay(spool, endpoint = upstream) {
      const relay = await startRelay({ upstreamUrl: endpoint.url, spool, ...(relayProgram && { program: relayProgram }) });
      relays.push(relay);
      return relay;
    },
    watch: () => watch(stage),
    async end() {
      await stage.airflow?.stop();
      await Promise.all(relays.map((relay) => relay.end()));
      await Promise.all([front.close(), upstream.close(), proxy.close()]);
    },
  };
  return stage;
}

/** A view of everything from now on. */
function watch({ front, upstream, home }) {
  const from = { records: front.records.length, targets: upstream.targets.length, timings: hookTimings(home).length };
  const watched = {
    records: () => front.records.slice(from.records),
    sent: () => targetsOf(watched.records()),
    acknowledged: () => targetsOf(front.acknowledged(from.records)),
    arrived: () => upstream.targets.slice(from.targets),
    timings: () => hookTimings(home).slice(from.timings),
    /** Waits until this many hooks have returned: a run may end before the hook of its last task. */
    hooksReturned: (count, look = () => {}) =>
      until(
        () => `${count} hooks to return, ${watched.timings().length} have`,
        () => {
          look();
          return watched.timings().length >= count;
        },
        { timeoutMs: HOOKS_TIMEOUT_MS },
      ),
  };
  return watched;
}

function targetsOf(records) {
  return records.map(({ target }) => target);
}
