import { existsSync, readdirSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { setImmediate as nextTurn } from 'node:timers/promises';
import test from 'ava';
import type { ExecutionContext } from 'ava';
import { systemClock } from '../../src/base/clock.js';
import { thisMachine } from '../../src/base/machine.js';
import { createTelemetryWith } from '../../src/client/telemetry.js';
import { isDaily } from '../../src/events/definition.js';
import { count, defineEvent, optional, renderPrivacyNotice } from '../../src/index.js';
import type { Environment } from '../../src/index.js';
import { claimDay } from '../../src/opt-out/daily-file.js';
import { recordingTransport } from '../../src/testing/index.js';
import type { RecordingTransportOptions } from '../../src/testing/index.js';
import { proves } from '../helpers/promises.js';
import { makeHome, runCli } from '../helpers/run-cli.js';
import { addsUp } from '../helpers/telemetry-rig.js';

const NOTE = { description: 'What it says.', reason: 'Why it is collected.' };
const active = defineEvent('active', { n: optional(count(NOTE)) }, 'Sent when acme starts.', { daily: true });
const tick = defineEvent('tick', { n: optional(count(NOTE)) });
const PRODUCT = { name: 'acme', version: '1.0.0' } as const;
const WORDS =
  'Sent when acme starts. At most once a day from each installation: a file in the folder `daily`, beside your own telemetry.json, keeps ' +
  'the date of the last one and nothing else.';

function unwrapped(text: string): string {
  return text.replaceAll(/\s+/g, ' ');
}

function setUp(t: ExecutionContext, more: Environment = {}, recording: RecordingTransportOptions = {}) {
  const home = makeHome(t);
  let wallMs = Date.UTC(2026, 0, 31, 23, 59);
  const lines: string[] = [];
  const machine = { ...thisMachine, platform: 'linux' as const, clock: { ...systemClock, wallNow: () => wallMs } };
  const start = () => {
    const transport = recordingTransport(recording);
    const logger = { debug: () => undefined, warn: (line: string) => lines.push(line) };
    const env = { HOME: home.folder, XDG_CONFIG_DIRS: path.join(home.folder, 'policy'), ...more };
    const telemetry = createTelemetryWith({ product: PRODUCT, events: [active, tick], transport, env, logger }, machine);
    t.teardown(() => telemetry.close());
    return { telemetry, transport };
  };
  const folder = path.join(home.folder, '.config', 'acme', 'daily');
  const nextDay = (): void => void (wallMs += 24 * 3600_000);
  return { start, nextDay, home: home.folder, folder, kept: () => readdirSync(folder).sort(), lines };
}

test(
  proves('daily-once', 'a daily event is sent once a day by all clients of an installation, and each other one is counted'),
  async (t) => {
    const { start, nextDay, folder, kept } = setUp(t);
    const first = start();
    for (let n = 0; n < 3; n += 1) first.telemetry.publish('active', { n });
    first.telemetry.publish('tick', {});
    t.like(await first.telemetry.drain(), { published: 4, sent: 2, dropped: 2, reasons: { daily: 2 } });
    t.deepEqual(first.transport.events.map(({ type }) => type).sort(), ['active', 'tick']);
    t.deepEqual(kept(), ['active.2026-01-31']);
    t.is(statSync(path.join(folder, 'active.2026-01-31')).size, 0);
    if (process.platform !== 'win32') t.is(statSync(path.join(folder, 'active.2026-01-31')).mode & 0o077, 0);

    const second = start();
    second.telemetry.publish('active', {});
    t.like(await second.telemetry.drain(), { sent: 0, reasons: { daily: 1 } });

    nextDay();
    for (const { telemetry } of [first, second]) telemetry.publish('active', {});
    const reports = await Promise.all([first, second].map(({ telemetry }) => telemetry.drain()));
    t.is(
      reports.reduce((sum, { sent }) => sum + sent, 0),
      3,
      'one of the two, and what was sent the day before',
    );
    t.deepEqual(kept(), ['active.2026-02-01']);
    for (const report of reports) t.true(addsUp(report));
  },
);

test('a drain waits for the rest of a batch of which a daily event is left out', async (t) => {
  const { start } = setUp(t, {}, { maxBatchSize: 10, outcomes: () => nextTurn({ kind: 'sent' }) });
  const { telemetry } = start();
  for (let n = 0; n < 2; n += 1) {
    telemetry.publish('active', {});
    telemetry.publish('tick', {});
    t.like(await telemetry.drain(), { sent: 2 + n, dropped: n, pending: 0, timedOut: false });
  }
});

test(proves('daily-once', 'of many that claim a day at once, one has it; a date of a wrong clock stays'), async (t) => {
  const folder = path.join(makeHome(t).folder, 'config', 'acme');
  const claims = await Promise.all(Array.from({ length: 20 }, () => claimDay(folder, 'active', '2026-01-31')));
  t.deepEqual(
    claims.filter((claim) => claim !== 'later'),
    ['first'],
  );
  t.is(await claimDay(folder, 'active_more', '2026-01-31'), 'first', 'each event has its own days');
  t.is(await claimDay(folder, 'active', '2030-01-01'), 'first');
  t.is(await claimDay(folder, 'active', '2026-02-01'), 'first');
  t.deepEqual(readdirSync(path.join(folder, 'daily')).sort(), ['active.2026-02-01', 'active.2030-01-01', 'active_more.2026-01-31']);
  t.is(await claimDay('/proc/nothing/acme', 'active', '2026-02-01'), 'unkept');
});

test('where the date cannot be kept, a daily event is not sent, other events are, and the log says so', async (t) => {
  for (const env of [{ HOME: '' }, undefined]) {
    const { start, home, lines } = setUp(t, env);
    if (env === undefined) writeFileSync(path.join(home, '.config'), 'a file');
    const { telemetry } = start();
    for (const type of ['active', 'active', 'tick'] as const) telemetry.publish(type, {});
    t.like(await telemetry.drain(), { published: 3, sent: 1, dropped: 2, reasons: { daily_unkept: 2 } });
    t.deepEqual(lines, [
      '[telemetry] daily_unkept: the date of a daily event cannot be kept in the config folder, so the event is not sent',
    ]);
  }
});

test('in a batch the daily events that are not sent are counted, and the others are sent', async (t) => {
  const { start } = setUp(t, {}, { maxBatchSize: 10 });
  const { telemetry, transport } = start();
  for (const type of ['tick', 'active', 'active', 'tick', 'active'] as const) telemetry.publish(type, {});
  t.like(await telemetry.drain(), { published: 5, sent: 3, dropped: 2, reasons: { daily: 2 } });
  t.deepEqual(
    transport.events.map(({ type }) => type),
    ['tick', 'active', 'tick'],
  );
});

test('a daily event that is tried again keeps its day', async (t) => {
  const { start } = setUp(t, {}, { outcomes: [{ kind: 'deferred', waitMs: 1, reason: 'http_503' }, { kind: 'sent' }] });
  const { telemetry, transport } = start();
  telemetry.publish('active', {});
  await transport.waitFor(2);
  t.like(await telemetry.drain(), { published: 1, sent: 1, dropped: 0 });
});

test('an opt-out, debug mode and a close keep no date or lose no account', async (t) => {
  for (const env of [{ DO_NOT_TRACK: '1' }, { ACME_TELEMETRY_DEBUG: '/dev/null' }] as Environment[]) {
    const { start, folder } = setUp(t, env);
    const { telemetry } = start();
    telemetry.publish('active', {});
    await telemetry.close();
    t.false(existsSync(folder), Object.keys(env).join());
  }
  for (let turns = 0; turns < 6; turns += 1) {
    const { start } = setUp(t);
    const { telemetry } = start();
    telemetry.publish('active', {});
    for (let turn = 0; turn < turns; turn += 1) {
      await new Promise((resolve) => {
        setImmediate(resolve);
      });
    }
    const report = await telemetry.close({ deadlineMs: 0 });
    t.true(addsUp(report) && report.pending === 0, JSON.stringify(report));
    t.is(report.failed, 0, 'what was only asked for was not handed to the network');
  }
});

test(proves('daily-once', 'the notice and the command say that an event is daily'), async (t) => {
  const notice = unwrapped(renderPrivacyNotice({ product: { name: 'acme' }, events: [active] }));
  t.true(notice.includes(WORDS));
  t.true(notice.includes('The program writes only the dates of daily events to disk unless you ask'));
  const without = unwrapped(renderPrivacyNotice({ product: { name: 'acme' }, events: [tick] }));
  t.false(/daily|once a day/.test(without));
  const { stdout } = await runCli({ product: PRODUCT, events: [active] }, ['events', 'active']);
  t.true(unwrapped(stdout).includes(`active: ${WORDS}`), stdout);
});

test.serial('a polluted Object.prototype makes no event daily', (t) => {
  const shared = Object.getPrototypeOf({}) as object;
  Object.defineProperty(shared, 'daily', { configurable: true, value: true });
  try {
    t.deepEqual([isDaily(tick), isDaily(active)], [false, true]);
    t.false(/once a day/.test(renderPrivacyNotice({ product: { name: 'acme' }, events: [tick] })));
  } finally {
    Reflect.deleteProperty(shared, 'daily');
  }
});

test('defineEvent() checks its options', (t) => {
  t.deepEqual(Object.keys(tick), ['type', 'fields', 'description']);
  t.true(active.daily);
  t.false('daily' in defineEvent('never', {}, 'Sent never.', { daily: false }));
  const wrong: [options: unknown, message: string][] = [
    [{ daily: 'yes' }, 'Expected `daily` to be one of true, false, got "yes".'],
    [{ weekly: true }, 'Expected `options` to have known keys only, got `weekly` with true.'],
    [7, 'Expected `options` to be an object, got 7.'],
  ];
  for (const [options, message] of wrong)
    t.throws(() => defineEvent('own', {}, 'Sent.', options as never), { instanceOf: TypeError, message });
});
