// One simulation: a fleet, an endpoint, and a night.
// What the package loads with its first event: to load it takes real time, and the time of the simulation would go on meanwhile.
import 'p-queue';
import 'p-retry';
import '../../build/src/delivery/spread.js';
import { Endpoint } from './endpoint.mjs';
import { MEAN_EVENTS_PER_RUN } from './fleet.mjs';
import { Host, share } from './host.mjs';
import { World } from './world.mjs';

const MINUTE_MS = 60_000;
export const DAY_MS = 86_400_000;
const HOUR_MS = 3_600_000;

/** The night that is simulated, in milliseconds since the midnight before: runs begin from 22:00 to 02:30. The first half hour warms up. */
export const NIGHT = { startMs: 22 * HOUR_MS, fromMs: 22.5 * HOUR_MS, untilMs: 26.5 * HOUR_MS };
/** Runs of five tasks of an hour end, then a probe comes within two hours, and what waits is sent within another one. */
const LAST_MS = NIGHT.untilMs + 10 * HOUR_MS;

/**
 * @param fleet the hosts
 * @param options.spreadMs the option of each client
 * @param options.outage `{ fromMs, untilMs }` on the clock of {@link NIGHT}
 * @returns the requests of each second, the mean of the day, and the accounts
 */
export async function simulate(fleet, { spreadMs = 0, outage, seed = 1, skipsHeartbeats = true }) {
  const startedMs = Date.now();
  const idle = [];
  const active = new Map();
  const world = new World(NIGHT.startMs, (host) => {
    if (!host.isIdle) return;
    active.delete(host.number);
    idle.push(host);
  });
  const endpoint = new Endpoint(world, outage, { startMs: NIGHT.startMs, endMs: LAST_MS });
  const shared = share(world, endpoint, { spreadMs, seed, skipsHeartbeats });
  /** At the end of each minute, how many hosts have something to send. */
  const activeHosts = [];
  let openRuns = 0;

  const publish = (number) => {
    let host = active.get(number);
    if (host === undefined) {
      host = idle.pop() ?? new Host(shared);
      host.become(number);
      active.set(number, host);
    }
    host.publish();
  };
  /** Publishes the events of a run, each when it is due: only the next one is in memory. */
  const publishFrom = (number, minuteStartMs, publishedAfterMs, index) => {
    const afterMs = publishedAfterMs[index];
    if (afterMs === undefined) {
      openRuns -= 1;
      return;
    }
    world.at(minuteStartMs + afterMs, () => {
      publish(number);
      publishFrom(number, minuteStartMs, publishedAfterMs, index + 1);
    });
  };

  for (let minuteMs = NIGHT.startMs; minuteMs < NIGHT.untilMs; minuteMs += MINUTE_MS) {
    const minuteOfDay = (minuteMs / MINUTE_MS) % 1440;
    for (const number of fleet.startingIn(minuteOfDay)) {
      openRuns += 1;
      publishFrom(number, minuteMs, fleet.run(number, minuteOfDay), 0);
    }
    await world.runUntil(minuteMs + MINUTE_MS - 1);
    activeHosts.push(active.size);
  }
  // No run begins any more; those that are open end, and what waits is sent.
  const isBusy = () => active.size > 0 || openRuns > 0;
  while (world.nowMs < LAST_MS && isBusy()) await world.runUntil(world.nowMs + MINUTE_MS);

  const pending = Array.from(active.values()).reduce((sum, host) => sum + host.pending, 0);
  return {
    spreadMs,
    outage,
    arrived: endpoint.arrived,
    refused: endpoint.refused,
    meanPerS: (fleet.runs * MEAN_EVENTS_PER_RUN) / (DAY_MS / 1000),
    stats: shared.ledger.snapshot(pending),
    unlucky: shared.unlucky,
    activeHosts,
    tookS: (Date.now() - startedMs) / 1000,
    timers: world.steps,
  };
}

/**
 * One night of parts of a fleet. No host changes what another one does, so their sum is the night of the whole: requests, accounts, and how
 * many wait in each minute.
 */
export function combined([first, ...others]) {
  const night = { ...first, stats: { ...first.stats } };
  for (const other of others) {
    night.arrived = night.arrived.map((count, second) => count + other.arrived[second]);
    night.activeHosts = night.activeHosts.map((count, minute) => count + other.activeHosts[minute]);
    for (const name of ['refused', 'meanPerS', 'unlucky', 'tookS', 'timers']) night[name] += other[name];
    for (const name of ['published', 'sent', 'failed', 'dropped', 'pending']) night.stats[name] += other.stats[name];
  }
  return night;
}

/** The length of a window in which requests are counted: short enough for a peak, and long enough that 10,000 hosts have more than noise. */
export const WINDOW_S = 10;

/** The requests a second of each window. */
export function windows({ arrived }, fromMs, untilMs, windowS) {
  const found = [];
  for (let atMs = fromMs; atMs < untilMs; atMs += windowS * 1000) {
    const second = Math.floor((atMs - NIGHT.startMs) / 1000);
    found.push({ atMs, perS: arrived.subarray(second, second + windowS).reduce((sum, count) => sum + count, 0) / windowS });
  }
  return found;
}

/** The highest of them, over the mean of the day, and when. */
export function peakOverMean(result, fromMs, untilMs, windowS = WINDOW_S) {
  let peak = { atMs: fromMs, perS: 0 };
  for (const window of windows(result, fromMs, untilMs, windowS)) if (window.perS > peak.perS) peak = window;
  return { ratio: peak.perS / result.meanPerS, atMs: peak.atMs };
}
