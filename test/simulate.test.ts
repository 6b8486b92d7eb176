// The simulation of a fleet: `npm run simulate` shows its figures, and these tests that it may be believed.
import { fileURLToPath } from 'node:url';
import test from 'ava';
import { addsUp } from './helpers/telemetry-rig.js';
import type { TelemetryStats } from '../src/index.js';

interface Fleet {
  readonly hosts: number;
  readonly runs: number;
  startingIn(minuteOfDay: number): Iterable<number>;
  run(host: number, minuteOfDay: number): number[];
}
interface Night {
  arrived: Uint32Array;
  activeHosts: number[];
  meanPerS: number;
  refused: number;
  stats: TelemetryStats;
  timers: number;
}
type Simulate = (
  fleet: Fleet,
  options: { spreadMs?: number; outage?: { fromMs: number; untilMs: number }; seed?: number; skipsHeartbeats?: boolean },
) => Promise<Night>;

const load = async <T>(file: string): Promise<T> =>
  (await import(fileURLToPath(new URL(`../../scripts/simulate/${file}`, import.meta.url)))) as T;
type FleetClass = new (hosts: number, seed: number, part?: { first: number; step: number }) => Fleet;
const { Fleet, SCHEDULES } = await load<{ Fleet: FleetClass; SCHEDULES: { of: number }[] }>('fleet.mjs');
const { combined, simulate } = await load<{ combined: (parts: Night[]) => Night; simulate: Simulate }>('simulation.mjs');

/** The seconds in which requests arrive, and how many. */
const arrivals = ({ arrived }: Night) => [...arrived].flatMap((requests, second) => (requests === 0 ? [] : [`${second}: ${requests}`]));

const HOUR_MS = 3_600_000;
const OUTAGE = { fromMs: 23.5 * HOUR_MS, untilMs: 24.5 * HOUR_MS };

test('the schedules are the 588 that were counted, and midnight has its share of them', (t) => {
  t.is(
    SCHEDULES.reduce((sum, { of }) => sum + of, 0),
    588,
  );
  const fleet = new Fleet(50_000, 1);
  const share = (minuteOfDay: number) => [...fleet.startingIn(minuteOfDay)].length / fleet.hosts;
  // Those that run once in a day, at the shares of midnight and of the full hour, and those that run at each full hour or at some.
  const once = (232.2 * 98) / 231 + (37.9 * 55) / 248;
  const expected = (once * (417 / 530) + 35 + 14.1) / 588;
  t.true(Math.abs(share(0) - expected) < 0.006, `${share(0)} of ${expected}`);
  t.true(share(24 * 30 + 7) < 0.01);
  let runs = 0;
  for (let minute = 0; minute < 1440; minute += 1) runs += [...fleet.startingIn(minute)].length;
  t.is(runs, fleet.runs);
});

test('the same seed gives the same night, another one another, and every event is accounted for', async (t) => {
  const fleet = new Fleet(300, 5);
  const [one, same, other] = [
    await simulate(fleet, { outage: OUTAGE, seed: 5 }),
    await simulate(fleet, { outage: OUTAGE, seed: 5 }),
    await simulate(fleet, { outage: OUTAGE, seed: 6 }),
  ];
  t.deepEqual(arrivals(one), arrivals(same));
  t.notDeepEqual(arrivals(one), arrivals(other));
  t.true(one.refused > 0);
  for (const { stats } of [one, other]) {
    t.true(addsUp(stats));
    t.is(stats.sent, stats.published);
  }
  t.is(one.stats.published, other.stats.published);
});

test('the nights of the parts of a fleet add up to the night of the whole', async (t) => {
  const whole = new Fleet(301, 5);
  const parts = [0, 1, 2].map((first) => new Fleet(301, 5, { first, step: 3 }));
  const options = { outage: OUTAGE, seed: 5, spreadMs: 60_000 };
  const night = await simulate(whole, options);
  const nights: Night[] = [];
  for (const part of parts) nights.push(await simulate(part, options));
  const added = combined(nights);
  t.deepEqual(
    parts.map(({ hosts }) => hosts),
    [101, 100, 100],
  );
  t.deepEqual(arrivals(added), arrivals(night));
  for (const name of ['activeHosts', 'refused'] as const) t.deepEqual(added[name], night[name], name);
  for (const name of ['published', 'sent', 'failed', 'dropped', 'pending'] as const) t.is(added.stats[name], night.stats[name], name);
  t.true(Math.abs(added.meanPerS - night.meanPerS) < 1e-9);
});

for (const spreadMs of [0, 60_000]) {
  test(`to leave out heartbeats that change nothing changes nothing: spreadMs ${spreadMs}`, async (t) => {
    const fleet = new Fleet(200, 9);
    const [some, all] = [
      await simulate(fleet, { outage: OUTAGE, spreadMs }),
      await simulate(fleet, { outage: OUTAGE, spreadMs, skipsHeartbeats: false }),
    ];
    t.deepEqual(arrivals(some), arrivals(all));
    t.is(some.refused, all.refused);
    t.true(all.timers > 2 * some.timers, `${all.timers} and ${some.timers} timers`);
  });
}
